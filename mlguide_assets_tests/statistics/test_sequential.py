"""Boundaries against published ones, and against a walk drawn at random."""

import numpy as np
import pytest
from scipy.stats import norm

from mlguide_assets.statistics.sequential import (
    boundaries,
    crossing_probabilities,
    inflation,
    obrien_fleming_spending,
    repeated_p_value,
)

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_five_equal_looks_have_the_published_boundaries() -> None:
    assert np.round(boundaries(FIVE), 3).tolist() == [4.877, 3.357, 2.680, 2.290, 2.031]


def test_a_single_look_at_the_end_is_the_fixed_test() -> None:
    assert boundaries([1.0]) == pytest.approx([norm.isf(0.025)])
    assert repeated_p_value(-2.5, [1.0]) == pytest.approx(2 * norm.sf(2.5))


@pytest.mark.parametrize("fractions", [(0.001, 0.3, 0.31, 0.9), (0.05, 0.5, 1.0), (0.6, 1.2), (0.37,)])
def test_looks_at_any_times_reject_as_often_as_has_been_spent(fractions: tuple[float, ...]) -> None:
    rejected = crossing_probabilities(fractions, boundaries(fractions, 0.1)).cumsum()
    assert rejected == pytest.approx(obrien_fleming_spending(fractions, 0.1), abs=1e-9)


def test_crossing_probabilities_are_those_of_a_drawn_walk() -> None:
    times, drift, walks = np.array([0.1, 0.3, 0.65, 1.0]), 2.5, 400_000
    bounds = boundaries(times.tolist())
    steps = np.random.default_rng(1).standard_normal((walks, len(times)), dtype=np.float32)
    lengths = np.diff(times, prepend=0)
    z = (drift * times + (steps * np.sqrt(lengths)).cumsum(axis=1)) / np.sqrt(times)
    beyond = np.abs(z) >= bounds
    first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), len(times))
    drawn = np.bincount(first, minlength=len(times) + 1)[:-1] / walks
    assert crossing_probabilities(times.tolist(), bounds, drift) == pytest.approx(drawn, abs=0.0035)


def test_an_inflated_sample_has_the_power_that_was_asked_for() -> None:
    drift = (norm.isf(0.025) + norm.isf(0.1)) * np.sqrt(inflation(FIVE, 0.05, 0.9))
    assert crossing_probabilities(FIVE, boundaries(FIVE), drift).sum() == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize("look", range(1, 6))
@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.3])
def test_the_repeated_p_value_is_alpha_at_the_boundary(look: int, alpha: float) -> None:
    bound = boundaries(FIVE, alpha)[look - 1]
    assert repeated_p_value(-bound, FIVE[:look]) == pytest.approx(alpha, rel=1e-5)


@pytest.mark.parametrize(("z", "expected"), [(0.0, 1.0), (60.0, 0.0)])
def test_the_repeated_p_value_of_no_and_of_an_enormous_difference(z: float, expected: float) -> None:
    assert repeated_p_value(z, FIVE[:2]) == pytest.approx(expected, abs=1e-12)


def test_information_that_does_not_increase_is_refused() -> None:
    with pytest.raises(ValueError, match="increase"):
        boundaries([0.4, 0.4])
