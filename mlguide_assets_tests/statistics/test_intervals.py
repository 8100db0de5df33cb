"""Intervals: missing replicates, distances that noise alone makes, rates near 0."""

import numpy as np
import pytest

from mlguide_assets.statistics.intervals import (
    distance_interval,
    percentile_bounds,
    percentile_interval,
    wilson_bounds,
)


@pytest.mark.parametrize(("undefined", "given"), [(50, True), (51, False), (100, False)])
def test_interval_is_nan_where_most_replicates_have_no_value(undefined: int, given: bool) -> None:
    values = np.full(100, 0.7)
    values[:undefined] = np.nan
    estimate = percentile_interval(0.7, values)
    assert np.isfinite([estimate.low, estimate.high]).all() == given


def test_bounds_of_many_are_those_of_each_from_the_replicates_with_a_value() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3, 60))
    values[0, 1, :7] = np.nan
    values[2, 2] = np.nan
    low, high = percentile_bounds(values, 0.9)
    assert low.shape == (4, 3)
    for place in np.ndindex(4, 3):
        expected = np.nanquantile(values[place], [0.05, 0.95]) if place != (2, 2) else [np.nan, np.nan]
        np.testing.assert_allclose([low[place], high[place]], expected, rtol=1e-12)
    assert np.isnan(percentile_bounds(np.empty((2, 0)))[0]).all()


def test_distance_is_allowed_its_noise() -> None:
    noise = np.linspace(0.01, 0.1, 100)
    assert distance_interval(0.05, noise).low == 0
    apart = distance_interval(0.5, noise)
    assert (apart.low, apart.high) == pytest.approx((0.5 - 0.0955, 0.5 + 0.0955))
    assert distance_interval(0.95, noise).high == 1
    assert np.isnan(distance_interval(0.5, np.full(10, np.nan)).low)
    assert np.isnan(distance_interval(float("nan"), noise).high)


def test_rates_of_exactly_0_and_1_lie_on_their_bounds() -> None:
    rows = np.array([1, 7, 1000, 10**9])
    assert (wilson_bounds(0 * rows, rows)[0] == 0).all()
    assert (wilson_bounds(rows, rows)[1] == 1).all()
