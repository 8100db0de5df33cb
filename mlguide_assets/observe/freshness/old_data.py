"""Whether the data ended long ago: a feed that stands still. It imports neither Ibis nor DuckDB."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from mlguide_assets.define.problem import Problem
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.alerts.alert import DATA_OLD, Alert
from mlguide_assets.observe.drift.windows import Landed
from mlguide_assets.observe.freshness.new_days import events_by_day
from mlguide_assets.prepare.clock import last_day

_OLD = timedelta(days=7)
"""Data that end less long ago may wait for a weekend or a holiday."""

_GAPS = 2
"""Data are not old either until this multiple of their own longest gap has passed."""


@dataclass(frozen=True)
class OldData:
    """The last day of data that ended long ago, and how many days ago that was."""

    newest: date
    days: int

    @property
    def sentence(self) -> str:
        """With what to look at, without a full stop."""
        return (
            f"The data end on {self.newest}, {self.days:,} days ago: look at what fills the source. Where they have "
            f"ended, write serving: {{clock: data}} in the problem file, and where they come that late, a longer "
            f"serving: {{stale_after}}"
        )


def old_data_alert(landed: Iterable[Landed], problem: Problem, *, today: date) -> Alert | None:
    """The data ended long ago; None where they have not, as of `old_data`."""
    old = old_data(landed, problem, today=today)
    if old is None:
        return None
    return Alert(
        key=DATA_OLD,
        kind="data",
        level="warn",
        title=f"No data have come since {old.newest}",
        happened=f"{old.sentence}.",
        since=zoned_midnight(old.newest),
        severity="Scores, plans and what the API answers are made of old data.",
        next_step="Correct what fills the source: the next reading takes what it has.",
        facts={"newest": old.newest.isoformat()},
    )


def old_data(landed: Iterable[Landed], problem: Problem, *, today: date) -> OldData | None:
    """The end of the data, where that is long ago; None where it is not, or the problem says that they have ended.

    Args:
        landed: rows of `landed_days`.
        today: by the clock of the wall, UTC.
    """
    days = sorted(events := events_by_day(landed))
    newest = last_day(events)
    if problem.clock == "data" or newest is None:
        return None
    gap = max((later - earlier for earlier, later in pairwise(days) if later <= newest), default=timedelta())
    old = today - newest >= max(_OLD, problem.serving.stale_after, _GAPS * gap)
    return OldData(newest, (today - newest).days) if old else None
