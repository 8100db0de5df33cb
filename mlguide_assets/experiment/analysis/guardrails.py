"""Guardrails: one-sided tests of non-inferiority. What is not shown to be harmless has not passed."""

from mlguide_assets.experiment.analysis.design import Guardrail
from mlguide_assets.experiment.analysis.results import Outcome
from mlguide_assets.statistics.comparison import Comparison


def guardrail_outcome(guardrail: Guardrail, found: Comparison) -> Outcome:
    """Whether the interval excludes a loss beyond the margin.

    Args:
        found: with intervals of level 1 - 2 alpha, so that each bound is one-sided at alpha. All guardrails must pass,
            so none needs a correction for the others.
    """
    low, high, middle = found.difference.low, found.difference.high, 0.0
    within_low, within_high = low > -guardrail.margin, high < guardrail.margin
    if guardrail.relative:
        # Undefined ratios are within no margin.
        within_low, within_high = found.ratio.low > 1 - guardrail.margin, found.ratio.high < 1 + guardrail.margin
    fell, rose = high < middle, low > middle
    match guardrail.better:
        case "higher":
            passed, worse = within_low, fell
        case "lower":
            passed, worse = within_high, rose
        case None:
            passed, worse = within_low and within_high, fell or rose
    return "passed" if passed else "harmed" if worse else "open"
