"""Whether the data ended long ago: a feed that stands still. It imports neither Ibis nor DuckDB."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from mlguide_assets.define.problem import Problem
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.drift_windows import Landed
from mlguide_assets.observe.new_days import events_by_day
from mlguide_assets.prepare.clock import last_day

DATA_OLD = "data-old"
"""The key of the incident."""

_OLD = timedelta(days=7)
"""Data that end less long ago may wait for a weekend or a holiday."""

_GAPS = 2
"""Data are not old either until this multiple of their own longest gap has passed."""


@dataclass(frozen=True)
class OldData:
    """The last day of data that ended long ago, and how many days ago that was."""

    newest: date
    days: int

    def said(self) -> str:
        """As a sentence, with what to look at."""
        return (
            f"The data end on {self.newest}, {self.days:,} days ago: look at what fills the source. Where they have "
            f"ended, write serving: {{clock: data}} in the problem file, and where they come that late, a longer "
            f"serving: {{stale_after}}"
        )

    def alert(self) -> Alert:
        return Alert(
            key=DATA_OLD,
            kind="data",
            level="warn",
            title=f"No data have come since {self.newest}",
            happened=f"{self.said()}.",
            since=zoned_midnight(self.newest),
            severity="Scores, plans and what the API answers are made of old data.",
            next_step="Correct what fills the source: the next reading takes what it has.",
            facts={"newest": self.newest.isoformat()},
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
