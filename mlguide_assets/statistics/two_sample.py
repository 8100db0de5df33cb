"""Do two histograms over the same bins differ, and by how much? Statistics of counts, without any table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats

MIN_EXPECTED = 5.0
"""Below this expected count the chi-square distribution is no good approximation (Cochran, 1954)."""

CONFIDENCE = 0.9
"""Of the bound on a design effect."""


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's statistic, its degrees of freedom, and the chance of as much where nothing differs."""

    statistic: float
    degrees: int
    p_value: float


def chi_square(reference: npt.ArrayLike, window: npt.ArrayLike, *, inflation: float = 1.0) -> ChiSquare:
    """Test whether two samples, as counts (bins,), come from one distribution; both are taken as random.

    `inflation` divides the statistic: the first-order correction of Rao and Scott (1981), who show that for
    clustered rows the mean of the statistic is its degrees of freedom times the mean design effect.

    Bins whose expected count in the smaller sample is below `MIN_EXPECTED` effective rows, so `inflation` times as
    many, are merged into one. What is merged depends on the two samples together only, never on how they differ,
    so the test keeps its level.

    Where one sample is empty or fewer than two bins are left, there are no degrees of freedom and p is NaN.

    >>> found = chi_square([500, 500], [560, 440])
    >>> round(found.statistic, 2), found.degrees, round(found.p_value, 4)
    (7.23, 1, 0.0072)
    >>> round(chi_square([500, 500], [560, 440], inflation=4).p_value, 2)
    0.18
    """
    from scipy.special import chdtrc

    observed = _merged(np.array([reference, window], dtype=np.float64), MIN_EXPECTED * inflation)
    degrees = observed.shape[1] - 1
    if degrees < 1:
        return ChiSquare(0.0, 0, float("nan"))
    # As `scipy.stats.chi2_contingency` has it, whose checks of its arguments take twenty times as long: a day
    # needs it for hundreds of columns.
    expected = _expected(observed)
    statistic = float(((observed - expected) ** 2 / expected).sum()) / inflation
    return ChiSquare(statistic, degrees, float(chdtrc(degrees, statistic)))


def design_effect(tests: Sequence[ChiSquare]) -> float:
    """The inflation of a statistic, from tests of windows in which nothing happened; at least 1.

    It is an upper bound of the mean of statistic / degrees, taking the sum of the statistics as a multiple of a
    chi-square: a mean that is too low by chance in one of many columns would be what alarms.

    >>> usual = chi_square([90, 110], [45, 55])
    >>> design_effect([usual])
    1.0
    """
    from scipy.special import chdtri

    degrees = sum(test.degrees for test in tests)
    if not degrees:
        return 1.0
    return max(1.0, sum(test.statistic for test in tests) / float(chdtri(degrees, CONFIDENCE)))


def _merged(observed: Floats, enough: float) -> Floats:
    """Counts (2, merged bins), none of them sparse; at most one bin where a sample is empty."""
    observed = observed[:, observed.sum(axis=0) > 0]
    if not observed.sum(axis=1).all():
        return observed[:, :1]
    least = _expected(observed).min(axis=0)
    sparse = least < enough
    kept: Floats = observed[:, ~sparse]
    pooled: Floats = observed[:, sparse].sum(axis=1, keepdims=True)
    if not kept.shape[1] or least[sparse].sum() >= enough:
        return np.hstack([kept, pooled])
    kept[:, [np.argmin(kept.sum(axis=0))]] += pooled
    return kept


def psi_terms(reference: npt.ArrayLike, window: npt.ArrayLike) -> Floats:
    """Each bin's part (bins,) of the population stability index, the symmetric Kullback-Leibler divergence.

    Half a row is added to every bin that either sample has, or one empty bin would make it infinite. NaN where a
    sample is empty.

    >>> round(float(psi_terms([500, 500], [700, 300]).sum()), 3)
    0.169
    """
    counts = np.array([reference, window], dtype=np.float64)
    if not counts.sum(axis=1).all():
        return np.full(counts.shape[1], np.nan)
    used = counts.sum(axis=0) > 0
    shares = (counts[:, used] + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * used.sum())
    terms = np.zeros(len(used))
    terms[used] = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    return terms


def share_p_value(reference: tuple[int, int], window: tuple[int, int], *, inflation: float = 1.0) -> float:
    """Two-sided p of the score test that two shares are equal; each side is (cases, rows).

    `inflation` multiplies the variance, as for `chi_square`. 1 where a side is empty or all rows are alike.

    >>> round(share_p_value((10, 1000), (30, 1000)), 4), share_p_value((10, 1000), (1, 100))
    (0.0014, 1.0)
    """
    from scipy.special import ndtr

    (before, rows_before), (now, rows_now) = reference, window
    if not rows_before or not rows_now or before + now in (0, rows_before + rows_now):
        return 1.0
    pooled = (before + now) / (rows_before + rows_now)
    deviation = (inflation * pooled * (1 - pooled) * (1 / rows_before + 1 / rows_now)) ** 0.5
    return 2 * float(ndtr(-abs(now / rows_now - before / rows_before) / deviation))


def _expected(observed: Floats) -> Floats:
    """Counts (2, bins) where both samples come from one distribution."""
    expected: Floats = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0) / observed.sum()
    return expected
