"""Two independent means: Welch's test, and intervals for difference and ratio. It needs moments, not rows."""

from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.comparison import UNDEFINED, Comparison
from mlguide_assets.statistics.intervals import Estimate


@dataclass(frozen=True)
class Sample:
    """Number of units, mean, and variance (of the sample, n - 1)."""

    units: int
    mean: float
    variance: float


def compare_means(control: Sample, treatment: Sample, *, alpha: float = 0.05) -> Comparison:
    """Difference of two means by Welch's test, and their ratio by the delta method on its logarithm.

    The ratio is undefined unless both means are above 0. Both samples need two units or more.

    >>> found = compare_means(Sample(400, 10.0, 25.0), Sample(380, 11.0, 30.0))
    >>> round(found.difference.low, 3), round(found.difference.high, 3), round(found.p_value, 4)
    (0.262, 1.738, 0.008)
    """
    t, error, degrees = _welch(control, treatment)
    difference, margin = treatment.mean - control.mean, float(student_t.isf(alpha / 2, degrees) * error)
    return Comparison(
        control=control.mean,
        treatment=treatment.mean,
        difference=Estimate(difference, difference - margin, difference + margin),
        ratio=_ratio(control, treatment, alpha),
        p_value=float(2 * student_t.sf(abs(t), degrees)),
    )


def welch(
    control_mean: npt.ArrayLike,
    control_variance: npt.ArrayLike,
    control_units: npt.ArrayLike,
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    units: npt.ArrayLike,
) -> tuple[Floats, Floats, Floats]:
    """t, standard error and degrees of freedom, element by element; the variances are those of the means.

    Where neither sample varies, t is 0 or infinite, and the degrees of freedom are those of the smaller sample.
    """
    a, b = np.asarray(control_variance, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    n, m = np.asarray(control_units, dtype=np.float64), np.asarray(units, dtype=np.float64)
    difference = np.asarray(mean, dtype=np.float64) - np.asarray(control_mean, dtype=np.float64)
    error = np.sqrt(a + b)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(difference == 0, 0.0, difference / error)
        degrees = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    return t, error, np.where(error > 0, degrees, np.minimum(n, m) - 1)


def _welch(control: Sample, treatment: Sample) -> tuple[Floats, Floats, Floats]:
    a, b = control, treatment
    return welch(a.mean, a.variance / a.units, a.units, b.mean, b.variance / b.units, b.units)


def _ratio(control: Sample, treatment: Sample, alpha: float) -> Estimate:
    if control.mean <= 0 or treatment.mean <= 0:
        return UNDEFINED
    logs = [Sample(each.units, log(each.mean), each.variance / each.mean**2) for each in (control, treatment)]
    _, error, degrees = _welch(*logs)
    value, factor = treatment.mean / control.mean, exp(student_t.isf(alpha / 2, degrees) * error)
    return Estimate(value, value / factor, value * factor)
