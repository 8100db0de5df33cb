"""`mlguide report`: gathers what a home knows and writes it as one page."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from mlguide_assets.console.experiment import row_of
from mlguide_assets.console.out import check_out
from mlguide_assets.console.terminal import screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, bundled_versions, champion, metadata_of_version
from mlguide_assets.deploy.gate.history import decisions
from mlguide_assets.deploy.log.fault_landing import REQUEST_FAULTS
from mlguide_assets.experiment.arm_effects import primary_effects
from mlguide_assets.experiment.ledger import experiments, results
from mlguide_assets.experiment.started import Started
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.observe.drift.table import DATA_DRIFT, days_looked_at
from mlguide_assets.observe.drift.windows import Landed
from mlguide_assets.observe.freshness.landed import landed_rows
from mlguide_assets.observe.freshness.missing_outcomes import age_of_performance
from mlguide_assets.observe.freshness.new_days import events_by_day, untested
from mlguide_assets.observe.freshness.source_warnings import source_warnings
from mlguide_assets.observe.page.page import page
from mlguide_assets.observe.page.report_data import Champion, ReportData
from mlguide_assets.observe.page.wording import instant
from mlguide_assets.observe.performance.verdict import VERDICTS, trusted
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.shared_files import fetch_file
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.ticks import ticks_of
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import model_name

DAYS = 90
"""How many days of drift and of serving the page shows, the newest included."""

_CARD = "card.html"


def write_page(home: Home, out: Path) -> None:
    """Write the page, whole or not at all, and say where it is.

    Raises:
        InputError: `out` is not a file that ends in .html, or cannot be written.
    """
    out = out.expanduser()
    check_out(out, (".html",))
    home.require_used()
    content = page(known_of(home, now=datetime.now(UTC), beside=out.resolve().parent)).encode()
    with writing(f"The report {out.name}", out.resolve().parent):
        replace_file(out, content)
    screen.print(f"The report is {out.resolve()} ({len(content) / 1e6:.1f} MB): open it in a browser.")


def known_of(home: Home, *, now: datetime, beside: Path) -> ReportData:
    """What a home knows, as the page wants it.

    Args:
        beside: the folder that links to cards and reports start from.
    """
    problem = current_problem(home)
    lake = Lake(home.lake(problem.key))
    current = champion(home.bundles(problem.key))
    realised, estimated, gaps = (
        _table(lake, name) for name in ("model_performance", "estimated_performance", "performance_gap")
    )
    # From the log of ticks: what was decided since the last training has not landed in the lake.
    retraining = ticks_of(home, problem).table().to_pylist()
    landed, verdict = landed_rows(lake), _newest(lake, VERDICTS, current)
    return ReportData(
        problem=problem.name,
        statement=problem.statement,
        metric=problem.metric.primary,
        window_days=max((row["window_days"] for row in _rows(realised)), default=problem.watching.window_days),
        written_at=now,
        stale_after=problem.serving.stale_after,
        plural=problem.decision.plural,
        above_done=problem.decision.above_done,
        chooses=problem.decision.choose is not None,
        unit=problem.decision.unit,
        champion=_champion(home, problem, current, beside),
        decisions=decisions(lake),
        performance=_rows(realised),
        estimate=_rows(estimated),
        gaps=_rows(gaps),
        verdict=verdict,
        verdict_age=age_of_performance(date.fromisoformat(verdict["day"]), landed)
        if verdict and verdict["day"]
        else None,
        about_source=source_warnings(lake, landed, problem, today=now.date()),
        watch=_newest(lake, "champion_watch", current),
        trusted={name: trusted(gaps, name) for name in gaps["metric"].unique().to_pylist()} if gaps is not None else {},
        drift=_drift(lake),
        untested=untested(home, lake, problem, today=_after(landed, now)).sentence,
        reports=_reports(home.drift_reports(problem.key), beside),
        serving=_last_days(lake, "serving_health"),
        faults=_last_days(lake, REQUEST_FAULTS),
        incidents=book_of(home, problem).incidents(resolved=True),
        retraining=retraining,
        experiments=_experiments(lake),
        reached=_reached(home, problem, retraining),
    )


def _experiments(lake: Lake) -> list[dict[str, Any]]:
    return [{**row_of(each), "results": _looks(lake, each)} for each in experiments(lake)]


def _looks(lake: Lake, started: Started) -> list[dict[str, Any]]:
    return [{**row, "effects": primary_effects(row)} for row in results(lake, started)]


def _newest(lake: Lake, table: str, current: Bundle | None) -> dict[str, Any] | None:
    """The last row that is of the champion."""
    rows = [row for row in _rows(_table(lake, table)) if current and row["model_version"] == current.version]
    return rows[-1] if rows else None


def _champion(home: Home, problem: Problem, current: Bundle | None, beside: Path) -> Champion | None:
    if current is None:
        return None
    card = home.card(problem.key, current.version) / _CARD
    model = model_name(metadata_of_version(home.bundles(problem.key), current.version))
    return Champion(current.version, current.trained_at, _link(card, beside) if fetch_file(card) else None, model)


def _table(lake: Lake, name: str) -> pa.Table | None:
    return lake.read_arrow(name) if lake.exists(name) else None


def _rows(table: pa.Table | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_pylist()


def _after(landed: Sequence[Landed], now: datetime) -> date:
    """The day after the last that has landed: the clock of a simulated world would take note of being read."""
    newest = last_day(events_by_day(landed))
    return newest + timedelta(days=1) if newest else now.date()


def _drift(lake: Lake) -> list[dict[str, Any]]:
    """The last days that were tested; one that was tested without a champion has no rows."""
    days = days_looked_at(lake)
    if not days:
        return []
    first = date.fromisoformat(days[-1]) - timedelta(days=DAYS - 1)
    return _rows(lake.read_arrow(DATA_DRIFT, [day for day in days if day >= first.isoformat()]))


def _last_days(lake: Lake, table: str) -> list[dict[str, Any]]:
    rows = _rows(_table(lake, table))
    newest = max((row["day"] for row in rows), default=None)
    return [row for row in rows if (newest - row["day"]).days < DAYS]


def _reports(folder: Path, beside: Path) -> dict[str, str]:
    return {path.stem: _link(path, beside) for path in folder.glob("[0-9]*.html")}


def _link(path: Path, beside: Path) -> str:
    """Relative, so that a page and a home that are moved together still find each other."""
    return quote(os.path.relpath(path, beside))


def _reached(home: Home, problem: Problem, retraining: list[dict[str, Any]]) -> Sequence[tuple[datetime, date]] | None:
    """How far simulated data reached, and when: as recorded by trainings, since its days are not those of the clock."""
    if problem.clock == "wall":
        return None
    found = [(instant(row["tick_at"]), instant(row["data_until"]).date()) for row in retraining if row["data_until"]]
    bundles = home.bundles(problem.key)
    for version in bundled_versions(bundles):
        facts = metadata_of_version(bundles, version)
        learned = instant(facts["refit_until"]) + problem.label.window
        found.append((instant(facts["trained_at"]), learned.date()))
    return sorted(found)
