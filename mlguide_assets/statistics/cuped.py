"""CUPED: what was known before exposure takes out the variance it explains (Deng, Xu, Kohavi and Walker, 2013).

The estimate stays unbiased whatever the covariates, since the arms do not differ in them but by chance. For rare
binary outcomes the reduction is a few percent; it is reported, not promised.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.means import ROUNDING, Sample

_LEAST = 1e-9
"""Of the eigenvalues of correlations: below it, covariates repeat each other but for rounding."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The outcome and the covariates of one arm, in this order: means (k,), and covariances (k, k) of the sample."""

    units: int
    means: Floats
    covariances: Floats

    @property
    def outcome(self) -> Sample:
        """The outcome without any adjustment."""
        return Sample(self.units, float(self.means[0]), float(self.covariances[0, 0]))


def adjust(arms: Mapping[str, Moments], control: str, treatment: str) -> tuple[Sample, Sample] | None:
    """The outcome of two arms as it would be had all arms the same covariates: means and variances after regression.

    The slopes are those within arms, pooled over all of them. As in an analysis of covariance, they cost degrees of
    freedom, and the difference is less certain the farther the covariates of the two arms are apart, which several
    covariates and few units are by chance. Covariates that do not vary, or repeat others, change nothing. None where
    the others would use more than half of the degrees of freedom.
    """
    compared = arms[control], arms[treatment]
    within = np.sum([(arm.units - 1) * arm.covariances for arm in arms.values()], axis=0)
    inverse, rank = _inverse(within[1:, 1:])
    degrees = sum(arm.units - 1 for arm in arms.values())
    if 2 * rank > degrees:
        return None
    units = np.array([arm.units for arm in arms.values()])
    overall = units @ np.array([arm.means[1:] for arm in arms.values()]) / units.sum()
    slopes = inverse @ within[1:, 0]
    apart = compared[1].means[1:] - compared[0].means[1:]
    leverage = float(apart @ inverse @ apart) / sum(1 / arm.units for arm in compared)
    inflation = (1 + leverage) * degrees / (degrees - rank)
    direction = np.concatenate([[1.0], -slopes])
    first, second = (
        Sample(
            arm.units,
            float(arm.means[0] - slopes @ (arm.means[1:] - overall)),
            # Where the covariates explain all, what is left is rounding: its size is not known to be smaller.
            inflation * max(ROUNDING * float(arm.covariances[0, 0]), float(direction @ arm.covariances @ direction)),
            used=rank * (arm.units - 1) / degrees,
        )
        for arm in compared
    )
    return first, second


def _inverse(squares: Floats) -> tuple[Floats, int]:
    """Pseudo-inverse and rank of sums of squares and products (k, k), whatever the units of the columns are."""
    spread = np.sqrt(np.diag(squares))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    values, vectors = np.linalg.eigh(squares * np.outer(scale, scale))
    kept = values > _LEAST
    directions = scale[:, None] * vectors[:, kept]
    return directions / values[kept] @ directions.T, int(kept.sum())


def variance_reduction(before: tuple[Sample, Sample], after: tuple[Sample, Sample]) -> float:
    """The share of the variance of a difference of means that an adjustment took out; below 0 where it added some.

    >>> before, after = Sample(100, 5.0, 4.0), Sample(100, 5.0, 1.0)
    >>> variance_reduction((before, before), (after, after))
    0.75
    """
    old, new = (sum(each.variance / each.units for each in pair) for pair in (before, after))
    return 1 - new / old if old else 0.0
