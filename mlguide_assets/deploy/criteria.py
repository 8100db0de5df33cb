"""What the gate asks of a candidate, one function per criterion: value, interval, threshold, reason in words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.comparison import Comparison, Incomparable
from mlguide_assets.deploy.parity import Parity
from mlguide_assets.train.metrics import METRICS
from mlguide_assets.train.models import BASE_RATE, CANDIDATE
from mlguide_assets.train.slices import GAP, LARGEST_DIFFERENCE, worst_slice
from mlguide_assets.train.uncertainty import Estimate, Replicates, paired_difference, permutation_null

PARITY_DIFFERENCE = "demographic_parity_difference"


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


def beats_base_rate(replicates: Replicates, problem: Problem) -> Criterion:
    """The whole interval of the gain in the primary metric lies above what the problem asks for."""
    metric, asked = problem.metric.primary, problem.gate.min_gain
    gain = paired_difference(replicates, CANDIDATE, BASE_RATE, metric)
    passed = bool(gain.low > asked)
    side = "worse" if gain.value < 0 else "better"
    reason = (
        f"Its {METRICS[metric].title} is {side} than the base rate's by {abs(gain.value):.4f} "
        f"(95 % interval of the gain {gain.low:.4f} to {gain.high:.4f}), "
        f"{'' if passed else 'not '}all of it above the {asked:g} asked for."
    )
    return Criterion("beats_base_rate", gain.value, gain.low, gain.high, asked, passed, reason)


def is_not_chance(scores: pa.Table, problem: Problem) -> Criterion:
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


def data_can_be_believed(contract_results: Sequence[dict[str, Any]], problem: Problem) -> Criterion:
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


def beats_champion(comparison: Comparison | Incomparable | None, problem: Problem) -> Criterion:
    """The whole paired interval of the difference to the champion lies above minus the margin."""
    metric, margin = problem.metric.primary, problem.gate.champion_margin
    least = 0.0 - margin
    if comparison is None:
        return Criterion("beats_champion", 0.0, None, None, least, True, "There is no champion to compare it with.")
    if isinstance(comparison, Incomparable):
        fit = comparison.champion_is_unfit
        return Criterion("beats_champion", 0.0, None, None, least, fit, comparison.reason)
    difference = comparison.difference(metric)
    passed = bool(difference.low > least)
    found = (
        f"{METRICS[metric].title} {abs(difference.value):.4f} {'better' if difference.value >= 0 else 'worse'} than "
        f"version {comparison.version}, the champion (paired 95 % interval {difference.low:+.4f} to "
        f"{difference.high:+.4f}), on {comparison.rows:,} {comparison.which}"
    )
    detectable = comparison.minimum_detectable_difference(metric)
    if not detectable and not difference.value:
        same = f"It ranks {comparison.rows:,} {comparison.which}, just as version {comparison.version} does: no gain."
        return Criterion("beats_champion", 0.0, difference.low, difference.high, least, passed, same)
    answer = "It beats" if passed else f"It was not shown to {'match' if margin else 'beat'}"
    reason = (
        f"{answer} the champion: {found}. A true difference of {detectable:.4f} would be seen four times in five on so "
        f"many sends."
    )
    return Criterion("beats_champion", difference.value, difference.low, difference.high, least, passed, reason)


def is_calibrated(error: Estimate, by_chance: Estimate, problem: Problem) -> Criterion:
    """Probabilities mean what they say, as far as so many rows can tell.

    Args:
        error: the expected calibration error.
        by_chance: what perfectly calibrated probabilities would show on the same rows.
    """
    limit = max(problem.gate.max_calibration_error, by_chance.high)
    passed = bool(error.value <= limit)
    reason = (
        f"Its probabilities are {error.value:.4f} off the rates on average (95 % interval {error.low:.4f} to "
        f"{error.high:.4f}; {by_chance.value:.4f} would be chance alone; at most {limit:.4f} asked for)."
    )
    return Criterion("is_calibrated", error.value, error.low, error.high, limit, passed, reason)


def no_slice_is_much_worse(slices: pa.Table, problem: Problem) -> Criterion:
    """No slice with enough lost users surely lacks more ROC AUC than the problem allows."""
    limit, worst = problem.gate.max_slice_gap, worst_slice(slices, GAP)
    if worst is None:
        reason = f"No slice has {problem.evaluation.min_positives} lost users, so none is judged."
        return Criterion("no_slice_is_much_worse", 0.0, None, None, -limit, True, reason)
    gap, low, high = worst["value"], worst["low"], worst["high"]
    reason = (
        f"The ROC AUC of the worst slice, {worst['column']} {worst['slice']}, differs from that of all by {gap:+.4f} "
        f"({low:+.4f} to {high:+.4f} with all slices considered); none may surely lack more than {limit:g}."
    )
    return Criterion("no_slice_is_much_worse", gap, low, high, -limit, not high < -limit, reason)


def treats_groups_alike(groups: pa.Table, limit: float) -> Criterion:
    """Emails are withheld from sensitive groups at rates that do not surely differ by more than allowed."""
    asked = [
        row
        for row in groups.to_pylist()
        if row["slice"] == LARGEST_DIFFERENCE and row["metric"] == PARITY_DIFFERENCE and row["value"] == row["value"]
    ]
    if not asked:
        reason = "No sensitive column has two groups with enough lost users."
        return Criterion("treats_groups_alike", 0.0, None, None, limit, True, reason)
    worst = max(asked, key=lambda row: float(row["value"]))
    reason = (
        f"Emails are withheld from the groups of {worst['column']} at rates that differ by {worst['value']:.4f} "
        f"(95 % interval {worst['low']:.4f} to {worst['high']:.4f}); surely more than {limit:g} is not allowed."
    )
    passed = not worst["low"] > limit
    return Criterion("treats_groups_alike", worst["value"], worst["low"], worst["high"], limit, passed, reason)


def behaves(results: Sequence[dict[str, Any]]) -> Criterion:
    """Every behaviour test of the candidate passed.

    Args:
        results: name, passed and message of each.
    """
    failed = [result for result in results if not result["passed"]]
    reason = (
        f"It fails {failed[0]['name']}: {failed[0]['message']}"
        if failed
        else f"It passes all {len(results)} behaviour tests."
    )
    return Criterion("behaves", float(len(failed)), None, None, 0.0, not failed, reason)


def features_agree(parity: Parity) -> Criterion:
    """What scoring computes for a pair equals what training computed for the send."""
    passed = parity.mismatches == 0
    reason = (
        f"Scoring and training compute the same features for {parity.rows:,} sends."
        if passed
        else f"Scoring computes another {parity.worst} than training for "
        f"{parity.mismatches:,} of {parity.rows:,} sends."
    )
    return Criterion("features_agree", parity.share, None, None, 0.0, passed, reason)


def bundle_is_small(megabytes: float, problem: Problem) -> Criterion:
    limit = problem.gate.max_bundle_megabytes
    reason = f"Its bundle takes {megabytes:.2f} MB (at most {limit:g} asked for)."
    return Criterion("bundle_is_small", megabytes, None, None, limit, megabytes <= limit, reason)


def scores_fast(milliseconds: float, problem: Problem) -> Criterion:
    limit = problem.gate.max_latency_ms
    reason = f"It scores one row in {milliseconds:.2f} ms, median (at most {limit:g} asked for)."
    return Criterion("scores_fast", milliseconds, None, None, limit, milliseconds <= limit, reason)


def was_not_withdrawn(withdrawn: str | None) -> Criterion:
    """No person has rolled this version back; only a person brings it back.

    Args:
        withdrawn: when, by whom and why it was rolled back.
    """
    reason = (
        f"It was rolled back {withdrawn}: only 'mlguide promote' brings it back."
        if withdrawn
        else "It is not one that was rolled back."
    )
    return Criterion("was_not_withdrawn", float(withdrawn is not None), None, None, 0.0, withdrawn is None, reason)
