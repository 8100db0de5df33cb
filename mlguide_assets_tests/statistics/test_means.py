"""Means and CUPED against tea-tasting and statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import tea_tasting as tt

from mlguide_assets.statistics.cuped import Moments, adjust, variance_reduction
from mlguide_assets.statistics.means import Sample, compare_means


def _experiment(units: int = 6000) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    before = generator.gamma(2.0, 2.0, units)
    variant = generator.choice(["control", "treatment"], units)
    spent = 0.6 * before + generator.gamma(2.0, 1.5, units) * np.where(variant == "treatment", 1.1, 1.0)
    return pd.DataFrame({"variant": variant, "before": before, "visits": generator.poisson(before), "spent": spent})


def _sample(values: "pd.Series[float]") -> Sample:
    return Sample(len(values), float(values.mean()), float(values.var()))


def _moments(data: pd.DataFrame, *columns: str) -> dict[str, Moments]:
    return {
        str(name): Moments(len(rows), rows[list(columns)].mean().to_numpy(), rows[list(columns)].cov().to_numpy())
        for name, rows in data.groupby("variant")
    }


def test_welch_and_the_ratio_equal_tea_tasting() -> None:
    data = _experiment()
    arms = {str(name): _sample(rows) for name, rows in data.groupby("variant")["spent"]}
    found = compare_means(arms["control"], arms["treatment"], alpha=0.1)
    expected = tt.Experiment(spent=tt.Mean("spent", confidence_level=0.9)).analyze(data)["spent"]
    difference = (expected.effect_size, expected.effect_size_ci_lower, expected.effect_size_ci_upper)
    ratio = (expected.rel_effect_size, expected.rel_effect_size_ci_lower, expected.rel_effect_size_ci_upper)
    assert (found.control, found.treatment) == pytest.approx((expected.control, expected.treatment))
    assert (found.difference.value, found.difference.low, found.difference.high) == pytest.approx(difference)
    assert (found.ratio.value, found.ratio.low, found.ratio.high) == pytest.approx([1 + each for each in ratio])
    assert found.p_value == pytest.approx(expected.pvalue)


def test_cuped_is_the_regression_on_arm_and_covariates() -> None:
    data = _experiment()
    adjusted = adjust(_moments(data, "spent", "before", "visits"))
    found = compare_means(adjusted["control"], adjusted["treatment"])
    fit = smf.ols("spent ~ variant + before + visits", data).fit(cov_type="HC2")
    assert found.difference.value == pytest.approx(fit.params["variant[T.treatment]"], rel=1e-9)
    low, high = fit.conf_int().loc["variant[T.treatment]"]
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high), rel=1e-3)


def test_cuped_and_its_reduction_equal_tea_tasting() -> None:
    # Whose slope is that over both arms, not within them: a difference of the order of the effect over sqrt(n).
    data = _experiment()
    moments = _moments(data, "spent", "before")
    adjusted = adjust(moments)
    found = compare_means(adjusted["control"], adjusted["treatment"])
    plain, cuped = (
        tt.Experiment(spent=tt.Mean("spent", covariate)).analyze(data)["spent"] for covariate in (None, "before")
    )
    assert found.difference.value == pytest.approx(cuped.effect_size, rel=1e-3)
    assert found.difference.low == pytest.approx(cuped.effect_size_ci_lower, rel=1e-3)
    width = [each.effect_size_ci_upper - each.effect_size_ci_lower for each in (plain, cuped)]
    before = moments["control"].outcome, moments["treatment"].outcome
    reduction = variance_reduction(before, (adjusted["control"], adjusted["treatment"]))
    assert 0.3 < reduction == pytest.approx(1 - (width[1] / width[0]) ** 2, rel=1e-3)


def test_covariates_that_say_nothing_new_change_nothing() -> None:
    data = _experiment(500).assign(constant=7.0)
    data["twice"] = 2 * data["before"]
    once, more = (
        adjust(_moments(data, "spent", *columns)) for columns in (["before"], ["before", "twice", "constant"])
    )
    assert more["treatment"].mean == pytest.approx(once["treatment"].mean)
    assert more["treatment"].variance == pytest.approx(once["treatment"].variance)


@pytest.mark.parametrize(("means", "p"), [((3.0, 3.0), 1.0), ((3.0, 4.0), 0.0)])
def test_values_that_do_not_vary(means: tuple[float, float], p: float) -> None:
    found = compare_means(Sample(10, means[0], 0.0), Sample(12, means[1], 0.0))
    assert found.p_value == p
    assert found.difference.low == found.difference.high == means[1] - means[0]


def test_means_that_are_not_positive_have_no_ratio() -> None:
    assert np.isnan(compare_means(Sample(10, -1.0, 1.0), Sample(12, 1.0, 1.0)).ratio.value)
