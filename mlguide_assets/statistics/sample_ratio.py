"""Did the arms get the shares they were meant to get? Where they did not, some units are missing, and not at random."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, gammaln, xlogy

from mlguide_assets.statistics.arrays import Floats

CONCENTRATION = 2500.0
"""Of the prior of the sequential test: the counts deviate by a percentage point or so, if they do."""


def sample_ratio_p_value(counts: npt.ArrayLike, weights: npt.ArrayLike) -> Floats:
    """Chi-square test of the counts (..., arms) against the weights (arms,), in any unit, all arms jointly; made once.

    Arms of weight 0 must be empty: then they count for nothing, the degrees of freedom included; else p is 0. With
    fewer than two arms that have a weight, or no units, there is nothing to test: p is 1.

    >>> round(float(sample_ratio_p_value([5000, 4800], [1, 1])), 4)
    0.0434
    """
    observed, shares, impossible = _used(counts, weights)
    expected = shares * observed.sum(axis=-1, keepdims=True)
    statistic = ((observed - expected) ** 2 / np.where(expected > 0, expected, 1.0)).sum(axis=-1)
    p_value = chdtrc(len(shares) - 1, statistic) if len(shares) > 1 else np.ones(statistic.shape)
    return np.where(impossible, 0.0, p_value)


def sequential_sample_ratio_p_value(counts: npt.ArrayLike, weights: npt.ArrayLike) -> Floats:
    """The same for counts that are looked at while they grow: valid at all looks together.

    One over the Bayes factor of a Dirichlet prior around the weights (Lindon and Malek, 2022): it falls below a level
    at any time in at most that share of experiments without a fault.

    >>> [round(float(sequential_sample_ratio_p_value(counts, [0.5, 0.5])), 3) for counts in ([500, 510], [500, 700])]
    [1.0, 0.005]
    """
    observed, shares, impossible = _used(counts, weights)
    prior = CONCENTRATION * shares
    log_factor = (
        gammaln(CONCENTRATION) - gammaln(CONCENTRATION + observed.sum(axis=-1))
        + (gammaln(prior + observed) - gammaln(prior) - xlogy(observed, shares)).sum(axis=-1)
    )  # fmt: skip
    return np.where(impossible, 0.0, np.exp(-np.maximum(log_factor, 0.0)))


def largest_deviation(counts: Sequence[int], weights: Sequence[float]) -> int:
    """Index of the arm whose count is farthest from what was expected, in standard deviations.

    >>> largest_deviation([500, 480, 620], [1, 1, 1])
    2
    """
    observed, shares = np.asarray(counts, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    expected = shares / shares.sum() * observed.sum()
    return int(np.argmax(np.abs(observed - expected) / np.sqrt(np.maximum(expected, 1e-9))))


def _used(counts: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Counts and shares of the arms that have a weight, and whether any other has units."""
    observed, shares = np.asarray(counts, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if observed.shape[-1:] != shares.shape or (shares < 0).any():
        raise ValueError(f"counts and weights must be as many, and no weight below 0: {observed}, {shares}")
    used = shares > 0
    shares = shares / max(shares.sum(), np.finfo(np.float64).tiny)
    return observed[..., used], shares[used], np.asarray(observed[..., ~used].any(axis=-1))
