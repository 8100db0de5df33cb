"""What follows from the instant itself: ages, gaps and the calendar.

Plain arithmetic on microseconds since 1970 (UTC), so the same lines compute columns in DuckDB and
single numbers at request time.
"""

from typing import Any

MICROSECONDS_PER_HOUR = 3_600_000_000
DAY = 24 * MICROSECONDS_PER_HOUR
_THURSDAY = 3
"""The weekday of 1970-01-01, Monday being 0."""


def moment_features(*, at: Any, joined_at: Any, created_at: Any, last_at: Any) -> dict[str, Any]:
    """The features that need only the instant and three times.

    Args:
        at: the instant of the decision, int64 microseconds since 1970, or an Ibis column of these.
        joined_at: when the user joined.
        created_at: when the email was created.
        last_at: the previous send to the user; null (or NaN) where there is none.
    """
    return {
        "tenure_days": (at - joined_at) / DAY,
        "email_age_days": (at - created_at) / DAY,
        "days_since_last_email": (at - last_at) / DAY,
        "day_of_week": _modulo(at // DAY + _THURSDAY, 7),
        "hour_of_day": _modulo(at // MICROSECONDS_PER_HOUR, 24),
    }


def _modulo(value: Any, size: int) -> Any:
    """The remainder, never negative: SQL's has the sign of the value, which is below zero before 1970."""
    return (value % size + size) % size
