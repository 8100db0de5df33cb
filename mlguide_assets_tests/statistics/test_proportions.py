"""The score test of proportions against statsmodels and tea-tasting."""

import warnings

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from scipy.stats import norm
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.proportion import test_proportions_2indep as score_test

from mlguide_assets.statistics.proportions import Events, compare_proportions, score_z, two_sided_p


def test_it_is_the_score_test_and_its_intervals() -> None:
    found = compare_proportions(Events(120, 4000), Events(90, 4100), alpha=0.01)
    counts = 90, 4100, 120, 4000
    expected = score_test(*counts, compare="diff", method="score")
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.control, found.treatment) == (0.03, 90 / 4100)
    # Of small differences, statsmodels' interval is right to three digits; see `score_intervals.py`.
    for interval, compare, close in ((found.difference, "diff", 2e-3), (found.ratio, "ratio", 1e-7)):
        low, high = confint_proportions_2indep(*counts, compare=compare, method="score", alpha=0.01)
        assert (interval.low, interval.high) == pytest.approx((low, high), rel=close)
        assert interval.low < interval.value < interval.high


def test_it_equals_tea_tasting_but_for_the_correction_of_miettinen_and_nurminen() -> None:
    lost = [1] * 120 + [0] * 3880 + [1] * 90 + [0] * 4010
    rows = pd.DataFrame({"variant": ["a"] * 4000 + ["b"] * 4100, "lost": lost})
    expected = tt.Experiment(lost=tt.Proportion("lost", method="norm", correction=False)).analyze(rows, control="a")
    found = compare_proportions(Events(120, 4000), Events(90, 4100))
    corrected = two_sided_p(norm.isf(expected["lost"].pvalue / 2) * np.sqrt(8099 / 8100))
    assert found.p_value == pytest.approx(corrected)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        ((0, 900), (0, 900)),
        ((0, 900), (40, 900)),
        ((900, 900), (891, 900)),
        ((25, 10**5), (0, 10**5)),
        ((1, 1), (0, 1)),
    ],
)
@pytest.mark.parametrize("alpha", [0.05, 2e-12])
def test_rates_of_zero_and_one_have_finite_intervals_of_the_difference(
    control: tuple[int, int], treatment: tuple[int, int], alpha: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare_proportions(Events(*control), Events(*treatment), alpha=alpha)
    assert -1 <= found.difference.low <= found.difference.value <= found.difference.high <= 1
    assert np.isnan(found.ratio.value) == (control[0] == 0)


def test_p_of_a_large_difference_is_not_zero() -> None:
    p = compare_proportions(Events(5000, 10_000), Events(6200, 10_000)).p_value
    assert 0 < p < 1e-60
    assert two_sided_p(-10.0) == two_sided_p(10.0) > 0


def test_z_is_computed_element_by_element_and_zero_where_nothing_varies() -> None:
    z = score_z([0, 50], [100, 100], [0, 70], [100, 100])
    assert z.tolist() == pytest.approx([0.0, score_test(70, 100, 50, 100, compare="diff", method="score").statistic])
