"""Ship, keep or inconclusive: which rule fires, and why. Unhealthy experiments have been turned away before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from mlguide_assets.english import percent
from mlguide_assets.experiment.analysis.design import Design
from mlguide_assets.experiment.analysis.results import Effect, Verdict, p_text
from mlguide_assets.experiment.analysis.skewness import BLOCK_SKEW, what_is_needed
from mlguide_assets.statistics.intervals import Estimate


@dataclass(frozen=True)
class Decision:
    """A verdict with the rule that fired; `variant` is the arm to ship."""

    verdict: Verdict
    rule: str
    reason: str
    variant: str | None = None


def decide(results: Sequence[Effect], design: Design) -> Decision:
    """Ship the best of the arms that may ship; keep the control where no arm can be better; else inconclusive.

    An arm may ship where a primary metric is significantly better, none is significantly worse (Holm over arms and
    primary metrics), and every guardrail has passed. An inconclusive experiment changes nothing, either.
    """
    arms = list(dict.fromkeys(each.variant for each in results))
    decisions = [_decide_arm([each for each in results if each.variant == arm], design) for arm in arms]
    if shipped := [each for each in decisions if each.verdict == "ship"]:
        return max(shipped, key=lambda decision: _gain(results, decision.variant))
    open_ones = [each for each in decisions if each.verdict == "inconclusive"]
    first = (open_ones or decisions)[0]
    return Decision(first.verdict, first.rule, " ".join(each.reason for each in decisions))


def _decide_arm(results: Sequence[Effect], design: Design) -> Decision:
    primary = [each for each in results if each.role == "primary"]
    significant = [each for each in primary if each.p_adjusted is not None and each.p_adjusted <= design.alpha]
    better = [each for each in significant if _improvement(each) > 0]
    worse = [each for each in significant if _improvement(each) < 0]
    harmed, unclear = ([each for each in results if each.guardrail == outcome] for outcome in ("harmed", "open"))
    variant = results[0].variant
    if worse:
        return Decision("keep", "primary_worse", f"{described(worse[0], design)}: that is worse.")
    if harmed:
        what = f"{described(harmed[0], design)}: a loss beyond the guardrail's margin is not excluded."
        return Decision("keep", "guardrail_harmed", what)
    if better and unclear:
        return Decision(
            "inconclusive", "guardrail_open", f"{described(better[0], design)}, but {_open(unclear, design)}."
        )
    if better:
        guarded = ", and every guardrail passed" if any(each.guardrail for each in results) else ""
        return Decision("ship", "primary_better", f"{described(better[0], design)}{guarded}.", variant)
    if design.smallest_effect and all(_is_too_small(each, design.smallest_effect) for each in primary):
        what = (
            f"{described(primary[0], design)}: an improvement of {percent(design.smallest_effect)} or more is excluded."
        )
        return Decision("keep", "effect_too_small", what)
    what = f"{described(primary[0], design)}: that may be chance."
    return Decision("inconclusive", "no_significant_difference", what)


def described(estimate: Effect, design: Design) -> str:
    """The effect in words, relative where that has an interval.

    It reads like: 'B': converted is 12.0% higher than in 'A' (95 % CI +5.1% to +19.4%, p = 0.0004).
    """
    ratio, change, spec, unit = estimate.ratio, estimate.difference, ".4g", ""
    if isnan(ratio.low) and estimate.kind == "binary":
        change, unit = Estimate(*(100 * each for each in (change.value, change.low, change.high))), " percentage points"
    elif not isnan(ratio.low):
        change, spec = Estimate(ratio.value - 1, ratio.low - 1, ratio.high - 1), ".1%"
    size = f"{abs(change.value):{spec}}{unit}"
    direction = "higher than" if change.value > 0 else "lower than"
    compared = f"{size} {direction} in" if change.value else "as high as in"
    p = estimate.p if estimate.p_adjusted is None else estimate.p_adjusted
    adjusted = ", adjusted" if p != estimate.p else ""
    within = change.ci(f"+{spec}", of="so few units", level=1 - design.alpha)
    return f"{estimate.variant!r}: {estimate.metric} is {compared} {design.control!r} ({within}, {p_text(p)}{adjusted})"


def has_no_margin(estimate: Effect, design: Design) -> bool:
    """Whether it is a guardrail whose margin is a share of what is not above 0: more units would not help."""
    relative = {each.column for each in design.guardrails if each.relative}
    below = not (estimate.control > 0 and estimate.treatment > 0)
    return estimate.kind == "mean" and estimate.guardrail is not None and estimate.metric in relative and below


def _open(guardrails: Sequence[Effect], design: Design) -> str:
    """Why guardrails have not passed."""
    skewed = [each for each in guardrails if each.skewness > BLOCK_SKEW]
    without = [each for each in guardrails if each not in skewed and has_no_margin(each, design)]
    names = " and ".join(each.metric for each in guardrails if each not in (*skewed, *without))
    return ", and ".join(
        (
            *([f"a loss beyond the margin of {names} is not ruled out yet"] if names else []),
            *(
                f"a share is no margin for {each.metric}, whose mean is not above 0 in both variants"
                for each in without
            ),
            *(
                f"the values of {each.metric} are too skewed to rule out a loss beyond its margin: of their skewness "
                f"{each.skewness:.2g} is left in the difference of the means, and {what_is_needed(each.skewness)}"
                for each in skewed
            ),
        )
    )


def _improvement(estimate: Effect) -> float:
    return -estimate.difference.value if estimate.better == "lower" else estimate.difference.value


def _gain(results: Sequence[Effect], variant: str | None) -> float:
    return _improvement(next(each for each in results if each.variant == variant))


def _is_too_small(estimate: Effect, smallest: float) -> bool:
    """Whether the interval excludes an improvement by this share of the control's value."""
    if estimate.better == "lower":
        return estimate.ratio.low > 1 - smallest
    return estimate.ratio.high < 1 + smallest
