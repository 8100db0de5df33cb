"""Evaluates a canary: the evidence on a version that goes live step by step, and the action that follows.

Everything is decided from counts of units, at every look, by intervals that hold at all looks together
(`statistics.confidence_sequences`): looking more often does not abort more harmless versions. No I/O here; where the
counts come from is in `counts.py`, what a verdict does in `day.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlguide_assets.define.promotion import Canary, CanaryMetric
from mlguide_assets.english import counted, percent
from mlguide_assets.experiment.canary.ratio_words import ratio_in_words
from mlguide_assets.statistics.confidence_sequences import Stage, rate_ratio_sequence
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.missing import finite_or_none

Action = Literal["start", "hold", "pause", "advance", "abort", "promote", "give_up", "stop"]

SIGNAL_ALPHA = 0.2
"""A signal only pauses the ramp, so it need not be sure: the low end of this interval decides."""
_SAME_SHARE = 1e-6
"""Shares of stages come from plans and logs, rounded."""

_WORDS: Mapping[CanaryMetric, str] = {
    "outcome": "units with the outcome",
    "withheld": "units that were withheld from",
    "errors": "units that it failed to answer",
    "slow": "units that a model kept waiting too long",
}

Counts = Mapping[CanaryMetric, Sequence[Stage]]
"""Of each metric, the units counted per step of the ramp, of champion (control) and canary (treatment)."""


@dataclass(frozen=True)
class Finding:
    """The ratio of one metric, canary over champion, and what is accepted of it.

    Attributes:
        control, treatment: units, over all steps.
        margin: the ratio may be up to 1 + margin.
    """

    metric: CanaryMetric
    role: Literal["guardrail", "signal"]
    control: int
    treatment: int
    ratio: Estimate
    margin: float

    @property
    def is_beyond(self) -> bool:
        """Whether even the low end of the interval is beyond what is accepted."""
        return self.ratio.low > 1 + self.margin

    @property
    def looks_beyond(self) -> bool:
        """Whether the ratio itself is, be it by chance."""
        return self.ratio.value > 1 + self.margin

    @property
    def sentence(self) -> str:
        value, low, high = self.ratio.value, self.ratio.low, self.ratio.high
        words = ratio_in_words(value, low, high, control=self.control, treatment=self.treatment)
        return (
            f"The rate of {_WORDS[self.metric]} is {words} (from {self.treatment:,} and {self.control:,}; "
            f"accepted: {1 + self.margin:g})"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: without numbers that are not finite."""
        numbers = {name: finite_or_none(value) for name, value in asdict(self.ratio).items()}
        return {
            "metric": self.metric,
            "role": self.role,
            "control": self.control,
            "treatment": self.treatment,
            **{f"ratio_{name}": value for name, value in numbers.items()},
            "margin": self.margin,
            "beyond": self.is_beyond,
        }


@dataclass(frozen=True)
class Evaluation:
    """What a look found and does.

    Attributes:
        step: of the ramp, from 0, after this look.
        share: of the units, after this look; 0 where the canary has ended.
        findings: guardrails first.
    """

    action: Action
    step: int
    share: float
    reason: str
    findings: tuple[Finding, ...]


def evaluate(canary: Canary, counts: Counts, *, step: int, days_in_step: int, days: int) -> Evaluation:
    """What follows from the counts so far.

    Args:
        step: of the ramp, from 0.
        days_in_step, days: since the step and since the canary began.
    """
    guardrails = [_finding("guardrail", name, counts, margin, canary) for name, margin in canary.guardrails.items()]
    signals = [_finding("signal", name, counts, margin, canary) for name, margin in canary.signals.items()]
    findings = (*guardrails, *signals)
    share, last = canary.ramp[step], len(canary.ramp) - 1
    had = counts.get("outcome", ())

    def found(action: Action, reason: str, to: int = step) -> Evaluation:
        left = 0.0 if action in ("abort", "promote", "give_up") else canary.ramp[to]
        return Evaluation(action, to, left, reason, findings)

    if harm := next((each for each in guardrails if each.is_beyond), None):
        return found("abort", f"It is significantly harmful: {_begun(harm.sentence)}.")
    if days >= canary.give_up_after:
        return found(
            "give_up", f"There was no decision within canary.give_up_after = {counted(canary.give_up_after, 'day')}."
        )
    if bad := next((each for each in signals if each.is_beyond), None):
        return found("pause", f"The ramp pauses at {percent(share)}: {_begun(bad.sentence)}.")
    if days_in_step < canary.days_per_step:
        return found(
            "hold",
            f"Day {days_in_step} of {canary.days_per_step} at {percent(share)}: no guardrail is significantly worse.",
        )
    own, of_both = sum(each.treatment for each in had), sum(each.control + each.treatment for each in had)
    events, needed = (own, canary.min_events) if step == last else (of_both, canary.min_events * (step + 1))
    if events < needed:
        whose = "its own units" if step == last else "units of both arms"
        return found(
            "hold", f"{events:,} of {needed:,} {whose} had the outcome that is needed to go on from {percent(share)}."
        )
    if step == last:
        steps_left = (canary.give_up_after - days) / days_in_step
        if doubtful := next((each for each in guardrails if _in_doubt(each, counts, canary, steps_left)), None):
            return found("hold", f"At the end of the ramp it stays in doubt: {_begun(doubtful.sentence)}.")
        return found(
            "promote", f"It went live up to {percent(share)} of the units, and no guardrail is significantly worse."
        )
    return found(
        "advance",
        f"No guardrail is significantly worse at {percent(share)}: from here on {percent(canary.ramp[step + 1])}.",
        to=step + 1,
    )


def _finding(
    role: Literal["guardrail", "signal"], metric: CanaryMetric, counts: Counts, margin: float, canary: Canary
) -> Finding:
    stages = counts.get(metric, ())
    alpha = canary.alpha / len(canary.guardrails) if role == "guardrail" else SIGNAL_ALPHA
    control, treatment = (sum(getattr(each, arm) for each in stages) for arm in ("control", "treatment"))
    return Finding(metric, role, control, treatment, rate_ratio_sequence(stages, alpha=alpha), margin)


def _in_doubt(finding: Finding, counts: Counts, canary: Canary, steps_left: float) -> bool:
    """Whether the ratio itself is beyond what is accepted, and its events can tell: there are `min_events` of its own,
    or will be before the canary gives up, if as many come as since the last step of the ramp began.

    One unit that got no answer, and none of the champion's, says nothing: where answers hardly ever fail, no other
    may come for weeks.

    Args:
        steps_left: how many times as long as that it may still take.
    """
    if not finding.looks_beyond:
        return False
    stages = counts.get(finding.metric, ())
    since = sum(each.treatment for each in stages if math.isclose(each.share, canary.ramp[-1], abs_tol=_SAME_SHARE))
    return finding.treatment + since * steps_left >= canary.min_events


def _begun(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
