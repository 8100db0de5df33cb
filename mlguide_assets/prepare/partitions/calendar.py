"""Which partition an event is in: days while a label of theirs may change, then months, then years.

So the partitions of a table stay few, whether its history is fifty sparse years or one dense one, and a day that
arrives touches small files only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import ibis

KEY = "_lake_partition"
"""The column that names the partition of a row, while rows of several are together. A source may have a `partition`."""
UNDATED = "undated"
"""The partition of events without a time. It sorts behind all dates."""

_FIRST = date.min
"""Databases know times before the year 1; they are in its partition."""


@dataclass(frozen=True)
class Calendar:
    """Days from `open_from` on are partitions of their own; before it the months of its year, and before these, years.

    The keys sort in the order of time.
    """

    open_from: date

    @classmethod
    def of(cls, newest: date, window: timedelta) -> "Calendar":
        """The calendar of a history that ends on a day.

        Args:
            newest: the day of the newest event.
            window: how long an outcome may change after its decision.
        """
        days = -(-window // timedelta(days=1))
        first = date.fromordinal(max(newest.toordinal() - days, _FIRST.toordinal()))
        return cls(first.replace(day=1))

    def key(self, day: date | None) -> str:
        """The partition of a day."""
        if day is None:
            return UNDATED
        if day >= self.open_from:
            return day.isoformat()
        return day.isoformat()[: 7 if day.year == self.open_from.year else 4]

    def keys(self, time: ibis.Value) -> ibis.Value:
        """The same for a column of times."""
        day = day_of(time)
        text = day.cast("string")
        key = ibis.cases(
            (day >= self.open_from, text),
            (day >= self.open_from.replace(month=1, day=1), text.left(7)),
            else_=text.left(4),
        )
        return ibis.ifelse(time.isnull(), UNDATED, key)

    def among(self, time: ibis.Value, keys: Sequence[str]) -> ibis.Value:
        """Whether times are in one of these partitions, of which there is at least one.

        After a day, these are the newest: a comparison rules out the times before them, which are most.
        """
        among = self.keys(time).isin(keys)
        first = datetime.min if UNDATED in keys else datetime.fromisoformat(f"{min(keys)}-01-01"[:10])
        return among if first.date() == _FIRST else (time >= ibis.literal(first)) & among


def day_of(time: ibis.Value) -> ibis.Value:
    """The day of a time, no earlier than Python can name."""
    day = time.date()
    return ibis.ifelse(day < _FIRST, ibis.literal(_FIRST), day)
