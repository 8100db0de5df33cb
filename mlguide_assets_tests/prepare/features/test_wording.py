"""How the parts of a declaration are put into words; more examples are in its docstrings."""

from pathlib import Path
from typing import get_args

import pytest

from mlguide_assets.define.features import CalendarPart
from mlguide_assets.deploy.serving.phrases import phrase_of
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.request_time import calendar
from mlguide_assets.prepare.features.wording import CALENDAR
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of

DAY = 86_400_000_000


def test_every_part_of_the_calendar_has_words() -> None:
    assert set(CALENDAR) == set(get_args(CalendarPart))


@pytest.mark.parametrize("part", get_args(CalendarPart))
def test_the_calendar_says_nothing_beyond_its_first_and_last_value(part: str) -> None:
    # Five years of days and the hours of the first, from 1970 on: a leap year is among them.
    instants = [day * DAY for day in range(5 * 365)] + [hour * DAY // 24 for hour in range(24)]
    values = [calendar(part, at) for at in instants]
    assert (min(values), max(values)) == (CALENDAR[part].first, CALENDAR[part].last)


def test_a_meaning_and_a_phrase_say_one_window_alike() -> None:
    declared = {"last_day": {"count": "payment", "by": "card", "within": "1d", "where": {"amount": {"at_least": 9}}}}
    problem = problem_of({**PAYMENTS, "features": {"declared": declared}}, Path("data"))
    feature = next(each for each in features_of(problem) if each.name == "last_day")
    assert feature.description == "Number of earlier payments of the card with amount ≥ 9, in the 24 hours before."
    assert phrase_of(feature, problem)(2) == "2 payments of the card with amount ≥ 9 in the 24 hours before"
