"""Score intervals of the difference and the ratio of two proportions: those values that the score test accepts.

Miettinen and Nurminen (1985): under each value, the proportions are those of the largest likelihood, and the variance
has their factor n / (n - 1). The lower end is the upper one of the arms the other way round, negated or inverted.

statsmodels 0.15 has these intervals, but cannot be used. Its constrained estimate for a difference has an event count
where the formula has a sample size, so that intervals of large differences are too short (coverage 0.92, not 0.95).
Its ratio (Koopman's closed form) divides by zero where every unit has the event, and misses its own value where none
has; the delta method, instead, has no width where both rates are 1.
"""

from collections.abc import Callable
from math import acos, copysign, cos, exp, inf, isinf, log, pi, sqrt

Bounds = tuple[float, float]

_SMALLEST = 1e-12
"""Step off the estimate, where the variance may be 0; far below the width of any interval."""

_LARGEST_STEP = 1e-6


def difference_bounds(events: int, units: int, control_events: int, control_units: int, z: float) -> Bounds:
    """Low and high of events / units - control_events / control_units, at the two-sided normal quantile `z`.

    >>> [round(bound, 4) for bound in difference_bounds(56, 70, 48, 80, 1.959964)]
    [0.0528, 0.3382]
    """
    if 2 * (events + control_events) > units + control_units:
        # The same of the units without the event: a rate near 0 has more digits than one near 1.
        return difference_bounds(control_units - control_events, control_units, units - events, units, z)
    high = _highest_difference(events, units, control_events, control_units, z)
    return -_highest_difference(control_events, control_units, events, units, z), high


def ratio_bounds(events: int, units: int, control_events: int, control_units: int, z: float) -> Bounds:
    """Low and high of the ratio of the two rates; high is infinite where the control has no events.

    >>> [round(bound, 4) for bound in ratio_bounds(0, 100, 6, 100, 1.644854)]
    [0.0, 0.4448]
    """
    inverse = _highest_ratio(control_events, control_units, events, units, z)
    return 1 / inverse, _highest_ratio(events, units, control_events, control_units, z)


def rates_at_difference(x: int, n: int, x0: int, n0: int, difference: float) -> tuple[float, float]:
    """The rates p of x of n and p0 of x0 of n0 that are most likely where p - p0 is `difference`: a root of a cubic.

    >>> [round(rate, 4) for rate in rates_at_difference(20, 100, 10, 100, 0.0)]
    [0.15, 0.15]
    """
    total, events = n + n0, x + x0
    b = ((n + 2 * n0) * difference - total - events) / total
    c = ((n0 * difference - total - 2 * x0) * difference + events) / total
    d = x0 * difference * (1 - difference) / total
    q = (b / 3) ** 3 - b * c / 6 + d / 2
    p = copysign(sqrt(max(0.0, (b / 3) ** 2 - c / 3)), q)
    angle = (pi + acos(min(1.0, max(-1.0, q / p**3)))) / 3 if p else 0.0
    p0 = 2 * p * cos(angle) - b / 3
    # The cosine leaves few digits of a rate near 0: Newton's step on the cubic restores them. A large one is from a
    # slope of nothing but rounding.
    slope = (3 * p0 + 2 * b) * p0 + c
    step = (((p0 + b) * p0 + c) * p0 + d) / slope if slope else 0.0
    if abs(step) < _LARGEST_STEP:
        p0 -= step
    p0 = min(max(p0, -difference, 0.0), 1 - difference, 1.0)
    return min(max(p0 + difference, 0.0), 1.0), p0


def rates_at_ratio(x: int, n: int, x0: int, n0: int, ratio: float) -> tuple[float, float]:
    """The rates p of x of n and p0 of x0 of n0 that are most likely where p / p0 is `ratio`: a root of a quadratic.

    >>> [round(rate, 4) for rate in rates_at_ratio(20, 100, 10, 100, 1.0)]
    [0.15, 0.15]
    """
    b = (n + x0) * ratio + x + n0
    root = sqrt(max(0.0, b * b - 4 * (n + n0) * ratio * (x + x0)))
    p0 = min(1.0, 1 / ratio, 2 * (x + x0) / (b + root))
    return min(1.0, ratio * p0), p0


def _highest_difference(x: int, n: int, x0: int, n0: int, z: float) -> float:
    if isinf(z):
        return 1.0
    value, scale = x / n - x0 / n0, _scale(n + n0, z)

    def beyond(difference: float) -> float:
        p, p0 = rates_at_difference(x, n, x0, n0, difference)
        return difference - value - scale * sqrt(p * (1 - p) / n + p0 * (1 - p0) / n0)

    return _root(beyond, min(value + _SMALLEST, 1.0), 1.0)


def _highest_ratio(x: int, n: int, x0: int, n0: int, z: float) -> float:
    if not x0 or isinf(z):
        return inf
    scale = _scale(n + n0, z)

    def beyond(logarithm: float) -> float:
        ratio = exp(logarithm)
        p, p0 = rates_at_ratio(x, n, x0, n0, ratio)
        # Divided by the ratio, so that it stays small at the far end.
        return x0 / n0 - x / n / ratio - scale * sqrt(p * (1 - p) / n / ratio**2 + p0 * (1 - p0) / n0)

    low = log(max(x, _SMALLEST) / n) - log(x0 / n0) + _SMALLEST
    high, step = low + 1, 1.0
    while beyond(high) < 0:
        step *= 2
        high += step
    return exp(_root(beyond, low, high))


def _root(beyond: Callable[[float], float], low: float, high: float) -> float:
    """Where `beyond` becomes positive, between the two; `low` where it is so from there on."""
    from scipy.optimize import brentq

    if beyond(low) >= 0:
        return low
    return float(brentq(beyond, low, high, xtol=1e-14))


def _scale(total: int, z: float) -> float:
    return z * sqrt(total / (total - 1))
