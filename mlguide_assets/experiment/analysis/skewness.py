"""Are there enough units for the difference of two means to be nearly normal? Else they decide nothing."""

from mlguide_assets.experiment.analysis.units import Units
from mlguide_assets.statistics.means import skewness_of_difference

WARN_SKEW = 355**-0.5
"""Of a difference of means: what a single mean has of 355 units times its squared skewness (Kohavi et al., 2014)."""
BLOCK_SKEW = 0.5
"""Beyond it, intervals of 95 % were found to cover 90 % and less; up to 0.3, they covered 94 to 96 %. A one-sided test
of level 5 %, as guardrails are, was wrong in up to 9 % of cases there, and in up to 7 % at 0.3."""


def skewness_left(units: Units, place: int, arm: str, control: str) -> float:
    """The size of what is left of a measured column's skewness in the mean of an arm less that of the control."""
    control_units = units.arms[control].closed
    return abs(skewness_of_difference(pooled_skewness(units, place), units.arms[arm].closed, control_units))


def pooled_skewness(units: Units, place: int) -> float:
    """The skewness of a measured column about the mean of each arm; 0 where nothing varies.

    It is that of all arms together: an arm that by chance lacks the few large values, and so is wrong, seems to have
    none.
    """
    arms = [arm for arm in units.arms.values() if arm.closed > 1]
    squares = sum((arm.closed - 1) * arm.covariances[place, place] for arm in arms)
    if not squares:
        return 0.0
    closed = sum(arm.closed for arm in arms)
    third = sum(arm.closed * arm.third_moments[place] for arm in arms) / closed
    return float(third / (squares / (closed - len(arms))) ** 1.5)


def what_is_needed(left: float) -> str:
    """What would make the skewness that is left small enough.

    >>> what_is_needed(1.0)
    'intervals need 0.5 or less: equally large variants, or 4.0 times as many units'
    """
    more = (left / BLOCK_SKEW) ** 2
    return f"intervals need {BLOCK_SKEW:g} or less: equally large variants, or {more:.1f} times as many units"
