"""The gate: may this model become champion? Always a verdict, with a criterion for every reason.

A refusal is an answer, not an error.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.train.metrics import METRICS
from mlguide_assets.train.models import BASE_RATE, CANDIDATE
from mlguide_assets.train.uncertainty import paired_difference, permutation_null, replicate_metrics

Verdict = Literal["promoted", "kept", "refused"]


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked, what was found, and the reason in plain words."""

    criterion: str
    value: float
    low: float | None
    high: float | None
    threshold: float
    passed: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """The verdict and the criteria behind it."""

    verdict: Verdict
    reasons: tuple[str, ...]
    criteria: tuple[Criterion, ...]


def decide(
    scores: pa.Table,
    contract_results: Sequence[dict[str, Any]],
    problem: Problem,
    *,
    same_as_champion: bool = False,
) -> Decision:
    """Judge a candidate by its scores on the test window.

    Args:
        scores: user_id, label, and the probabilities of the base rate and of the candidate.
        contract_results: rule, violations and rows of the last ingest.
        same_as_champion: the candidate is the champion, trained again from the same inputs.
    """
    criteria = (
        _beats_base_rate(scores, problem),
        _is_not_chance(scores, problem),
        _data_can_be_believed(contract_results, problem),
    )
    failed = tuple(criterion.reason for criterion in criteria if not criterion.passed)
    if failed:
        return Decision("refused", failed, criteria)
    if same_as_champion:
        return Decision(
            "kept", ("The same data, problem and code give the champion again: nothing to change.",), criteria
        )
    return Decision("promoted", tuple(criterion.reason for criterion in criteria), criteria)


def _beats_base_rate(scores: pa.Table, problem: Problem) -> Criterion:
    """The whole interval of the gain in the primary metric lies above what the problem asks for."""
    metric, settings, asked = problem.metric.primary, problem.evaluation, problem.gate.min_gain
    models = {name: scores[name].to_numpy() for name in (CANDIDATE, BASE_RATE)}
    replicates = replicate_metrics(
        scores["label"].to_numpy(),
        models,
        scores["user_id"].to_numpy(),
        repeats=settings.bootstrap_repeats,
        seed=settings.seed,
    )
    gain = paired_difference(replicates, CANDIDATE, BASE_RATE, metric)
    passed = bool(gain.low > asked)
    side = "worse" if gain.value < 0 else "better"
    reason = (
        f"Its {METRICS[metric].title} is {side} than the base rate's by {abs(gain.value):.4f} "
        f"(95 % interval of the gain {gain.low:.4f} to {gain.high:.4f}), "
        + (f"all of it above the {asked:g} asked for." if passed else f"not all of it above the {asked:g} asked for.")
    )
    return Criterion("beats_base_rate", gain.value, gain.low, gain.high, asked, passed, reason)


def _is_not_chance(scores: pa.Table, problem: Problem) -> Criterion:
    """Shuffled labels almost never look as good."""
    metric, gate = problem.metric.primary, problem.gate
    null = permutation_null(
        scores["label"].to_numpy(),
        scores[CANDIDATE].to_numpy(),
        metric,
        repeats=gate.permutations,
        seed=problem.evaluation.seed,
    )
    passed = bool(null.p_value <= gate.max_p_value)
    found = (
        f"{METRICS[metric].title} {null.observed:.4f}, and {null.null_low:.4f} to {null.null_high:.4f} "
        f"with shuffled labels"
    )
    reason = (
        f"It can be told from chance: {found} (p = {null.p_value:.3g})."
        if passed
        else f"It cannot be told from chance: {found} (p = {null.p_value:.3g}, at most {gate.max_p_value:g} asked for)."
    )
    return Criterion("is_not_chance", null.p_value, None, None, gate.max_p_value, passed, reason)


def _data_can_be_believed(contract_results: Sequence[dict[str, Any]], problem: Problem) -> Criterion:
    """No rule that only warns is broken so often that the test window itself is in doubt."""
    limit = problem.gate.max_violations
    shares = {r["rule"]: r["violations"] / r["rows"] for r in contract_results if r["action"] == "warn" and r["rows"]}
    worst = max(shares, key=lambda rule: shares[rule], default=None)
    share = shares[worst] if worst else 0.0
    passed = share <= limit
    reason = (
        f"The data keep their contract: no warning in more than {limit:.1%} of the rows."
        if passed
        else f"The data contradict themselves: {share:.1%} of the rows break {worst}, and no score on such rows can be "
        f"believed (at most {limit:.1%} asked for)."
    )
    return Criterion("data_can_be_believed", share, None, None, limit, passed, reason)
