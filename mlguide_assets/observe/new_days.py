"""Which days are to be tested for drift: those that landed, or landed again, since.

It imports neither Ibis nor DuckDB.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import metadata_of_version, pointed_version
from mlguide_assets.observe.drift_table import signatures
from mlguide_assets.prepare.clock import last_day, usual_rows
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

LANDED_DAYS = "landed_days"
MOST_DAYS, MOST_CUT_OFFS = 14, 2
"""Only the last days, or cut-offs, are looked at: older ones were, or came before monitoring began."""

_OUTCOMES = "/"
"""Separates the parts of a signature: the decisions, and their outcomes."""


def days_to_check(home: Home, lake: Lake, problem: Problem, *, today: date) -> dict[date, str]:
    """Complete days that this champion was not compared with as they are now, oldest first; each with its signature.

    A day without events is one of them once a later one has landed: that nothing arrived is news then, and not before.
    Where decisions are made at cut-offs, only their days are. Days that the champion's own reference is made of are
    none.

    Args:
        today: by the clock of the source.
    """
    bundles = home.bundles(problem.key)
    champion = pointed_version(bundles)
    landed = {row["day"]: row for row in lake.read_arrow(LANDED_DAYS).to_pylist()} if lake.exists(LANDED_DAYS) else {}
    if champion is None or not landed:
        return {}
    reference_ends = date.fromisoformat(metadata_of_version(bundles, champion)["test_last"])
    last = last_landed_day(events_by_day(landed.values()), today=today)
    recent = last - _looked_at(problem)
    # Outcomes may become final later than that, which is news of a day that was tested without them.
    first = max(recent - problem.label.window, reference_ends + timedelta(days=1), min(landed))
    days = days_with_decisions(
        [first + timedelta(days=back) for back in range((last - first).days + 1)], landed, problem
    )
    tested = signatures(lake, champion)
    signed = {day: signature(landed.get(day)) for day in days if day >= recent or day.isoformat() in tested}
    return {day: sign for day, sign in signed.items() if tested.get(day.isoformat()) != sign}


def days_with_decisions(days: Iterable[date], landed: Mapping[date, Mapping[str, Any]], problem: Problem) -> list[date]:
    """Those of some days on which something is decided: all of them, or cut-offs alone.

    Args:
        landed: rows of `landed_days` by their day.
    """
    return [day for day in days if problem.decision.is_event or decisions_on(landed.get(day))]


def decisions_on(landed: Mapping[str, Any] | None) -> int:
    """How much was decided on a day, by its row of `landed_days`."""
    # Tables of before cut-offs were watched have a row per day of events alone.
    return int(landed.get("decisions", landed["rows"])) if landed else 0


def events_by_day(landed: Iterable[Mapping[str, Any]]) -> dict[date, int]:
    """Events per day, of days that have any."""
    return {row["day"]: row["rows"] for row in landed if row["rows"]}


def _looked_at(problem: Problem) -> timedelta:
    predict = problem.predict
    if isinstance(predict, PredictEvent):
        return timedelta(days=MOST_DAYS - 1)
    return max(timedelta(days=MOST_DAYS - 1), MOST_CUT_OFFS * predict.every)


def last_landed_day(rows: Mapping[date, int], *, today: date) -> date:
    """The last day that has landed: it is over and has half of a usual day's events, or a later day has some.

    Args:
        rows: events per day, of days that have any.
        today: by the clock of the source.
    """
    newest = last_day(rows) or today
    whole = newest < today and rows[newest] >= usual_rows(rows, newest) / 2
    return newest if whole else newest - timedelta(days=1)


def signature(landed: Mapping[str, Any] | None) -> str:
    """Identifies what was tested on a day: it changes with the decisions, and once all outcomes are final.

    Args:
        landed: its row of `landed_days`; None where it has none.
    """
    if not decisions_on(landed) or landed is None:
        return "0"
    return f"{decisions_on(landed)}-{landed['digest']}{_OUTCOMES}{landed.get('outcomes') or ''}"


def same_decisions(one: str | None, other: str | None) -> bool:
    """Whether two signatures are of the same decisions, whatever became of them."""
    return one is not None and other is not None and one.split(_OUTCOMES)[0] == other.split(_OUTCOMES)[0]
