"""What every comparison of a treatment with a control says: both values, difference and ratio with intervals, p."""

from dataclasses import dataclass
from math import nan

from mlguide_assets.statistics.intervals import Estimate

UNDEFINED = Estimate(nan, nan, nan)

NO_EFFECT = 1.0
"""The ratio where treatment and control do not differ."""


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
    difference: Estimate
    ratio: Estimate
    p_value: float
