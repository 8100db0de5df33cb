"""Sizes of experiments against known figures, and against each other."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.power import zt_ind_solve_power
from statsmodels.stats.proportion import power_proportions_2indep

from mlguide_assets.statistics.power import Baseline, smallest_detectable_change, units_needed
from mlguide_assets.statistics.proportions import score_z
from mlguide_assets.statistics.sequential import boundaries, inflation


@pytest.mark.parametrize(("base", "per_arm"), [(0.005, 70_000), (0.01, 35_000), (0.03, 11_000)])
def test_units_for_a_fifth_less_of_a_rate(base: float, per_arm: int) -> None:
    assert units_needed(Baseline(base), -0.2) / 2 == pytest.approx(per_arm, rel=0.05)


def test_units_for_a_mean_equal_statsmodels_with_unequal_arms() -> None:
    control = zt_ind_solve_power(effect_size=0.1, alpha=0.02, power=0.9, ratio=0.25 / 0.75)
    units = units_needed(Baseline(10.0, 5.0), 0.05, alpha=0.02, power=0.9, share=0.25)
    assert units == pytest.approx(control / 0.75, rel=1e-4)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.8])
@pytest.mark.parametrize(("base", "change"), [(0.0235, -0.4), (0.01, -0.2), (0.3, 0.1), (0.005, 0.5)])
def test_units_for_a_rate_equal_statsmodels_with_unequal_arms(base: float, change: float, share: float) -> None:
    units = units_needed(Baseline(base), change, alpha=0.02, power=0.9, share=share)
    found = power_proportions_2indep(
        base * change, base, units * share, ratio=(1 - share) / share, alpha=0.02, return_results=False
    )
    assert found == pytest.approx(0.9, abs=2e-4)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.8])
@pytest.mark.parametrize(("base", "change"), [(0.5, 0.9), (0.3, 0.6), (0.3, -0.5), (0.1, 1.0), (0.05, 2.0)])
def test_the_test_that_is_made_has_the_power_that_was_planned(base: float, change: float, share: float) -> None:
    units = units_needed(Baseline(base), change, share=share)
    treated = round(units * share)
    # Every pair of counts, with its probability.
    counts, others = np.arange(units - treated + 1), np.arange(treated + 1)
    chance = np.outer(binom.pmf(counts, units - treated, base), binom.pmf(others, treated, base * (1 + change)))
    z = score_z(counts[:, None], units - treated, others[None], treated)
    # Few units give few counts, so power comes in steps.
    assert 0.79 < chance[np.abs(z) > norm.isf(0.025)].sum() < (0.87 if units < 100 else 0.825)


def test_unequal_arms_and_several_looks_find_what_was_planned() -> None:
    looks, base, change, share = [0.5, 1.0], 0.02, -0.4, 0.1
    units = units_needed(Baseline(base), change, share=share, looks=looks)
    generator, repeats = np.random.default_rng(0), 20_000
    halves = np.array([round(units * part / 2) for part in (1 - share, share)])
    rates = np.array([base, base * (1 + change)])
    events = generator.binomial(halves[:, None, None], rates[:, None, None], (2, 2, repeats)).cumsum(axis=1)
    z = np.abs([score_z(*(events[0, at], halves[0] * (at + 1), events[1, at], halves[1] * (at + 1))) for at in (0, 1)])
    found = (z > np.array(boundaries(looks))[:, None]).any(axis=0).mean()
    assert found == pytest.approx(0.8, abs=0.015)


def test_looks_inflate_the_size() -> None:
    looks = [0.25, 0.5, 0.75, 1.0]
    one, several = (units_needed(Baseline(0.1), 0.1, looks=each) for each in ([1.0], looks))
    # The boundary of the last look is another, and with it the part of the test's own variance.
    assert several / one == pytest.approx(inflation(looks, 0.05, 0.8), rel=1e-3)


@pytest.mark.parametrize("baseline", [Baseline(0.04), Baseline(12.0, 30.0)])
@pytest.mark.parametrize("change", [-0.1, 0.15])
def test_the_smallest_change_is_the_inverse_of_the_units(baseline: Baseline, change: float) -> None:
    units = units_needed(baseline, change, share=0.2)
    found = smallest_detectable_change(baseline, units, share=0.2, decrease=change < 0)
    assert found == pytest.approx(change, rel=1e-3)


def test_too_few_units_find_no_change() -> None:
    assert smallest_detectable_change(Baseline(0.001), 500, decrease=True) is None
    # Even where the rate becomes 1, and nothing varies in that arm.
    assert all(smallest_detectable_change(Baseline(rate), 9) is None for rate in np.linspace(0.4, 0.9, 50))
    assert smallest_detectable_change(Baseline(1.0), 20, decrease=True) == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize("change", [0.0, 30.0])
def test_changes_that_cannot_be_are_refused(change: float) -> None:
    with pytest.raises(ValueError, match="change"):
        units_needed(Baseline(0.1), change)
