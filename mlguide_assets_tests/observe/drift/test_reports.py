"""When a report is due, and on which days: a week's, or the first that call for action."""

from datetime import date
from pathlib import Path

import pytest

from mlguide_assets.observe.drift.reports import Stretch, stretch_due


def march(**levels: str) -> dict[str, str]:
    return {f"2026-03-{int(day.removeprefix('d')):02}": level for day, level in levels.items()}


QUIET = march(d1="none", d2="warn", d3="none")


def reported(folder: Path, day: int) -> Path:
    (folder / f"2026-03-{day:02}.html").touch()
    return folder


def test_the_first_report_is_on_all_days_so_far(tmp_path: Path) -> None:
    assert stretch_due(QUIET, tmp_path, days=7) == Stretch(date(2026, 3, 1), date(2026, 3, 3))
    assert stretch_due({}, tmp_path, days=7) is None


def test_without_a_number_of_days_only_drift_calls_for_a_report(tmp_path: Path) -> None:
    assert stretch_due(QUIET, tmp_path, days=0) is None
    assert stretch_due(QUIET | march(d3="act"), tmp_path, days=0) == Stretch(date(2026, 3, 1), date(2026, 3, 3))


@pytest.mark.parametrize(("days", "due"), [(1, True), (2, True), (3, False)])
def test_the_next_comes_once_there_are_days_enough(days: int, due: bool, tmp_path: Path) -> None:
    found = stretch_due(QUIET, reported(tmp_path, 1), days=days)
    assert found == (Stretch(date(2026, 3, 2), date(2026, 3, 3)) if due else None)
    assert stretch_due(QUIET, reported(tmp_path, 3), days=1) is None


def test_where_drift_begins_it_comes_at_once_and_not_every_day_then(tmp_path: Path) -> None:
    begun = QUIET | march(d3="act")
    assert stretch_due(begun, reported(tmp_path, 2), days=7) == Stretch(date(2026, 3, 3), date(2026, 3, 3))
    assert stretch_due(begun | march(d4="act"), reported(tmp_path, 3), days=7) is None
    assert stretch_due(begun | march(d4="none", d5="act"), reported(tmp_path, 4), days=7) is not None
