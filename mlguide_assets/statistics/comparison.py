"""What every comparison of a treatment with a control says: both values, difference and ratio with intervals, p."""

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True)
class Interval:
    """A value with its interval; NaN where there is none."""

    value: float
    low: float
    high: float


UNDEFINED = Interval(nan, nan, nan)


@dataclass(frozen=True)
class Comparison:
    """A treatment beside a control.

    Attributes:
        control, treatment: proportion or mean of each.
        difference: treatment - control.
        ratio: treatment / control; undefined where the control's value is not above 0.
        p_value: two-sided, of no difference.
    """

    control: float
    treatment: float
    difference: Interval
    ratio: Interval
    p_value: float
