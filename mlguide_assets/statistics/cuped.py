"""CUPED: what was known before exposure takes out the variance it explains (Deng, Xu, Kohavi and Walker, 2013).

The estimate stays unbiased whatever the covariates, since the arms do not differ in them but by chance. For rare
binary outcomes the reduction is a few percent; it is reported, not promised.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.means import Sample


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


def adjust(arms: Mapping[str, Moments]) -> dict[str, Sample]:
    """The outcome of each arm as it would be had all arms the same covariates: mean and variance after regression.

    The slopes are those within arms, pooled over them. Covariates that do not vary, or repeat others, change nothing.
    """
    within = np.sum([(arm.units - 1) * arm.covariances for arm in arms.values()], axis=0)
    slopes = np.linalg.pinv(within[1:, 1:], hermitian=True) @ within[1:, 0]
    units = np.array([arm.units for arm in arms.values()])
    overall = units @ np.array([arm.means[1:] for arm in arms.values()]) / units.sum()
    direction = np.concatenate([[1.0], -slopes])
    return {
        name: Sample(
            arm.units,
            float(arm.means[0] - slopes @ (arm.means[1:] - overall)),
            max(0.0, float(direction @ arm.covariances @ direction)),
        )
        for name, arm in arms.items()
    }


def variance_reduction(before: tuple[Sample, Sample], after: tuple[Sample, Sample]) -> float:
    """The share of the variance of a difference of means that an adjustment took out; below 0 where it added some."""
    old, new = (sum(each.variance / each.units for each in pair) for pair in (before, after))
    return 1 - new / old if old else 0.0
