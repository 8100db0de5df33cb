"""The state that triggers decide from: rows that assets wrote; nothing is computed here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import decisions
from mlguide_assets.deploy.plan.policies import ASSIGNMENTS
from mlguide_assets.observe.drift.table import of_decisions, recent
from mlguide_assets.observe.drift.windows import Landed, decisions_on
from mlguide_assets.observe.freshness.landed import landed_rows
from mlguide_assets.observe.freshness.new_days import events_by_day
from mlguide_assets.observe.performance.verdict import VERDICTS
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.ticks import EVIDENCE_TRIGGERS, FAILED, ROLL_BACK, RUN, TickLog
from mlguide_assets.settings import Home

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TriggerState:
    """What every trigger decides from. Days are days of the data, not of the wall.

    Attributes:
        newest: the last day that has events; None before the first reading.
        learned_until: the day of the last decision that the last candidate learned from; None before the first.
        new_matured: decisions of later days whose outcome has matured, and is known.
        champion: the version in production, if any.
        drift: rows of `data_drift` of the decisions of the last days, tested against this champion, oldest day first.
        verdicts: rows of `performance_verdicts` of this champion, oldest day first.
        last_action: the newest day of data when evidence last had a model trained or rolled back.
        experimented: days (ISO 8601) on which an experiment chose for some units.
        dropped: the days of data on which a drop of this champion had a model trained; it is champion still.
    """

    newest: date | None
    learned_until: date | None = None
    new_matured: int = 0
    champion: str | None = None
    drift: Sequence[Row] = ()
    verdicts: Sequence[Row] = ()
    last_action: date | None = None
    experimented: frozenset[str] = frozenset()
    dropped: Sequence[date] = ()


def trigger_state(home: Home, lake: Lake, problem: Problem, ticks: TickLog) -> TriggerState:
    """Read the current state."""
    days, learned = landed(lake), _learned_until(lake)
    newest = last_day(days)
    champion = pointed_version(home.bundles(problem.key))
    return TriggerState(
        newest=newest,
        learned_until=learned,
        new_matured=matured_since(landed_rows(lake), learned),
        champion=champion,
        drift=[row for row in recent(lake).to_pylist() if of_decisions(row) and row["model_version"] == champion],
        verdicts=rows_of(lake, VERDICTS, champion),
        last_action=_last_action(ticks),
        experimented=experimented_days(lake),
        dropped=_dropped(ticks, champion),
    )


def experimented_days(lake: Lake) -> frozenset[str]:
    """The days (ISO 8601) on which an experiment chose for some units: what drifts there may be its doing."""
    return frozenset(lake.snapshot(ASSIGNMENTS).partitions if lake.exists(ASSIGNMENTS) else ())


def landed(lake: Lake) -> dict[date, int]:
    """How many events each day has that has any: those that the data's clock goes by."""
    return events_by_day(landed_rows(lake))


def matured_since(landed: Iterable[Landed], learned_until: date | None) -> int:
    """Decisions of days after `learned_until`, all of which have matured, whose outcome is known.

    Where a source has no outcome although its time is over, there is nothing to learn.

    >>> landed = [{"day": date(2026, 1, day), "decisions": 10, "matured": 10, "known": 9} for day in (1, 2, 3)]
    >>> matured_since([*landed, {"day": date(2026, 1, 4), "decisions": 10, "matured": 4, "known": 4}], date(2026, 1, 1))
    18
    """
    # Tables of an earlier version do not know: those of the next reading do.
    return sum(
        row.get("known", 0)
        for row in landed
        if (learned_until is None or row["day"] > learned_until) and row.get("matured") == decisions_on(row)
    )


def _learned_until(lake: Lake) -> date | None:
    """Of the last candidate that was decided on: one whose training was killed before that came to nothing."""
    if not lake.exists("candidate_model"):
        return None
    decided = {row["trained_at"] for row in decisions(lake)}
    for snapshot in reversed(lake.history("candidate_model")):
        (row,) = lake.read_arrow("candidate_model", snapshot_id=snapshot.id).to_pylist()
        if row["trained_at"] in decided:
            return datetime.fromisoformat(json.loads(row["facts"])["refit_until"]).date()
    return None


def _last_action(ticks: TickLog) -> date | None:
    """The data's day when evidence last had a model trained or rolled back; a training that failed is none."""
    acted = [
        tick["data_until"]
        for tick in ticks.ticks()
        if tick["decision"] == ROLL_BACK or (_has_trained(tick) and tick["trigger"] in EVIDENCE_TRIGGERS)
    ]
    return max((date.fromisoformat(day) for day in acted if day), default=None)


def _has_trained(tick: Row) -> bool:
    """Whether a tick had a model trained, or will have."""
    return bool(tick["decision"] == RUN and tick["outcome"] != FAILED)


def _dropped(ticks: TickLog, champion: str | None) -> list[date]:
    return [
        date.fromisoformat(tick["data_until"])
        for tick in ticks.ticks()
        if _has_trained(tick)
        and tick["trigger"] == "performance_drop"
        and tick["evidence"].get("champion") == champion
        and tick["data_until"]
    ]


def rows_of(lake: Lake, table: str, version: str | None, **equal: object) -> list[dict[str, Any]]:
    """The rows of a table that are of a model version, by day."""
    if version is None or not lake.exists(table):
        return []
    rows = lake.read_arrow(table)
    for column, value in {"model_version": version, **equal}.items():
        rows = rows.filter(pc.equal(rows[column], pa.scalar(value)))
    return list(rows.sort_by("day").to_pylist())
