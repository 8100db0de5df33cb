"""Two independent proportions: score test, and score intervals for difference and ratio (statsmodels).

Score intervals hold what they promise for rare events, where those of the delta method do not: at 6 events in each
arm, 95 % intervals of the relative lift cover 89 %.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.stats.proportion import confint_proportions_2indep, score_test_proportions_2indep

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.comparison import UNDEFINED, Comparison
from mlguide_assets.statistics.intervals import Estimate

_CLOSED_FORM = {"diff": "newcomb", "ratio": "log-adjusted"}
"""What statsmodels has where its search for a score interval fails."""


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

    Miettinen and Nurminen (1985) for the difference, Koopman (1984) for the ratio; p of the score test. Where no unit
    or every unit of both arms had the event, p is 1. Neither arm may be empty.

    >>> found = compare_proportions(Events(300, 10_000), Events(240, 10_000))
    >>> round(found.ratio.value, 3), round(found.ratio.low, 3), round(found.ratio.high, 3), round(found.p_value, 4)
    (0.8, 0.677, 0.946, 0.0089)
    """
    return Comparison(
        control=control.rate,
        treatment=treatment.rate,
        difference=_score_interval("diff", treatment.rate - control.rate, control, treatment, alpha),
        ratio=_score_interval("ratio", treatment.rate / control.rate, control, treatment, alpha)
        if control.events
        else UNDEFINED,
        p_value=two_sided_p(score_z(control.events, control.units, treatment.events, treatment.units)),
    )


def score_z(
    control_events: npt.ArrayLike, control_units: npt.ArrayLike, events: npt.ArrayLike, units: npt.ArrayLike
) -> Floats:
    """The signed score statistic of equal proportions, element by element; 0 where nothing varies."""
    counts = [np.asarray(each, dtype=np.float64) for each in (events, units, control_events, control_units)]
    with np.errstate(divide="ignore", invalid="ignore"):
        z, _ = score_test_proportions_2indep(*counts, return_results=False)
    return np.nan_to_num(np.asarray(z, dtype=np.float64))


def two_sided_p(z: npt.ArrayLike) -> float:
    """From the upper tail: 1 - cdf would be 0 from |z| = 8.3 on."""
    from scipy.stats import norm

    return float(2 * norm.sf(np.abs(z)))


def _score_interval(compare: str, value: float, control: Events, treatment: Events, alpha: float) -> Estimate:
    counts = (treatment.events, treatment.units, control.events, control.units)
    with warnings.catch_warnings():
        # The search for the bounds divides by zero at the ends of the parameter space, and goes on.
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            low, high = confint_proportions_2indep(*counts, compare=compare, method="score", alpha=alpha)
            if low <= value <= high:
                return Estimate(value, float(low), float(high))
        except (ValueError, np.exceptions.ComplexWarning):
            # It fails at rates of 0 and 1, and far out in the tails.
            pass
        low, high = confint_proportions_2indep(*counts, compare=compare, method=_CLOSED_FORM[compare], alpha=alpha)
    return Estimate(value, float(low), float(high))
