"""From values and instants to places on a picture, and the round values worth a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Scale:
    """A line from `low`..`high` onto `start`..`end`, in pixels; a range without extent lies in the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Times:
    """The same for instants, which all have a time zone."""

    first: datetime
    last: datetime
    start: float
    end: float

    def __call__(self, instant: datetime) -> float:
        whole = (self.last - self.first).total_seconds()
        return Scale(0, whole, self.start, self.end)((instant - self.first).total_seconds())


Ticks = list[tuple[float, str]]
Instants = list[tuple[datetime, str]]
"""Where the ticks are, and what is written there."""


ROOM = 0.06
"""Beyond the lowest and the highest value, as a share of what lies between them."""


def around(values: Sequence[float], *, including: Sequence[float] = ()) -> tuple[float, float]:
    """Bounds that leave some room about all finite values; 0 to 1 where there is none."""
    finite = [value for value in (*values, *including) if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = ROOM * (high - low) or ROOM * abs(high) or 1.0
    return low - room, high + room


def value_ticks(low: float, high: float, most: int = 6) -> Ticks:
    """At most so many round values within the bounds, a step of 1, 2 or 5 times a power of ten apart."""
    if high <= low:
        return [(low, f"{low:g}")]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(each * power for each in (1, 2, 5, 10, 20) if (high - low) / (each * power) <= most)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(k * step, f"{k * step:,.{digits}f}") for k in range(first, last + 1)]


_STEPS = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14)),
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def time_ticks(first: datetime, last: datetime, most: int = 8, *, shortest: timedelta = _STEPS[0]) -> Instants:
    """At most so many round instants within the bounds, UTC: minutes, hours, days, Mondays or months."""
    step = next((each for each in _STEPS if each >= shortest and (last - first) / each <= most), None)
    instants = _every(step, first, last) if step else _months(first, last, most)
    return [(each, _text(each, step, before)) for before, each in zip([None, *instants], instants, strict=False)]


def _every(step: timedelta, first: datetime, last: datetime) -> list[datetime]:
    # Counted from a Monday, so that weeks begin with one.
    count = -((_MONDAY - first) // step)
    found = []
    while (each := _MONDAY + count * step) <= last:
        found.append(each)
        count += 1
    return found


def _months(first: datetime, last: datetime, most: int) -> list[datetime]:
    start, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    step = next((each for each in _MONTHS if (end - start) / each <= most), _MONTHS[-1])
    starts = (datetime(k // 12, k % 12 + 1, 1, tzinfo=UTC) for k in range(start, end + 1) if k % step == 0)
    return [each for each in starts if first <= each <= last]


def _text(instant: datetime, step: timedelta | None, before: datetime | None) -> str:
    """As short as can be: what is the same as on the tick before is left out."""
    day = f"{instant:%b} {instant.day}" if step else f"{instant:%b}"
    if before is None or before.year != instant.year:
        day += f" {instant.year}"
    if step is None or step >= timedelta(days=1):
        return day
    clock = f"{instant:%H:%M}"
    return clock if before and before.date() == instant.date() else f"{day} {clock}"
