"""Regular cut-offs, and how many events of an entity each of them sees.

An event is seen by a range of neighbouring cut-offs. So events become ranges, ranges become steps up and down, and
their running sum is the count at every cut-off: the work grows with the events and the answers, not with their
product.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis

from mlguide_assets.prepare.features.events import micros, timestamp_of

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class CutOffs:
    """Instants at equal distances, numbered from 0.

    Attributes:
        first: the instant of number 0, in microseconds since 1970.
        every: the distance, in microseconds.
        number: how many there are; 0 where the history is too short for any.
    """

    first: int
    every: int
    number: int

    @classmethod
    def between(cls, start: datetime, end: datetime, *, every: timedelta, anchor: datetime) -> "CutOffs":
        """All cut-offs in [start, end], one of which is the anchor if it lies there.

        >>> start, end = datetime(2024, 1, 3), datetime(2024, 1, 20)
        >>> CutOffs.between(start, end, every=timedelta(7), anchor=datetime(2024, 1, 1))
        CutOffs(first=1704672000000000, every=604800000000, number=2)
        """
        step = micros(every)
        origin, low, high = (micros(instant - _EPOCH) for instant in (anchor, start, end))
        first = origin - (origin - low) // step * step
        return cls(first=first, every=step, number=max((high - first) // step + 1, 0))

    @property
    def newest(self) -> datetime | None:
        """The last of them; None where there is none."""
        return _EPOCH + timedelta(microseconds=self.first + (self.number - 1) * self.every) if self.number else None

    def after(self, instant: ibis.Value) -> ibis.Value:
        """The number of the first cut-off later than an instant (int64, microseconds); `number` where there is none.

        Null where the instant is: DuckDB's greatest and least would skip it.
        """
        passed = ibis.greatest(instant - self.first + self.every, 0) // self.every
        return ibis.ifelse(instant.isnull(), ibis.null("int64"), ibis.least(passed.cast("int64"), self.number))

    def not_before(self, instant: ibis.Value) -> ibis.Value:
        """The number of the first cut-off that is not earlier than an instant."""
        return self.after(instant - 1)

    def instant(self, number: ibis.Value) -> ibis.Value:
        """The instant of a cut-off in microseconds since 1970."""
        return number * self.every + self.first

    def time(self, number: ibis.Value) -> ibis.Value:
        """The instant of a cut-off as a time stamp."""
        return timestamp_of(self.instant(number))


def counts_at(ranges: ibis.Table, key: str) -> ibis.Table:
    """How many ranges of a key hold each cut-off.

    Args:
        ranges: the key, `start` and `stop`: numbers of cut-offs; a range holds start, but not stop.

    Returns:
        The key, `cut_off` (its number) and `events` (int64), where there is at least one.
    """
    ranges = ranges.filter(ranges.start < ranges.stop)
    up = ranges.group_by(key, cut_off=ranges.start).aggregate(change=ranges.count())
    down = ranges.group_by(key, cut_off=ranges.stop).aggregate(change=-ranges.count())
    both = up.union(down)
    changes = both.group_by(key, "cut_off").aggregate(change=both.change.sum().cast("int64"))
    steps = changes.mutate(
        events=changes.change.sum().over(ibis.cumulative_window(group_by=key, order_by="cut_off")).cast("int64"),
        until=changes.cut_off.lead().over(group_by=key, order_by="cut_off"),
    )
    held = steps.filter(steps.events > 0)
    return held.select(key, cut_off=ibis.range(held.cut_off, held.until).unnest(), events=held.events)
