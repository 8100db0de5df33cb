"""Means and CUPED against tea-tasting and statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import tea_tasting as tt

from mlguide_assets.statistics.cuped import Moments, adjust, variance_reduction
from mlguide_assets.statistics.means import Sample, compare_means

COVARIATES = ("before", "visits")


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


def _adjusted(data: pd.DataFrame, *covariates: str) -> tuple[Sample, Sample]:
    found = adjust(_moments(data, "spent", *covariates), "control", "treatment")
    assert found is not None
    return found


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
    found = compare_means(*_adjusted(data, *COVARIATES))
    fit = smf.ols("spent ~ variant + before + visits", data).fit(cov_type="HC2")
    assert found.difference.value == pytest.approx(fit.params["variant[T.treatment]"], rel=1e-9)
    low, high = fit.conf_int().loc["variant[T.treatment]"]
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high), rel=1e-3)


def test_cuped_and_its_reduction_equal_tea_tasting() -> None:
    # Whose slope is that over both arms, not within them: a difference of the order of the effect over sqrt(n).
    data = _experiment()
    moments = _moments(data, "spent", "before")
    adjusted = _adjusted(data, "before")
    found = compare_means(*adjusted)
    plain, cuped = (
        tt.Experiment(spent=tt.Mean("spent", covariate)).analyze(data)["spent"] for covariate in (None, "before")
    )
    assert found.difference.value == pytest.approx(cuped.effect_size, rel=1e-3)
    assert found.difference.low == pytest.approx(cuped.effect_size_ci_lower, rel=1e-3)
    width = [each.effect_size_ci_upper - each.effect_size_ci_lower for each in (plain, cuped)]
    before = moments["control"].outcome, moments["treatment"].outcome
    reduction = variance_reduction(before, adjusted)
    assert 0.3 < reduction == pytest.approx(1 - (width[1] / width[0]) ** 2, rel=1e-3)


def test_covariates_that_say_nothing_new_change_nothing() -> None:
    data = _experiment(500).assign(constant=7.0)
    data["twice"] = 2 * data["before"]
    once, more = (_adjusted(data, *columns) for columns in (["before"], ["before", "twice", "constant"]))
    for before, after in zip(once, more, strict=True):
        assert (after.mean, after.variance) == pytest.approx((before.mean, before.variance))
        assert after.used == before.used


def test_the_unit_of_a_covariate_does_not_matter() -> None:
    data = _experiment(500)
    plain = _adjusted(data, *COVARIATES)
    # As a rate beside a time in milliseconds.
    scaled = _adjusted(data.assign(before=1e-3 * data["before"], visits=1.7e12 + 1e10 * data["visits"]), *COVARIATES)
    for one, other in zip(plain, scaled, strict=True):
        assert (other.mean, other.variance) == pytest.approx((one.mean, one.variance), rel=1e-6)


def test_covariates_cost_what_an_analysis_of_covariance_says() -> None:
    generator, covariates = np.random.default_rng(4), [f"x{place}" for place in range(8)]
    data = pd.DataFrame(generator.normal(size=(40, 8)), columns=covariates)
    spent = data.sum(axis=1) + 50 + generator.normal(size=40)
    data = data.assign(spent=spent, variant=["control", "treatment"] * 20)
    found = compare_means(*_adjusted(data, *covariates))
    fit = smf.ols("spent ~ variant + " + " + ".join(covariates), data).fit()
    expected = fit.conf_int().loc["variant[T.treatment]"].to_list()
    # Welch's test has an error of its own for each arm: nearly the same, where they vary alike.
    width = expected[1] - expected[0]
    assert (found.difference.low, found.difference.high) == pytest.approx(expected, abs=0.03 * width)


def test_covariates_for_which_there_are_too_few_units_are_not_used() -> None:
    data = pd.DataFrame(np.random.default_rng(5).normal(size=(12, 6)), columns=list("abcdef"))
    data = data.assign(variant=["control", "treatment"] * 6, spent=1.0)
    assert adjust(_moments(data, "spent", *"abcdef"), "control", "treatment") is None
    assert adjust(_moments(data, "spent", *"abcde"), "control", "treatment") is not None


def test_an_outcome_that_covariates_explain_wholly_differs_by_nothing_but_rounding() -> None:
    data = _experiment(500).assign(copy=lambda rows: rows["spent"], variant=["control", "treatment"] * 250)
    found = compare_means(*_adjusted(data, "copy"))
    assert found.p_value > 0.99
    assert found.difference.low < 0 < found.difference.high < 1e-6


@pytest.mark.parametrize(("means", "p"), [((3.0, 3.0), 1.0), ((3.0, 4.0), 0.0)])
def test_values_that_do_not_vary(means: tuple[float, float], p: float) -> None:
    found = compare_means(Sample(10, means[0], 0.0), Sample(12, means[1], 0.0))
    assert found.p_value == p
    assert found.difference.low == found.difference.high == means[1] - means[0]


def test_rounding_is_no_difference() -> None:
    found = compare_means(Sample(10**6, 0.1, 1e-36), Sample(10**6, 0.1 + 3e-16, 4e-36))
    assert found.p_value == 1
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert (found.ratio.low, found.ratio.high) == (1, 1)


@pytest.mark.parametrize(("control", "treatment"), [(1e-4, 0.1), (0.1, 1e-4), (1e-300, 1.0)])
def test_a_mean_that_may_be_zero_bounds_no_ratio(control: float, treatment: float) -> None:
    found = compare_means(Sample(100, control, 1.0), Sample(100, treatment, 1.0))
    assert found.ratio.value == treatment / control
    assert np.isnan([found.ratio.low, found.ratio.high]).all()


def test_ratios_that_have_bounds_have_near_ones() -> None:
    # The mean is just above what its error would still allow to be 0.
    ratio = compare_means(Sample(100, 0.21, 1.0), Sample(100, 0.21, 1.0)).ratio
    assert 0.2 < ratio.low < 1 < ratio.high < 5


def test_means_that_are_not_positive_have_no_ratio() -> None:
    assert np.isnan(compare_means(Sample(10, -1.0, 1.0), Sample(12, 1.0, 1.0)).ratio.value)
