"""How many units an experiment needs, and which change a number of units can find.

One formula for proportions and means, and for designs with one look or many: the difference must be `drift` standard
errors at the planned end, where the drift is what the boundaries need for the power (see `sequential`).

Proportions are compared by the score test, which takes the variance that there would be if both arms had the same
rate. Where they differ, the statistic varies by the ratio of the true standard error to that one, so the boundaries are
as far away as if they were divided by it (for one look: Fleiss, Levin and Paik, 2003, section 4.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from scipy.optimize import brentq

from mlguide_assets.statistics.sequential import FARTHEST, boundaries, crossing_probabilities, drift_for_power

ONE_LOOK = (1.0,)

_ROUNDING = 1e-9
_LEAST = 0.2
"""Of the deviation that the test takes: where all units of an arm have the event, hardly anything varies."""


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
    35001
    """
    difference = baseline.mean * change
    if not difference:
        raise ValueError("a change of 0 needs infinitely many units")
    deviations = _deviations(baseline, change, share)
    drift = drift_for_power(looks, _true_bounds(deviations, alpha, looks), power)
    return ceil((drift * deviations[0] / difference) ** 2)


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
    sign = -1 if decrease else 1
    most = 1.0 if decrease else 100.0
    if baseline.deviation is None and not decrease:
        most = (1 - baseline.mean) / baseline.mean

    def missing(size: float) -> float:
        deviations = _deviations(baseline, sign * size, share)
        drift = baseline.mean * size * sqrt(units) / deviations[0]
        return float(crossing_probabilities(looks, _true_bounds(deviations, alpha, looks), drift).sum()) - power

    if missing(most) < 0:
        return None
    return sign * float(brentq(missing, 1e-9, most))


def _deviations(baseline: Baseline, change: float, share: float) -> tuple[float, float]:
    """Of the difference of the two means, times the root of the number of units in both arms: in truth, and as the
    test takes it."""
    treated = baseline.mean * (1 + change)
    if baseline.deviation is None:
        if not -_ROUNDING <= treated <= 1 + _ROUNDING:
            raise ValueError(f"a rate of {baseline.mean:g} cannot change by {change:+.0%}")
        treated = min(max(treated, 0.0), 1.0)
    true = sqrt(baseline.variance(baseline.mean) / (1 - share) + baseline.variance(treated) / share)
    if baseline.deviation is not None:
        return true, true
    tested = sqrt(baseline.variance(baseline.mean * (1 + share * change)) / ((1 - share) * share))
    return max(true, _LEAST * tested), tested


def _true_bounds(deviations: tuple[float, float], alpha: float, looks: Sequence[float]) -> list[float]:
    """The boundaries of the test in true standard errors of the difference."""
    true, tested = deviations
    return [min(bound * tested / true, FARTHEST) for bound in boundaries(looks, alpha)]
