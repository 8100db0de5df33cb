"""Partitions follow the data: they end with the day that can be scored, and shrink where data were taken back."""

from datetime import date

import pytest

from mlguide_assets.defs.days import known_days
from mlguide_assets.defs.workspace import SCORING_DATES
from mlguide_assets_tests.defs.house import House


@pytest.mark.parametrize(("first", "last"), [(5, 9), (5, 12), (5, 7), (2, 9), (6, 9)])
def test_partitions_are_the_days_that_can_be_scored_in_their_order(first: int, last: int, house: House) -> None:
    assert known_days(house.instance, house.workspace) == []
    for start, end in ((5, 9), (first, last)):
        house.land(end - start + 1, last=date(2025, 3, end))
        wanted = [f"2025-03-{day:02d}" for day in range(start, end + 2)]
        assert known_days(house.instance, house.workspace) == wanted
        assert list(house.instance.get_dynamic_partitions(str(SCORING_DATES.name))) == wanted
