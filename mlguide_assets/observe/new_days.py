"""Which days are to be judged: those that landed, or landed again, since. It imports neither Ibis nor DuckDB."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import metadata_of_version, pointed_version
from mlguide_assets.observe.drift_table import signatures
from mlguide_assets.prepare.clock import last_day, usual_rows
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

LANDED_DAYS = "landed_days"
MOST_DAYS = 14
"""Only the last days are looked at: older ones were, or came before anybody watched."""

_OUTCOMES = "/"
"""Parts a signature: what was sent, and what became of it."""


def days_to_judge(home: Home, lake: Lake, problem: Problem, *, today: date) -> dict[date, str]:
    """Complete days that were not judged as they are now, by this champion, oldest first; each with its signature.

    A day without sends is one of them once a later one has landed: that nothing arrived is news then, and not before.
    Days that the champion's own reference is made of are none.

    Args:
        today: by the clock of the source.
    """
    bundles = home.bundles(problem.key)
    champion = pointed_version(bundles)
    landed = {row["day"]: row for row in lake.read_arrow(LANDED_DAYS).to_pylist()} if lake.exists(LANDED_DAYS) else {}
    if champion is None or not landed:
        return {}
    reference_ends = date.fromisoformat(metadata_of_version(bundles, champion)["test_last"])
    last = last_landed_day({day: row["rows"] for day, row in landed.items()}, today=today)
    recent = last - timedelta(days=MOST_DAYS - 1)
    # Outcomes may become final later than that, which is news of a day that was judged without them.
    first = max(recent - problem.label.window, reference_ends + timedelta(days=1), min(landed))
    days = [first + timedelta(days=back) for back in range((last - first).days + 1)]
    judged = signatures(lake, champion)
    signed = {day: signature(landed.get(day)) for day in days if day >= recent or day.isoformat() in judged}
    return {day: sign for day, sign in signed.items() if judged.get(day.isoformat()) != sign}


def last_landed_day(rows: Mapping[date, int], *, today: date) -> date:
    """The last day that has landed: it is over and has half of a usual day's sends, or a later day has some.

    Args:
        rows: sends per day, of days that have any.
        today: by the clock of the source.
    """
    newest = last_day(rows) or today
    whole = newest < today and rows[newest] >= usual_rows(rows, newest) / 2
    return newest if whole else newest - timedelta(days=1)


def signature(landed: Mapping[str, Any] | None) -> str:
    """What a day was judged as: another for other sends, and once all outcomes are final.

    Args:
        landed: its row of `landed_days`; None where it has no sends.
    """
    if landed is None:
        return "0"
    return f"{landed['rows']}-{landed['digest']}{_OUTCOMES}{landed.get('outcomes') or ''}"


def same_sends(one: str | None, other: str | None) -> bool:
    """Whether two signatures are of the same sends, whatever became of them."""
    return one is not None and other is not None and one.split(_OUTCOMES)[0] == other.split(_OUTCOMES)[0]
