"""The value of a target policy: four estimators, with intervals that draw units.

With w = target probability / propensity of the logged action, r the reward and q an outcome model:

    IPS    mean of w r                                    unbiased; Horvitz and Thompson (1952)
    SNIPS  sum of w r / sum of w                          less variance; Swaminathan and Joachims (2015)
    DM     mean of q over the target's actions            as good as the model, whatever the log
    DR     DM + mean of w (r - q of the logged action)    unbiased where q or the propensities are right; Dudik,
                                                          Langford and Li (2011), cross-fitted as in
                                                          Chernozhukov et al. (2018)

Every estimate is a ratio of two sums over units. A replicate of the bootstrap draws units and takes both sums again, so
that the denominator of SNIPS varies as it does in truth. The outcome model is not refitted: an error of it that is
common to all replicates is not in the interval of DM, which is why DM never stands alone.

Switch-DR is left out: it replaces rows of large weight by the model, which is clipping by another name. Logs that
need it are refused (`support`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlguide_assets.experiment.off_policy.log import PolicyLog, Predictions
from mlguide_assets.statistics.arrays import Floats, Integers, ratio
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.statistics.intervals import Estimate, percentile_interval

LOGGED, IPS, SNIPS, DM, DR = "logged", "ips", "snips", "dm", "dr"

REPEATS = 1000
MOST_CLUSTERS = 10_000
"""More units than these are drawn in as many random groups: sums over groups vary as those over units do, and the
draws take a second instead of minutes."""


@dataclass(frozen=True)
class Value:
    """What a policy is worth per decision, and how much that is above the logged policy, on the same replicates."""

    value: Estimate
    gain: Estimate


def estimate(
    log: PolicyLog,
    predictions: Predictions | None = None,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Value]:
    """Every estimator of the target's value, and the value of the logged policy (`LOGGED`).

    DM and DR are there where there are predictions. All intervals come from the same replicates.

    A target that always takes one of two actions, which were logged at equal chance and lead to a reward in 3 of 10:

    >>> chance = np.random.default_rng(0)
    >>> log = PolicyLog(
    ...     units=np.arange(4000), rewards=chance.binomial(1, 0.3, 4000).astype(float),
    ...     propensities=np.full(4000, 0.5), target=chance.integers(0, 2, 4000).astype(float),
    ... )
    >>> found = estimate(log, repeats=100)
    >>> round(found[SNIPS].value.value, 2)
    0.29
    """
    terms = _terms(log, predictions)
    bootstrap = ClusterBootstrap(_clusters(log, seed), repeats, seed)
    sums = bootstrap.sums(np.stack([row for part in zip(*terms.values(), strict=True) for row in part]))
    points, replicates = bootstrap.replicated(sums, _ratios)
    logged = list(terms).index(LOGGED)
    return {
        name: Value(
            percentile_interval(float(point), values, level),
            percentile_interval(float(point - points[logged]), values - replicates[logged], level),
        )
        for name, point, values in zip(terms, points, replicates, strict=True)
    }


def relative_value(log: PolicyLog, against: PolicyLog, *, repeats: int = REPEATS, seed: int = 0) -> Estimate:
    """The value of one target over that of another (SNIPS), both from the same decisions and the same replicates."""
    bootstrap = ClusterBootstrap(_clusters(log, seed), repeats, seed)
    parts = [part for each in (log, against) for part in (each.weights * each.rewards, each.weights)]

    def measure(sums: Floats) -> Floats:
        value, other = ratio(sums[0], sums[1]), ratio(sums[2], sums[3])
        return ratio(value, other)[None, :]

    points, replicates = bootstrap.replicated(bootstrap.sums(np.stack(parts)), measure)
    return percentile_interval(float(points[0]), replicates[0])


def _terms(log: PolicyLog, predictions: Predictions | None) -> Mapping[str, tuple[Floats, Floats]]:
    """Numerator and denominator of each row, (n,) and (n,)."""
    weights, rewards = log.weights, log.rewards
    one = np.ones_like(rewards)
    terms = {
        LOGGED: (rewards, one),
        IPS: (weights * rewards, one),
        SNIPS: (weights * rewards, weights),
    }
    if predictions is not None:
        terms[DM] = (predictions.target, one)
        terms[DR] = (predictions.target + weights * (rewards - predictions.logged), one)
    return terms


def _clusters(log: PolicyLog, seed: int) -> Integers:
    """What is drawn for each row, (n,), from 0: its unit, or the group of its unit."""
    size = int(log.unit_codes.max()) + 1
    if size <= MOST_CLUSTERS:
        return log.unit_codes
    groups = np.random.default_rng(seed).permutation(size) % MOST_CLUSTERS
    return groups[log.unit_codes]


def _ratios(sums: Floats) -> Floats:
    """Numerators over denominators, for sums (2 k, r) of both, one above the other."""
    return ratio(*np.split(sums, 2))
