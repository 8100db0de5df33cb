"""Instants without a zone are those of UTC, and those with one are the same instants."""

from datetime import UTC, date, datetime, timedelta

from mlguide_assets.instants import midnight, now_utc, zoned_midnight, zoned_now


def test_midnight_has_a_zone_only_where_its_name_says_so() -> None:
    day = date(2024, 2, 29)
    assert midnight(day) == datetime(2024, 2, 29)
    assert zoned_midnight(day) == datetime(2024, 2, 29, tzinfo=UTC)
    assert midnight(day).replace(tzinfo=UTC) == zoned_midnight(day)


def test_now_is_that_of_utc() -> None:
    assert now_utc().tzinfo is None
    assert abs(now_utc().replace(tzinfo=UTC) - zoned_now()) < timedelta(minutes=1)
