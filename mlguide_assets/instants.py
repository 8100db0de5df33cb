"""Instants as the tables have them: UTC, without a time zone. Where a zone is needed, the name says so."""

from datetime import UTC, date, datetime, time, timedelta

CLOCKS_APART = timedelta(minutes=1)
"""How far the clocks of hosts that share what they write may be apart."""


def midnight(day: date) -> datetime:
    """The start of a day, UTC without a zone.

    >>> midnight(date(2025, 3, 9))
    datetime.datetime(2025, 3, 9, 0, 0)
    """
    return datetime.combine(day, time())


def zoned_midnight(day: date) -> datetime:
    """The start of a day, UTC with its zone, as alerts and pages write it.

    >>> zoned_midnight(date(2025, 3, 9)).isoformat()
    '2025-03-09T00:00:00+00:00'
    """
    return datetime.combine(day, time(), UTC)


def now_utc() -> datetime:
    """The wall's clock, UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def zoned_now() -> datetime:
    """The wall's clock, UTC with its zone."""
    return datetime.now(UTC)


def is_over(pause: timedelta, *, since: datetime, now: datetime) -> bool:
    """Whether a pause that began at an instant is over.

    It is, too, where the clock was set back behind its beginning: nobody knows how much of it has passed, and until
    the clock is there again may be days.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> is_over(timedelta(minutes=10), since=noon, now=datetime(2026, 1, 1, 12, 9))
    False
    >>> is_over(timedelta(minutes=10), since=noon, now=datetime(2025, 12, 31, 12, 9))
    True
    """
    return not since - CLOCKS_APART <= now < since + pause
