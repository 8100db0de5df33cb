"""Folds for choosing: ordered in time, a gap before each, users apart where asked, and whole users in a sample."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.define.decision import Decision
from mlguide_assets.errors import InputError
from mlguide_assets.train.folds import (
    EARLIEST_SHARE,
    Fold,
    Units,
    expanding_folds,
    folds_from,
    refuse_one_outcome,
    rows_of_whole_units,
)
from mlguide_assets.train.split import Times
from mlguide_assets_tests.train.times import WEEK, days

# Half days over some weeks, so that many rows share an instant, with the borders of windows among them.
HALF_DAYS = st.lists(st.integers(0, 120), min_size=1, max_size=120)
GAPS = st.integers(0, 24 * 20).map(lambda hours: timedelta(hours=hours))
HUNDRED = days(*range(100))


def folds_or_none(times: Times, folds: int, gap: timedelta, users: Units | None = None, share: float = 0) -> list[Fold]:
    """The folds; none where the history is too short, which is said and nothing else."""
    try:
        return expanding_folds(times, folds=folds, gap=gap, units=users, holdout_units=share)
    except InputError:
        return []


@given(half_days=HALF_DAYS, folds=st.integers(1, 5), gap=GAPS)
def test_no_validation_row_is_earlier_than_any_training_row_and_the_gap(
    half_days: list[int], folds: int, gap: timedelta
) -> None:
    times = days(*(half / 2 for half in half_days))
    for fold in folds_or_none(times, folds, gap):
        assert len(fold.train)
        assert len(fold.validate)
        assert times[fold.validate].min() >= times[fold.train].max() + np.timedelta64(gap)
        assert not set(times[fold.validate]) & set(times[fold.train])


@given(half_days=HALF_DAYS, folds=st.integers(1, 5), gap=GAPS)
def test_validation_windows_are_ordered_disjoint_and_reach_the_last_row(
    half_days: list[int], folds: int, gap: timedelta
) -> None:
    times = days(*(half / 2 for half in half_days))
    found = folds_or_none(times, folds, gap)
    assert len(found) in (0, folds)
    for earlier, later in pairwise(found):
        assert earlier.validate_end < later.validate_start
        assert set(earlier.train) <= set(later.train)
    validated = np.concatenate([fold.validate for fold in found]) if found else np.array([])
    assert len(np.unique(validated)) == len(validated)
    if found:
        assert found[-1].validate_end == times.max()
        assert sorted(validated) == np.flatnonzero(times >= found[0].validate_start).tolist()


@given(half_days=HALF_DAYS, folds=st.integers(1, 4), gap=GAPS, share=st.floats(0.05, 0.95), data=st.data())
def test_where_users_are_distinguished_none_is_on_both_sides(
    half_days: list[int], folds: int, gap: timedelta, share: float, data: st.DataObject
) -> None:
    times = days(*(half / 2 for half in half_days))
    users = np.array(data.draw(st.lists(st.integers(1, 12), min_size=len(times), max_size=len(times))))
    for fold in folds_or_none(times, folds, gap, users, share):
        assert not set(users[fold.train]) & set(users[fold.validate])
        assert len(fold.train)
        assert len(fold.validate)
        assert times[fold.validate].min() >= times[fold.train].max() + np.timedelta64(gap)


@given(half_days=HALF_DAYS, gap=GAPS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(half_days: list[int], gap: timedelta, order: object) -> None:
    times = days(*(half / 2 for half in half_days))
    shuffled = np.array(range(len(times)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    straight, mixed = folds_or_none(times, 3, gap), folds_or_none(times[shuffled], 3, gap)
    assert len(straight) == len(mixed)
    for one, other in zip(straight, mixed, strict=True):
        assert sorted(shuffled[other.train]) == one.train.tolist()
        assert sorted(shuffled[other.validate]) == one.validate.tolist()


def test_three_folds_of_a_hundred_days_in_figures() -> None:
    found = expanding_folds(HUNDRED, folds=3, gap=WEEK)
    assert [(len(fold.train), fold.validate.min(), fold.validate.max()) for fold in found] == [
        (34, 40, 59),
        (54, 60, 79),
        (74, 80, 99),
    ]
    assert (found[0].validate_start, found[0].validate_end) == (HUNDRED[40], HUNDRED[59])
    assert EARLIEST_SHARE == 0.4


def test_rows_of_one_instant_stay_on_one_side() -> None:
    times = days(*[0] * 30, *[20] * 30, *[40] * 30)
    fold = expanding_folds(times, folds=1, gap=WEEK)[0]
    assert fold.train.tolist() == list(range(30))
    assert fold.validate.tolist() == list(range(30, 90))


def test_each_fold_holds_out_about_the_share_of_users_and_not_the_same_ones() -> None:
    users = np.tile(np.arange(400), 10)
    times = days(*np.repeat(np.arange(10) * 10, 400))
    found = expanding_folds(times, folds=2, gap=WEEK, units=users, holdout_units=0.25)
    first, second = (set(users[fold.validate]) for fold in found)
    assert 70 <= len(first) <= 130
    assert 70 <= len(second) <= 130
    assert len(first & second) < 50
    again = expanding_folds(times, folds=2, gap=WEEK, units=users, holdout_units=0.25)
    assert [fold.validate.tolist() for fold in again] == [fold.validate.tolist() for fold in found]


def test_another_seed_holds_out_other_users_and_text_ids_are_taken_too() -> None:
    users = np.array([f"user {number % 40}" for number in range(100)], dtype=object)
    found = [
        expanding_folds(HUNDRED, folds=1, gap=WEEK, units=users, holdout_units=0.5, seed=seed)[0] for seed in (0, 1)
    ]
    assert set(users[found[0].validate]) != set(users[found[1].validate])


@pytest.mark.parametrize(
    ("times", "folds", "gap"),
    [(days(), 1, WEEK), (days(0), 1, WEEK), (days(*[5] * 500), 3, WEEK), (days(*range(20)), 3, timedelta(days=30))],
)
def test_too_short_a_history_is_said_in_one_sentence(times: Times, folds: int, gap: timedelta) -> None:
    with pytest.raises(InputError) as error:
        expanding_folds(times, folds=folds, gap=gap)
    assert str(error.value).startswith(f"The history has {len(times):,} matured decisions before the test window")
    assert str(error.value).endswith("add history, or lower evaluation.test_share or label.window.")


def test_one_user_cannot_be_kept_apart_from_itself_and_that_is_said() -> None:
    with pytest.raises(InputError, match="each with units of its own"):
        expanding_folds(HUNDRED, folds=2, gap=WEEK, units=np.zeros(100, int), holdout_units=0.5)


@pytest.mark.parametrize(("users", "share"), [(None, 0.5), (np.arange(100), 0.0), (np.arange(100), 1.0)])
def test_users_and_their_share_are_given_together(users: Units | None, share: float) -> None:
    with pytest.raises(ValueError, match="holdout_units"):
        expanding_folds(HUNDRED, folds=2, gap=WEEK, units=users, holdout_units=share)


def test_a_fold_with_one_outcome_is_refused_with_its_number_and_side() -> None:
    labels = np.ones(100, dtype=np.int8)
    labels[:80:4] = 0
    payments = Decision("payment", ("card",), "paid", ())
    said = "The validation window of fold 3 of 3 has 20 payments with a known outcome, of which 20 are positive"
    with pytest.raises(InputError, match=said):
        refuse_one_outcome(labels, expanding_folds(HUNDRED, folds=3, gap=WEEK), payments)


def test_windows_may_be_given_by_their_starts() -> None:
    found = folds_from(HUNDRED, HUNDRED[[50, 60]], WEEK)
    assert [fold.validate.tolist() for fold in found] == [list(range(50, 60)), list(range(60, 100))]
    assert [len(fold.train) for fold in found] == [44, 54]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=80), st.integers(1, 80), st.integers(0, 3))
def test_a_sample_is_of_whole_users_and_never_larger_than_asked(users: list[int], most: int, seed: int) -> None:
    given_users = np.array(users)
    kept = rows_of_whole_units(given_users, most, seed)
    inside = set(given_users[kept])
    assert kept.tolist() == [row for row, user in enumerate(users) if user in inside]
    assert len(kept) <= most or len(inside) == 1
    assert len(kept)


def test_a_sample_is_almost_as_large_as_asked() -> None:
    users = np.random.default_rng(0).integers(0, 1000, 20_000)
    assert 9_950 <= len(rows_of_whole_units(users, 10_000, 0)) <= 10_000
    assert len(rows_of_whole_units(users, 20_000, 0)) == 20_000
