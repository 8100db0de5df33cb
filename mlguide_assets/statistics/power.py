"""How many units an experiment needs, and which change a number of units can find.

One formula for proportions and means, and for designs with one look or many: the difference must be `drift` standard
errors at the planned end, where the drift is what the boundaries need for the power (see `sequential`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from scipy.optimize import brentq

from mlguide_assets.statistics.sequential import boundaries, drift_for_power

ONE_LOOK = (1.0,)


@dataclass(frozen=True)
class Baseline:
    """What is known of a metric without the treatment.

    Attributes:
        mean: its mean, or rate.
        deviation: its standard deviation over units; None for a proportion, which has its own.
    """

    mean: float
    deviation: float | None = None

    def variance(self, mean: float) -> float:
        """Of one unit, in an arm with this mean."""
        return self.deviation**2 if self.deviation is not None else mean * (1 - mean)


def units_needed(
    baseline: Baseline,
    change: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    share: float = 0.5,
    looks: Sequence[float] = ONE_LOOK,
) -> int:
    """Units of control and treatment together that find a relative change with a probability of `power`.

    Args:
        change: relative, such as -0.2 for a fifth less.
        alpha: two-sided; with several comparisons, divide it by their number.
        share: of the treatment among these units.
        looks: planned information fractions, the last of them 1.

    Raises:
        ValueError: no change, or one that leads to an impossible rate.

    >>> units_needed(Baseline(0.01), -0.2) // 2
    34998
    """
    difference = baseline.mean * change
    if not difference:
        raise ValueError("a change of 0 needs infinitely many units")
    drift = _drift(alpha, power, looks)
    return ceil((drift / difference) ** 2 * _variance_per_unit(baseline, change, share))


def smallest_detectable_change(
    baseline: Baseline,
    units: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    share: float = 0.5,
    looks: Sequence[float] = ONE_LOOK,
    decrease: bool = False,
) -> float | None:
    """The relative change that `units` of both arms find with this power; None where no possible change is.

    >>> round(smallest_detectable_change(Baseline(0.01), 70_000, decrease=True), 3)
    -0.2
    """
    drift, sign = _drift(alpha, power, looks), -1 if decrease else 1
    most = 1.0 if decrease else 100.0
    if baseline.deviation is None and not decrease:
        most = (1 - baseline.mean) / baseline.mean

    def missing(size: float) -> float:
        error = sqrt(_variance_per_unit(baseline, sign * size, share) / units)
        return baseline.mean * size / error - drift

    if missing(most) < 0:
        return None
    return sign * float(brentq(missing, 1e-9, most))


def _drift(alpha: float, power: float, looks: Sequence[float]) -> float:
    return drift_for_power(looks, boundaries(looks, alpha), power)


def _variance_per_unit(baseline: Baseline, change: float, share: float) -> float:
    """Of the difference of the two means, times the number of units in both arms."""
    treated = baseline.mean * (1 + change)
    if baseline.deviation is None and not 0 <= treated <= 1:
        raise ValueError(f"a rate of {baseline.mean:g} cannot change by {change:+.0%}")
    return baseline.variance(baseline.mean) / (1 - share) + baseline.variance(treated) / share
