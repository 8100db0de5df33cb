"""Two independent proportions: score test, and score intervals for difference and ratio.

Score intervals hold what they promise for rare events, where those of the delta method do not: at 6 events in each
arm, 95 % intervals of the relative lift cover 89 %.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.stats.proportion import score_test_proportions_2indep

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.comparison import UNDEFINED, Comparison
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.score_intervals import difference_bounds, ratio_bounds


@dataclass(frozen=True)
class Events:
    """How many of the units had the event."""

    events: int
    units: int

    @property
    def rate(self) -> float:
        return self.events / self.units


def compare_proportions(control: Events, treatment: Events, *, alpha: float = 0.05) -> Comparison:
    """Difference and ratio of two proportions, each with the score interval of level 1 - alpha.

    Miettinen and Nurminen (1985) for both; see `score_intervals.py`. p is that of the score test, 1 where no unit or
    every unit of both arms had the event; an interval excludes equality exactly where p is below alpha. Neither arm may
    be empty.

    >>> found = compare_proportions(Events(300, 10_000), Events(240, 10_000))
    >>> round(found.ratio.value, 3), round(found.ratio.low, 3), round(found.ratio.high, 3), round(found.p_value, 4)
    (0.8, 0.677, 0.946, 0.0089)
    """
    from scipy.stats import norm

    counts = (treatment.events, treatment.units, control.events, control.units)
    z = float(norm.isf(alpha / 2))
    difference = treatment.rate - control.rate
    return Comparison(
        control=control.rate,
        treatment=treatment.rate,
        difference=Estimate(difference, *difference_bounds(*counts, z)),
        ratio=Estimate(treatment.rate / control.rate, *ratio_bounds(*counts, z)) if control.events else UNDEFINED,
        p_value=two_sided_p(score_z(control.events, control.units, treatment.events, treatment.units)),
    )


def score_z(
    control_events: npt.ArrayLike, control_units: npt.ArrayLike, events: npt.ArrayLike, units: npt.ArrayLike
) -> Floats:
    """The signed score statistic of equal proportions, element by element; 0 where nothing varies.

    >>> score_z([10], [100], [20], [100]).round(2)
    array([1.98])
    """
    counts = [np.asarray(each, dtype=np.float64) for each in (events, units, control_events, control_units)]
    with np.errstate(divide="ignore", invalid="ignore"):
        z, _ = score_test_proportions_2indep(*counts, return_results=False)
    return np.nan_to_num(np.asarray(z, dtype=np.float64))


def two_sided_p(z: npt.ArrayLike) -> float:
    """From the upper tail: 1 - cdf would be 0 from |z| = 8.3 on.

    >>> round(two_sided_p(1.96), 3)
    0.05
    """
    from scipy.stats import norm

    return float(2 * norm.sf(np.abs(z)))
