"""Two independent means: Welch's test, and intervals for difference and ratio. It needs moments, not rows."""

from dataclasses import dataclass, replace
from math import exp, hypot, nan, sqrt

from scipy.stats import t as student_t

from mlguide_assets.statistics.comparison import UNDEFINED, Comparison
from mlguide_assets.statistics.intervals import Estimate

ROUNDING = 1e-13
"""Of a mean: by as much, sums of the same numbers may differ that were added in another order."""


@dataclass(frozen=True)
class Sample:
    """Number of units, mean, and variance (of the sample, n - 1).

    Attributes:
        used: degrees of freedom of the variance that an adjustment has used, beside that of the mean.
    """

    units: int
    mean: float
    variance: float
    used: float = 0.0

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the variance."""
        return self.units - 1 - self.used

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return sqrt(self.variance / self.units)


def compare_means(control: Sample, treatment: Sample, *, alpha: float = 0.05) -> Comparison:
    """Difference of two means by Welch's test, and their ratio by the delta method on its logarithm.

    The ratio is undefined unless both means are above 0, and has no bounds where one of them cannot be told from 0 at
    level alpha. Where neither sample varies but for rounding, p is 0 or 1. Both samples need two units or more.

    >>> found = compare_means(Sample(400, 10.0, 25.0), Sample(380, 11.0, 30.0))
    >>> round(found.difference.low, 3), round(found.difference.high, 3), round(found.p_value, 4)
    (0.262, 1.738, 0.008)
    """
    control, treatment = _without_rounding(control, treatment)
    difference, errors = treatment.mean - control.mean, (control.error, treatment.error)
    margin, p_value = 0.0, float(difference == 0)
    if error := hypot(*errors):
        degrees = _degrees(control, treatment, errors)
        margin = float(student_t.isf(alpha / 2, degrees) * error)
        p_value = float(2 * student_t.sf(abs(difference) / error, degrees))
    return Comparison(
        control=control.mean,
        treatment=treatment.mean,
        difference=Estimate(difference, difference - margin, difference + margin),
        ratio=_ratio(control, treatment, alpha),
        p_value=p_value,
    )


def skewness_of_difference(skewness: float, units: int, control_units: int) -> float:
    """Of the difference of two means of values of one skewness; 0 where an arm is empty.

    Of arms that are equally large it cancels out. Beside a far larger control, it is that of one mean, skewness /
    sqrt(units).

    >>> round(skewness_of_difference(2.0, 100, 900), 3), skewness_of_difference(2.0, 500, 500)
    (0.169, 0.0)
    """
    if not (units and control_units):
        return 0.0
    error = sqrt(1 / units + 1 / control_units)
    return skewness * (1 / units**2 - 1 / control_units**2) / error**3


def _without_rounding(control: Sample, treatment: Sample) -> tuple[Sample, Sample]:
    """Where neither varies but for rounding: values of no variance, and one value where they differ by no more."""
    rounding = ROUNDING * max(abs(control.mean), abs(treatment.mean))
    if hypot(control.error, treatment.error) > rounding:
        return control, treatment
    mean = treatment.mean if abs(treatment.mean - control.mean) > rounding else control.mean
    return replace(control, variance=0.0), replace(treatment, mean=mean, variance=0.0)


def _degrees(control: Sample, treatment: Sample, errors: tuple[float, float]) -> float:
    """Degrees of freedom of the sum of two squared errors (Satterthwaite)."""
    share = (errors[0] / hypot(*errors)) ** 2
    return 1 / (share**2 / control.degrees + (1 - share) ** 2 / treatment.degrees)


def _ratio(control: Sample, treatment: Sample, alpha: float) -> Estimate:
    if control.mean <= 0 or treatment.mean <= 0:
        return UNDEFINED
    value, errors = treatment.mean / control.mean, (control.error / control.mean, treatment.error / treatment.mean)
    if not any(errors):
        return Estimate(value, value, value)
    farthest = student_t.isf(alpha / 2, [control.degrees, treatment.degrees])
    if (farthest * errors >= 1).any():
        # The ratio to what may be 0 may be anything (Fieller, 1954), which the delta method does not know.
        return Estimate(value, nan, nan)
    factor = exp(student_t.isf(alpha / 2, _degrees(control, treatment, errors)) * hypot(*errors))
    return Estimate(value, value / factor, value * factor)
