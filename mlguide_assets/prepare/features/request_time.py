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
            return _date(at)[2]
        case "month":
            return _date(at)[1]
        case "day_of_year":
            days = at // DAY
            year, _, _ = _date(at)
            return days - _days_before_year(year) + 1
    raise ValueError(f"{part!r} is not a part of the calendar")


def _date(at: Any) -> tuple[Any, Any, Any]:
    """Year, month and day of an instant: integer arithmetic alone, over eras of 400 years that begin in March."""
    days = at // DAY + 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    since_march = (5 * of_year + 2) // 153
    day = of_year - (153 * since_march + 2) // 5 + 1
    next_year = since_march // 10
    month = since_march + 3 - 12 * next_year
    return year_of_era + era * 400 + next_year, month, day


def _days_before_year(year: Any) -> Any:
    """Days from 1970-01-01 to the first day of a year."""
    past = year - 1
    return 365 * past + past // 4 - past // 100 + past // 400 - 719_162


def _modulo(value: Any, size: int) -> Any:
    """The remainder, never negative: SQL's has the sign of the value, which is below zero before 1970."""
    return (value % size + size) % size
