"""Where the test window starts, what lies in the gap, and what is said when there is too little history."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.errors import InputError
from mlguide_assets.train.split import Times, split_by_days, split_by_time, split_decisions
from mlguide_assets_tests.samples import sample_problem
from mlguide_assets_tests.train.times import WEEK, days


def test_the_latest_share_of_the_rows_is_the_test() -> None:
    split = split_by_time(days(*range(100)), test_share=0.25, gap=WEEK)
    assert split.test.tolist() == list(range(75, 100))
    assert split.test_start == days(75)[0]


def test_rows_in_the_gap_are_on_neither_side() -> None:
    split = split_by_time(days(*range(100)), test_share=0.25, gap=WEEK)
    assert split.train.tolist() == list(range(69))


def test_outcomes_that_arrive_late_are_not_known_when_the_test_window_begins() -> None:
    late = sample_problem("nowhere", tables={"user_emails": {"arrives_within": "3d"}})
    assert split_decisions(days(*range(100)), late).gap == late.label.window + timedelta(days=3)


def test_the_order_of_the_rows_does_not_matter() -> None:
    times = days(*range(100))
    shuffled = np.random.default_rng(0).permutation(100)
    split = split_by_time(times[shuffled], test_share=0.25, gap=WEEK)
    assert sorted(shuffled[split.test]) == list(range(75, 100))
    assert sorted(shuffled[split.train]) == list(range(69))


def test_rows_of_one_instant_stay_together() -> None:
    times = days(*[0] * 10, *[20] * 10, *[40] * 10)
    split = split_by_time(times, test_share=0.15, gap=WEEK)
    assert split.test.tolist() == list(range(20, 30))
    assert split.train.tolist() == list(range(20))


def test_a_row_exactly_the_gap_before_the_test_has_matured_and_is_learned_from() -> None:
    split = split_by_time(days(0, 3, 3.1, 10), test_share=0.1, gap=WEEK)
    assert split.train.tolist() == [0, 1]


@given(
    hours=st.lists(st.integers(0, 24 * 60), min_size=2, max_size=60),
    share=st.floats(0.01, 0.99),
    gap=st.integers(1, 24 * 20),
)
def test_every_training_label_matured_before_the_test_starts(hours: list[int], share: float, gap: int) -> None:
    times, window = days(*(hour / 24 for hour in hours)), timedelta(hours=gap)
    try:
        split = split_by_time(times, test_share=share, gap=window)
    except InputError:
        return
    assert (times[split.train] + np.timedelta64(window) <= split.test_start).all()
    assert (times[split.test] >= split.test_start).all()
    assert len(split.test) >= min(len(times), int(share * len(times)))
    assert len(split.train)


@pytest.mark.parametrize(
    ("times", "gap", "said"),
    [
        (days(), WEEK, "The history has 0 matured decisions"),
        (days(0), WEEK, "The history has 1 matured decisions"),
        (days(*[5] * 1000), WEEK, "The history has 1,000 matured decisions"),
        (days(0, 1, 2, 3), WEEK, "keep the last 25% for a test after a gap of 7 days"),
        (days(0, 0.1), timedelta(hours=36), "a gap of 36 hours"),
    ],
)
def test_too_short_a_history_is_said_with_what_to_change(times: Times, gap: timedelta, said: str) -> None:
    with pytest.raises(InputError) as error:
        split_by_time(times, test_share=0.25, gap=gap)
    assert said in str(error.value)
    assert str(error.value).endswith("add history, or lower evaluation.test_share or label.window.")


def test_the_latest_days_are_the_test_and_the_gap_is_before_them() -> None:
    split = split_by_days(days(*range(100), 99.5), test_days=7, gap=WEEK)
    assert split.test.tolist() == list(range(93, 101))
    assert split.train.tolist() == list(range(87))


def test_a_history_that_is_no_longer_than_that_leaves_nothing_to_learn_from() -> None:
    assert not len(split_by_days(days(*np.linspace(0, 10, 40)), test_days=7, gap=WEEK).train)
