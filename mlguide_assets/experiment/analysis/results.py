"""What an analysis says: health first, then estimates, then one of four verdicts with the rule that fired."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlguide_assets.experiment.analysis.design import Better, Kind
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.missing import finite_or_none

Verdict = Literal["ship", "keep", "inconclusive", "unhealthy"]
Role = Literal["primary", "guardrail", "secondary"]
Outcome = Literal["passed", "harmed", "open"]


@dataclass(frozen=True)
class HealthCheck:
    """One reason to trust the numbers, or not to.

    Attributes:
        check: its name, such as `sample_ratio` or `sample_ratio:country`.
        value: what was measured; `text` says what it is.
        p: of the test, where it is one.
        passed: False withholds all numbers.
        warning: it passed, but a healthy experiment rarely looks like this.
        text: one sentence on what was found.
    """

    check: str
    value: float
    p: float | None
    passed: bool
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Effect:
    """One arm beside the control, on one metric.

    Attributes:
        p: two-sided; with looks, valid whichever of them stops the experiment (a repeated p-value).
        p_adjusted: of Holm over arms and primary metrics, or of Benjamini-Hochberg over secondary ones; None for
            guardrails, which must all pass and so need none.
        better: direction of improvement; None for a guardrail that may not move either way.
        guardrail: whether its margin is excluded: `passed`, `harmed` (worse than the control, beyond the margin for
            all that is known), or `open` (too little is known, or its values are too skewed to say); None for other
            metrics.
        variance_reduction: the share of the variance of the difference that the covariates took out; None without.
        skewness: what is left of it in the difference of the means; 0 of rates. See `skewness.py`.
    """

    variant: str
    metric: str
    kind: Kind
    role: Role
    better: Better | None
    control: float
    treatment: float
    difference: Estimate
    ratio: Estimate
    p: float
    p_adjusted: float | None = None
    guardrail: Outcome | None = None
    variance_reduction: float | None = None
    skewness: float = 0.0


@dataclass(frozen=True)
class Analysis:
    """All that an analysis found. Where it is not `healthy`, `results` is empty: its numbers are withheld.

    Attributes:
        units: of each arm, waiting ones included.
        waiting: of each arm, units whose outcome window is still open; they are in no result.
        variant: the arm to ship, where the verdict is `ship`.
        rule: the rule that fired, as an identifier.
        reason: the verdict in a sentence or two.
        rows: those of the data; where they are more than the units, those of a unit were made one.
        triggered: the same of the units for which the arms differ, where the design names them.
    """

    health: tuple[HealthCheck, ...]
    units: Mapping[str, int]
    waiting: Mapping[str, int]
    results: tuple[Effect, ...]
    verdict: Verdict
    rule: str
    reason: str
    variant: str | None = None
    triggered: "Analysis | None" = None
    rows: int = 0

    @property
    def healthy(self) -> bool:
        return all(check.passed for check in self.health)

    def as_json(self) -> dict[str, Any]:
        """The stable part, as `mlguide experiment analyse --json` prints it; what is undefined is null.

        `triggered` is the same of the units for which the arms differ; the key is there where the design names them.
        """
        triggered = {} if self.triggered is None else {"triggered": self.triggered.as_json()}
        return {
            "health": [
                {
                    "check": each.check,
                    "value": finite_or_none(each.value),
                    "p": finite_or_none(each.p),
                    "passed": each.passed,
                }
                for each in self.health
            ],
            "healthy": self.healthy,
            "units": dict(self.units),
            "results": [
                {
                    "variant": each.variant,
                    "metric": each.metric,
                    "control": finite_or_none(each.control),
                    "treatment": finite_or_none(each.treatment),
                    "difference": _interval(each.difference),
                    "ratio": _interval(each.ratio),
                    "p": finite_or_none(each.p),
                }
                for each in self.results
            ],
            "verdict": self.verdict,
            "reason": self.reason,
            **triggered,
        }


def p_text(p: float) -> str:
    """A p-value as it is printed.

    >>> p_text(0.01234), p_text(3e-45)
    ('p = 0.012', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def _interval(interval: Estimate) -> dict[str, float | None]:
    return {name: finite_or_none(getattr(interval, name)) for name in ("value", "low", "high")}
