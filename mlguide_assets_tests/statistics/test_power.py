"""Sizes of experiments against known figures, and against each other."""

import pytest
from statsmodels.stats.power import zt_ind_solve_power

from mlguide_assets.statistics.power import Baseline, smallest_detectable_change, units_needed
from mlguide_assets.statistics.sequential import inflation


@pytest.mark.parametrize(("base", "per_arm"), [(0.005, 70_000), (0.01, 35_000), (0.03, 11_000)])
def test_units_for_a_fifth_less_of_a_rate(base: float, per_arm: int) -> None:
    assert units_needed(Baseline(base), -0.2) / 2 == pytest.approx(per_arm, rel=0.05)


def test_units_for_a_mean_equal_statsmodels_with_unequal_arms() -> None:
    control = zt_ind_solve_power(effect_size=0.1, alpha=0.02, power=0.9, ratio=0.25 / 0.75)
    units = units_needed(Baseline(10.0, 5.0), 0.05, alpha=0.02, power=0.9, share=0.25)
    assert units == pytest.approx(control / 0.75, rel=1e-4)


def test_looks_inflate_the_size() -> None:
    looks = [0.25, 0.5, 0.75, 1.0]
    one, several = (units_needed(Baseline(0.1), 0.1, looks=each) for each in ([1.0], looks))
    assert several / one == pytest.approx(inflation(looks, 0.05, 0.8), rel=1e-4)


@pytest.mark.parametrize("baseline", [Baseline(0.04), Baseline(12.0, 30.0)])
@pytest.mark.parametrize("change", [-0.1, 0.15])
def test_the_smallest_change_is_the_inverse_of_the_units(baseline: Baseline, change: float) -> None:
    units = units_needed(baseline, change, share=0.2)
    found = smallest_detectable_change(baseline, units, share=0.2, decrease=change < 0)
    assert found == pytest.approx(change, rel=1e-3)


def test_too_few_units_find_no_change() -> None:
    assert smallest_detectable_change(Baseline(0.001), 500, decrease=True) is None


@pytest.mark.parametrize("change", [0.0, 30.0])
def test_changes_that_cannot_be_are_refused(change: float) -> None:
    with pytest.raises(ValueError, match="change"):
        units_needed(Baseline(0.1), change)
