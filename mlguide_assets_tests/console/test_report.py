"""`mlguide report` on homes that know little and much: what is read from where, and what becomes of the file."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.console.report import DAYS, known_of, write_page
from mlguide_assets.define.loading import load_problem
from mlguide_assets.deploy.gate.history import record
from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts.alerting import book_of, raise_or_resolve
from mlguide_assets.observe.alerts.failed_runs import Work, failed_run_alert
from mlguide_assets.observe.drift.data_drift import SCHEMA
from mlguide_assets.observe.drift.table import DATA_DRIFT
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.retrain.ticks import RUN, Tick, ticks_of
from mlguide_assets.settings import Home

NOW = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)
PROBLEM = load_problem("planeswalker")
DAY = date(2025, 12, 26)
ENOUGH = Tick("new_outcomes", RUN, "3,210 sends have matured.")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def lake_of(home: Home) -> Lake:
    return Lake(home.lake(PROBLEM.key))


def write_drift_of(home: Home, day: date) -> None:
    row = {"day": day.isoformat(), "source": "sends", "model_version": "1", "column": "(all)", "level": "act"}
    lake_of(home).write_partition(DATA_DRIFT, day.isoformat(), small_table([{**row, "reason": "Too far."}], SCHEMA))


def retrained(home: Home) -> None:
    ticks = ticks_of(home, PROBLEM)
    key = ticks.note(ENOUGH, data_until=DAY, now=NOW - timedelta(days=1))
    ticks.end(key, outcome="kept", reason="It was not shown to beat the champion.", version="2", now=NOW)


def known(home: Home) -> Any:
    return known_of(home, now=NOW, beside=home.root.parent)


def test_a_home_that_is_not_there_is_refused_and_not_made(home: Home, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_page(home, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_everything_that_is_in_the_home_is_on_the_page(home: Home, tmp_path: Path) -> None:
    lake = lake_of(home)
    facts = {"trained_at": "2026-03-29T08:00:00+00:00", "verdict": "refused", "reasons": ["It cannot be <b>told</b>."]}
    record(lake, version="1", champion_before=None, decided_by="gate", **facts)  # type: ignore[arg-type]
    write_drift_of(home, DAY)
    retrained(home)
    book = book_of(home, PROBLEM)
    raise_or_resolve(book, "failure-drift_job", failed_run_alert(Work("drift_job"), "r9", "no memory", NOW), NOW)
    reports = home.drift_reports(PROBLEM.key)
    reports.mkdir(parents=True)
    (reports / f"{DAY}.html").write_text("")
    (tmp_path / "pages").mkdir()
    write_page(home, tmp_path / "pages" / "report.html")
    page = (tmp_path / "pages" / "report.html").read_text()
    for words in (
        "It cannot be &lt;b&gt;told&lt;/b&gt;.",
        f"{DAY}: Too far.",
        "3,210 sends have matured.",
        "A run of drift_job failed",
        f'href="../home/reports/{PROBLEM.key}/drift/{DAY}.html"',
    ):
        assert words in page, words


def test_the_map_has_the_last_days(home: Home) -> None:
    first = DAY - timedelta(days=DAYS)
    for day in (first, first + timedelta(days=1), DAY):
        write_drift_of(home, day)
    assert [row["day"] for row in known(home).drift] == [str(first + timedelta(days=1)), str(DAY)]


def test_simulated_days_are_known_from_retraining_and_bundles(home: Home) -> None:
    """Version 1 had learned until its label window before the last day that there was."""
    folder = home.bundles(PROBLEM.key) / "1"
    folder.mkdir(parents=True)
    facts = {"trained_at": "2026-03-29T08:00:00+00:00", "refit_until": "2025-11-10T23:00:00.000000"}
    (folder / "metadata.json").write_text(json.dumps(facts))
    retrained(home)
    found = known(home)
    assert found.data_day(datetime(2026, 3, 29, 7, tzinfo=UTC)) is None
    assert found.data_day(datetime(2026, 3, 29, 9, tzinfo=UTC)) == date(2025, 11, 17)
    assert found.data_day(datetime(2026, 3, 30, 10, tzinfo=UTC)) == DAY


def test_a_page_is_replaced_whole_or_stays(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_drift_of(home, DAY)
    out = tmp_path / "pages" / "report.html"
    out.parent.mkdir()
    out.write_text("the page before")

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mlguide_assets.prepare.files.os.fsync", full_disk)
        with pytest.raises(InputError, match=r"report\.html could not be written to"):
            write_page(home, out)
    assert out.read_text() == "the page before"
    assert list(out.parent.iterdir()) == [out]
    write_page(home, out)
    assert out.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["report.pdf", "folder.html", "report"])
def test_what_is_no_page_is_refused(home: Home, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match=r"must be a file ending in \.html"):
        write_page(home, tmp_path / name)


def test_it_waits_for_no_heavy_library() -> None:
    heavy = ("dagster", "ibis", "mlflow", "xgboost", "sklearn", "scipy", "duckdb", "matplotlib", "evidently")
    program = f"import mlguide_assets.console.report, sys; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
