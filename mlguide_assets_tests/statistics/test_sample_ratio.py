"""Sample ratio: k arms jointly, arms without weight, looks on every day, and units that were lost."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from scipy.stats import chi2

from mlguide_assets.statistics.sample_ratio import (
    largest_deviation,
    sample_ratio_p_value,
    sequential_sample_ratio_p_value,
)

Test = Callable[..., Any]
BOTH: list[Test] = [sample_ratio_p_value, sequential_sample_ratio_p_value]


def test_arms_without_weight_do_not_count_in_the_degrees_of_freedom() -> None:
    expected = chi2.sf((100**2) / 5000 * 2, 1)
    assert sample_ratio_p_value([5100, 0, 4900], [1, 0, 1]) == pytest.approx(expected)


def test_two_arms_equal_tea_tasting() -> None:
    rows = pd.DataFrame({"variant": ["a"] * 4000 + ["b"] * 2100})
    ratio = tt.SampleRatio({"a": 2, "b": 1}, method="norm", correction=False)
    expected = tt.Experiment(ratio=ratio).analyze(rows, control="a")["ratio"].pvalue
    assert sample_ratio_p_value([4000, 2100], [2, 1]) == pytest.approx(expected)


@pytest.mark.parametrize("test", BOTH)
def test_units_in_an_arm_without_weight_are_impossible(test: Test) -> None:
    assert test([5000, 1, 5000], [1, 0, 1]) == 0.0


@pytest.mark.parametrize("test", BOTH)
@pytest.mark.parametrize("counts", [[0, 0], [7]])
def test_nothing_to_test_is_no_fault(test: Test, counts: list[int]) -> None:
    assert test(counts, [1.0] * len(counts)) == 1.0


@pytest.mark.parametrize("test", BOTH)
def test_two_percent_of_an_arm_lost_is_found(test: Test) -> None:
    kept = [200_000, 98_000, 100_000]
    assert test([200_000, 100_000, 100_000], [2, 1, 1]) > 0.9
    assert test(kept, [2, 1, 1]) < 1e-3
    assert largest_deviation(kept, [2, 1, 1]) == 1


def test_daily_looks_alarm_as_rarely_as_they_should() -> None:
    arrived = np.random.default_rng(5).binomial(1000, 0.5, (2000, 30)).cumsum(axis=1)
    counts = np.stack([arrived, np.arange(1, 31) * 1000 - arrived], axis=-1)
    sequential, fixed = (
        (test(counts, [1, 1]) < 0.01).any(axis=1).mean()
        for test in (sequential_sample_ratio_p_value, sample_ratio_p_value)
    )
    assert sequential <= 0.01
    assert fixed > 0.05


def test_p_values_of_the_joint_test_are_uniform() -> None:
    counts = np.random.default_rng(6).multinomial(10_000, [0.5, 0.3, 0.2], size=2000)
    assert (sample_ratio_p_value(counts, [5, 3, 2]) < 0.05).mean() == pytest.approx(0.05, abs=0.0126)
