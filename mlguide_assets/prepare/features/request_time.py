"""What follows from the instant itself: ages, gaps and the calendar.

Plain arithmetic on microseconds since 1970 (UTC), so the same lines compute columns in DuckDB and single numbers at
request time.
"""

from typing import Any

from mlguide_assets.define.features import Declaration

DAY = 86_400_000_000
HOUR = 3_600_000_000
_THURSDAY = 3
"""The weekday of 1970-01-01, Monday being 0."""
_LONG_AGO = 1000 * 146_097
"""Days of a thousand times four centuries, after which the calendar repeats itself: so no day is negative."""
_MARCH, _JANUARY = _LONG_AGO + 719_468, _LONG_AGO + 719_162
"""Days from the first of March of the year 0, and from the first of January of the year 1, to 1970-01-01."""


def at_request(declaration: Declaration, at: Any, since: Any) -> Any:
    """A feature that follows from the instant.

    Args:
        declaration: of age, since_last or calendar.
        at: the instant of the decision.
        since: what an age or a gap counts from; None of the calendar.
    """
    if declaration.operator == "calendar":
        return calendar(declaration.operand, at)
    return days_between(since, at // DAY * DAY if declaration.as_of == "day" else at)


def days_between(since: Any, at: Any) -> Any:
    """Days from an instant to another; null (or NaN) where one is.

    >>> days_between(0, 36 * HOUR)
    1.5
    """
    return (at - since) / DAY


def calendar(part: str, at: Any) -> Any:
    """What the calendar says at an instant, UTC.

    >>> calendar("day_of_week", 0), calendar("hour", 25 * HOUR), calendar("day_of_year", 31 * DAY)
    (3, 1, 32)
    """
    match part:
        case "hour":
            return _modulo(at // HOUR, 24)
        case "day_of_week":
            return _modulo(at // DAY + _THURSDAY, 7)
        case "day_of_month":
            return (5 * _day_of_year(at, _MARCH) + 2) % 153 // 5 + 1
        case "month":
            return ((5 * _day_of_year(at, _MARCH) + 2) // 153 + 2) % 12 + 1
        case "day_of_year":
            return _day_of_year(at, _JANUARY) + 1
    raise ValueError(f"{part!r} is not a part of the calendar")


def _day_of_year(at: Any, beginning: int) -> Any:
    """Days since the last beginning of a year. Each number is used once: in SQL it would be written at each use.

    A leap day is the last of a year that begins in March, and may as well be the last of one that begins in January.

    Args:
        beginning: of the calendar, in days before 1970.
    """
    of_century = (4 * (at // DAY + beginning) + 3) % 146_097 // 4
    return (4 * of_century + 3) % 1461 // 4


def _modulo(value: Any, size: int) -> Any:
    """The remainder, never negative: SQL's has the sign of the value, which is below zero before 1970."""
    return (value % size + size) % size
