"""Evidently's reports for people, each on a stretch of days: it takes longer to import than to look at a week."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, metadata_of
from mlguide_assets.observe.drift.evidently_report import write_report
from mlguide_assets.observe.drift.table import levels
from mlguide_assets.observe.rows import rows_of_days, scored
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.partitions.digests import row_hash
from mlguide_assets.train.reference.build import watched_columns

ACT = "act"
ROWS = 20_000
"""Of either side that are read, about."""
_GRAIN = 1_000_000


@dataclass(frozen=True)
class Stretch:
    """Days from the first to the last, both included."""

    first: date
    last: date


def stretch_due(levels: Mapping[str, str], reports: Path, *, days: int) -> Stretch | None:
    """The days that a report is due on: those since the last report, once they are enough, or call for action.

    The first is on those that there are, however few.

    Args:
        levels: of every day that was tested lately (ISO 8601), what its decisions call for.
        reports: the folder of the reports, which are named by the last day of their stretch.
        days: how many are enough; 0: a report is due only where drift begins.
    """
    reported = max((path.stem for path in reports.glob("[!.]*.html")), default="")
    since = sorted(day for day in levels if day > reported)
    # While drift goes on, the report on its first day says it.
    begun = levels.get(reported) != ACT and any(levels[day] == ACT for day in since)
    enough = bool(days) and (not reported or len(since) >= days)
    if not since or not (enough or begun):
        return None
    return Stretch(date.fromisoformat(since[0]), date.fromisoformat(since[-1]))


def window_of_test(champion: Bundle) -> Stretch:
    """The days of the decisions that the champion was evaluated on."""
    facts = metadata_of(champion)
    return Stretch(date.fromisoformat(facts["test_first"]), date.fromisoformat(facts["test_last"]))


def report_if_due(
    checked: Mapping[date, str], lake: Lake, *, features: ibis.Table, champion: Bundle, problem: Problem, reports: Path
) -> Path | None:
    """Write the report on the days up to those that were checked now, if one is due; see `stretch_due`.

    Args:
        checked: what the decisions of the days that were checked now call for; the lake has those before.

    Returns:
        None where none is due, or a side of it has no rows.

    Raises:
        InputError: the disk is full.
    """
    if not checked:
        return None
    found = levels(lake, champion.version) | {day.isoformat(): level for day, level in checked.items()}
    stretch = stretch_due(found, reports, days=problem.watching.report_days)
    if stretch is None:
        return None
    return report_on(stretch, features=features, champion=champion, problem=problem, reports=reports)


def report_on(
    stretch: Stretch, *, features: ibis.Table, champion: Bundle, problem: Problem, reports: Path
) -> Path | None:
    """Write Evidently's report on the decisions of a stretch beside those of the champion's test window.

    Returns:
        None where there are none of the one or of the other.

    Raises:
        InputError: the disk is full.
    """
    sides = [
        rows_of_days(features, problem, first=each.first, last=each.last)
        for each in (window_of_test(champion), stretch)
    ]
    rows = [each.count().to_pyarrow().as_py() for each in sides]
    if not all(rows):
        return None
    reference, current = (
        scored(_about(ROWS, of, each, problem), champion, problem) for each, of in zip(sides, rows, strict=True)
    )
    columns = {name: kind for name, kind in watched_columns(problem).items() if name != problem.label.column}
    return write_report(
        reference,
        current,
        columns,
        reports / f"{stretch.last.isoformat()}.html",
        title=f"{stretch.first} to {stretch.last}, beside the champion's test window",
        seed=problem.evaluation.seed,
        keep=problem.watching.reports,
        drawn_from=(rows[0], rows[1]),
    )


def _about(most: int, of: int, rows: ibis.Table, problem: Problem) -> ibis.Table:
    """Rows drawn by the hash of their keys, about so many of all."""
    if of <= most:
        return rows
    # The hash of some engines has a sign.
    drawn = row_hash(*(rows[key] for key in problem.decision.keys)).abs() % _GRAIN
    return rows.filter(drawn < -(-_GRAIN * most // of))
