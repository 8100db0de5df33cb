"""Score intervals against published ones, against the likelihood itself, and by what they promise, counted exactly."""

from collections.abc import Callable, Iterator
from itertools import product
from math import sqrt

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom, norm

from mlguide_assets.statistics.proportions import Events, compare_proportions
from mlguide_assets.statistics.score_intervals import (
    difference_bounds,
    rates_at_difference,
    rates_at_ratio,
    ratio_bounds,
)

Counts = tuple[int, int, int, int]

Z = float(norm.isf(0.025))


@pytest.mark.parametrize(
    ("counts", "corrected", "plain"),
    [
        ((56, 70, 48, 80), (0.0528, 0.3382), (0.0533, 0.3377)),
        ((9, 10, 3, 10), (0.1700, 0.8406), (0.1821, 0.8370)),
        ((6, 7, 2, 7), (0.0342, 0.8534), (0.0544, 0.8478)),
        ((5, 56, 0, 29), (-0.0326, 0.1933), (-0.0313, 0.1926)),
        ((0, 10, 0, 20), (-0.1658, 0.2844), (-0.1611, 0.2775)),
        ((10, 10, 0, 10), (0.6636, 1.0), (0.6777, 1.0)),
    ],
)
def test_differences_are_those_that_newcombe_published(
    counts: Counts, corrected: tuple[float, float], plain: tuple[float, float]
) -> None:
    # Newcombe (1998): Miettinen and Nurminen's, and Mee's, which are the same without the factor n / (n - 1).
    assert difference_bounds(*counts, Z) == pytest.approx(corrected, abs=5e-5)
    assert difference_bounds(*counts, uncorrected(counts)) == pytest.approx(plain, abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "plain"), [((36, 40, 16, 80), (2.94, 7.15)), ((8, 15, 4, 15), (0.815, 5.336))], ids=["Koopman", "Gart"]
)
def test_ratios_are_those_that_koopman_and_gart_and_nam_published(counts: Counts, plain: tuple[float, float]) -> None:
    assert ratio_bounds(*counts, uncorrected(counts)) == pytest.approx(plain, rel=1e-3)


def uncorrected(counts: Counts) -> float:
    units = counts[1] + counts[3]
    return Z / sqrt(units / (units - 1))


@pytest.mark.parametrize("counts", [(12, 40, 31, 50), (3, 2000, 9, 1500), (0, 7, 5, 30), (7, 7, 5, 30), (0, 5, 9, 9)])
def test_constrained_rates_have_the_largest_likelihood(counts: Counts) -> None:
    for difference in (-0.6, -0.01, 0.02, 0.5):
        lowest, highest = max(0.0, -difference), min(1.0, 1 - difference)
        best = _most_likely(counts, lambda rate, shift=difference: min(max(rate + shift, 0), 1), lowest, highest)
        assert rates_at_difference(*counts, difference) == pytest.approx((best + difference, best), abs=1e-6)
    for ratio in (0.1, 0.9, 1.2, 8.0):
        best = _most_likely(counts, lambda rate, factor=ratio: min(rate * factor, 1), 0.0, min(1.0, 1 / ratio))
        assert rates_at_ratio(*counts, ratio) == pytest.approx((best * ratio, best), abs=1e-6)


def _most_likely(counts: Counts, rate: Callable[[float], float], lowest: float, highest: float) -> float:
    x, n, x0, n0 = counts

    def unlikely(p0: float) -> float:
        p = rate(p0)
        return float(-xlogy(x, p) - xlogy(n - x, 1 - p) - xlogy(x0, p0) - xlogy(n0 - x0, 1 - p0))

    found = minimize_scalar(unlikely, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
    return float(min((lowest, found, highest), key=unlikely))


@pytest.mark.parametrize("alpha", [0.9, 0.05, 2e-12, 1e-320])
def test_every_table_has_intervals_around_its_values_that_agree_with_the_test(alpha: float) -> None:
    sizes = [(1, 1), (1, 7), (3, 2), (5, 5), (2, 10**6)]
    for n0, n in sizes:
        for x0, x in product({0, 1, n0 // 2, n0 - 1, n0}, {0, 1, n // 2, n - 1, n}):
            found = compare_proportions(Events(x0, n0), Events(x, n), alpha=alpha)
            difference, ratio = found.difference, found.ratio
            assert -1 <= difference.low <= difference.value <= difference.high <= 1
            assert (found.p_value < alpha) == (not difference.low <= 0 <= difference.high)
            if x0:
                assert 0 <= ratio.low <= ratio.value <= ratio.high
                assert (found.p_value < alpha) == (not ratio.low <= 1 <= ratio.high)


def test_where_all_have_the_event_the_interval_has_a_width() -> None:
    # The score test solved by hand: with both rates 1, (ratio - 1)^2 = z^2 (ratio - 1) / n, times the correction.
    width = Z**2 / 100 * 200 / 199
    assert ratio_bounds(100, 100, 100, 100, Z) == pytest.approx((1 / (1 + width), 1 + width))
    assert ratio_bounds(0, 100, 6, 100, Z)[0] == 0
    assert difference_bounds(0, 100, 0, 100, Z) == pytest.approx((-width / (1 + width), width / (1 + width)))


@pytest.mark.parametrize(
    ("units", "rate", "margin"),
    [(100, 1.0, 0.01), (100, 1.0, 0.02), (200, 0.999, 0.01), (1000, 0.9999, 0.002), (1000, 0.9995, 0.002)],
)
def test_a_guardrail_whose_loss_is_its_margin_rarely_passes(units: int, rate: float, margin: float) -> None:
    z = float(norm.isf(0.05))
    passed = sum(
        chance
        for x, x0, chance in _tables((units, rate * (1 - margin)), (units, rate))
        if ratio_bounds(x, units, x0, units, z)[0] > 1 - margin
    )
    assert passed <= 0.05


@pytest.mark.parametrize(
    ("treatment", "control"),
    [((150, 0.15), (150, 0.5)), ((40, 0.9), (160, 0.6)), ((120, 0.02), (120, 0.3)), ((200, 0.01), (60, 0.02))],
)
def test_intervals_cover_differences_as_often_as_they_say(
    treatment: tuple[int, float], control: tuple[int, float]
) -> None:
    truth = treatment[1] - control[1]
    covered = 0.0
    for x, x0, chance in _tables(treatment, control):
        low, high = difference_bounds(x, treatment[0], x0, control[0], Z)
        covered += chance * (low <= truth <= high)
    assert 0.935 <= covered <= 0.97


def _tables(treatment: tuple[int, float], control: tuple[int, float]) -> Iterator[tuple[int, int, float]]:
    """Events of both arms with the chance of each pair, but for those that all but never happen."""
    chances = [binom.pmf(np.arange(units + 1), units, rate) for units, rate in (treatment, control)]
    likely = [np.flatnonzero(each > 1e-5) for each in chances]
    for x, x0 in product(*(each.tolist() for each in likely)):
        yield x, x0, float(chances[0][x] * chances[1][x0])
