"""Which parameters of XGBoost tuning may change, and how far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Range:
    """Where a parameter may lie, ends included, and what XGBoost takes where a recipe is silent."""

    low: float
    high: float
    silent: float
    logarithmic: bool = False
    whole: bool = False

    def nearest(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.logarithmic)
        return FloatDistribution(self.low, self.high, log=self.logarithmic)


SPACE: Mapping[str, Range] = {
    "learning_rate": Range(0.03, 0.2, silent=0.3, logarithmic=True),
    "max_depth": Range(3, 8, silent=6, whole=True),
    "min_child_weight": Range(1, 100, silent=1, logarithmic=True),
    "subsample": Range(0.5, 1, silent=1),
    "colsample_bytree": Range(0.3, 1, silent=1),
    "reg_lambda": Range(0.1, 50, silent=1, logarithmic=True),
}
"""A learning rate below 0.03 would want more than `MAX_ROUNDS` rounds."""
