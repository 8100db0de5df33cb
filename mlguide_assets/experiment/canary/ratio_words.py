"""The ratio of a canary's rate to the champion's, in words. It imports no SciPy: `mlguide canary status` needs none."""

import math


def ratio_in_words(value: float | None, low: float | None, high: float | None, *, control: int, treatment: int) -> str:
    """What the counts say of the ratio, for people: no infinite number is shown.

    Args:
        value, low, high: of the ratio; None, as JSON has it, where a number is not finite.
        control, treatment: units of the champion and of the canary.

    >>> ratio_in_words(2.273, 1.402, 3.5, control=990, treatment=40)
    "2.27 times the champion's, interval 1.40 to 3.50"
    >>> ratio_in_words(math.inf, 10.24, math.inf, control=0, treatment=12)
    "at least 10.24 times the champion's, which has none"
    >>> ratio_in_words(2.0, 0.2, None, control=1, treatment=2)
    "2.00 times the champion's, at least 0.20"
    >>> ratio_in_words(None, 0.0, None, control=0, treatment=0)
    'unknown, since neither has any'
    """
    if not control + treatment:
        return "unknown, since neither has any"
    least = f"at least {low or 0:.2f}"
    if not control:
        return f"{least} times the champion's, which has none"
    bounds = least if high is None or math.isinf(high) else f"interval {low or 0:.2f} to {high:.2f}"
    return f"{value or 0:.2f} times the champion's, {bounds}"
