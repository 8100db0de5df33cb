"""Instants as the tables have them: UTC, without a time zone. Where a zone is needed, the name says so."""

from datetime import UTC, date, datetime, time


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
