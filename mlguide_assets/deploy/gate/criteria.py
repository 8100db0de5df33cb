"""The criteria of the gate, one function each: value, interval, threshold, reason in words.

A reason names the key of the problem file that holds its threshold, so that a reader knows what decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from mlguide_assets import markdown
from mlguide_assets.define.contracts import IS_NOT_EMPTY
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.calibration import largest_error
from mlguide_assets.deploy.gate.comparison import Comparison, Incomparable
from mlguide_assets.deploy.gate.parity import Parity
from mlguide_assets.english import better_or_worse, counted, plural
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.missing import with_finite_numbers
from mlguide_assets.train.evaluation.fairness import LARGEST_DIFFERENCE
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.evaluation.slices import GAP, worst_slice
from mlguide_assets.train.evaluation.uncertainty import Replicates, paired_difference, permutation_null
from mlguide_assets.train.figures import number, span
from mlguide_assets.train.models.baselines import BASE_RATE

BEATS_CHAMPION = "beats_champion"
EXPERIMENT = "experiment"
"""The verdict of an experiment with the version, recorded by the experiment stage; see `recorded_criteria.py`."""

CANARY_CRITERION = "canary"
"""How going live step by step ended, recorded likewise."""

PARITY_DIFFERENCE = "demographic_parity_difference"

MEASURES = {
    "beats_base_rate": "gain",
    "is_not_chance": "p-value",
    "data_can_be_believed": "share of rows",
    "is_calibrated": "ECE",
    "no_slice_is_much_worse": "ROC AUC gap",
    "treats_groups_alike": "difference of shares",
    "behaves": "failed tests",
    "features_agree": "share of rows that differ",
    "bundle_is_small": "MB",
    "scores_fast": "ms",
    "was_not_withdrawn": "rollbacks",
    BEATS_CHAMPION: "gain",
}
"""What the value of a criterion is, and so its threshold."""

FEWEST_UNITS = 10
"""With a positive outcome, and with a negative one, in the test window. Resamples of fewer say little of others."""


@dataclass(frozen=True)
class Criterion:
    """One criterion: what was found, and the reason in plain words; None where there is no number."""

    criterion: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None
    passed: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As it is recorded: a number that is not finite is None."""
        found: dict[str, Any] = with_finite_numbers(asdict(self))
        return found


def criteria_table(criteria: Iterable[Mapping[str, Any]]) -> str:
    """A Markdown table of criteria, which are given in their JSON form."""
    rows = (
        (_sign(c), _measured(c["criterion"]), number(c["value"]), span(c), number(c["threshold"])) for c in criteria
    )
    return markdown.table(("", "criterion", "value", "interval", "threshold"), rows)


def _measured(criterion: str) -> str:
    return f"{criterion} ({MEASURES[criterion]})" if criterion in MEASURES else criterion


def _sign(criterion: Mapping[str, Any]) -> str:
    """What was not measured passes, and is not shown as fine."""
    if not criterion["passed"]:
        return "✗"
    return "–" if criterion["value"] is None else "✓"


def beats_base_rate(
    replicates: Replicates,
    model: str,
    units: tuple[int, int],
    rows: tuple[int, int],
    problem: Problem,
    *,
    sampled: bool = False,
) -> Criterion:
    """The whole interval of the gain in the primary metric lies above the problem's `min_gain`.

    Args:
        units: how many have a row with a positive outcome in the test window, and how many one with a negative. With
            fewer than `fewest_units` the interval is of no use, and the criterion fails.
        rows: how many have a positive outcome, and how many a negative.
        sampled: the test window is that of a seeded sample of units.
    """
    metric, minimum = problem.metric.primary, problem.gate.min_gain
    gain = paired_difference(replicates, model, BASE_RATE, metric)
    of_all = f"{problem.decision.counted(sum(rows))}{' of a seeded sample' if sampled else ''}"
    found = f"On {of_all}, {METRICS[metric].title} is {better_or_worse(gain.value, 'the base rate')}"
    if min(units) < fewest_units(problem):
        reason = f"{found}, and whether that is chance cannot be said: {_too_few(units, rows, problem)}"
        return Criterion("beats_base_rate", gain.value, None, None, minimum, False, reason)
    passed = bool(gain.low > minimum)
    drawn = gain.ci("+.4f", of=counted(replicates.units, problem.decision.unit))
    reason = f"{found} ({drawn}); the whole interval {'is' if passed else 'must be'} above gate.min_gain = {minimum:g}."
    return Criterion("beats_base_rate", gain.value, gain.low, gain.high, minimum, passed, reason)


def fewest_units(problem: Problem) -> int:
    """Of each outcome, to believe an interval that resamples units; fewer where `evaluation.min_positives` says so."""
    return min(FEWEST_UNITS, max(problem.evaluation.min_positives, 2))


def _too_few(units: tuple[int, int], rows: tuple[int, int], problem: Problem) -> str:
    """What is missing, and what to do: where the rows themselves are too few, no other entity has enough."""
    decision, fewest, evaluation = problem.decision, fewest_units(problem), problem.evaluation
    if min(rows) < fewest:
        longer = (
            f"a larger evaluation.test_share than {evaluation.test_share:g}"
            if evaluation.test_from is None
            else f"an earlier evaluation.test_from than {evaluation.test_from}"
        )
        return (
            f"the test window has {decision.counted(rows[0])} with a positive outcome and {rows[1]:,} with a negative "
            f"one, and an interval needs {counted(fewest, decision.unit)} of each; add history, or make the window "
            f"longer by {longer}."
        )
    another = (
        f"name first, under tables.{problem.schema.table_of(decision.noun)}.of, an entity that has more ids than "
        f"{decision.unit}"
        if decision.is_event
        else "predict for an entity that has more ids"
    )
    return (
        f"the test window has {counted(units[0], decision.unit)} with a positive outcome and {units[1]:,} with a "
        f"negative one, and an interval needs {fewest:,} of each; {another}, or add history."
    )


def is_not_chance(scores: pa.Table, model: str, problem: Problem) -> Criterion:
    """Shuffled labels almost never look as good."""
    metric, gate = problem.metric.primary, problem.gate
    null = permutation_null(
        scores["label"].to_numpy(),
        scores[model].to_numpy(),
        metric,
        repeats=gate.permutations,
        seed=problem.evaluation.seed,
    )
    passed = bool(null.p_value <= gate.max_p_value)
    reason = (
        f"{METRICS[metric].title} {null.observed:.4f} {'can' if passed else 'cannot'} be distinguished from chance: "
        f"shuffled labels give {null.null_low:.4f} to {null.null_high:.4f} "
        f"(p = {null.p_value:.2g}; gate.max_p_value = {gate.max_p_value:g})."
    )
    return Criterion("is_not_chance", null.p_value, None, None, gate.max_p_value, passed, reason)


def data_can_be_believed(contract_results: Sequence[dict[str, Any]], problem: Problem) -> Criterion:
    """No rule that only warns is broken so often that the test window itself is in doubt.

    An empty column is no such doubt: the model was trained and scored without it.
    """
    limit = problem.gate.max_violations
    warned = [
        r for r in contract_results if r["action"] == "warn" and r["rows"] and not r["rule"].endswith(IS_NOT_EMPTY)
    ]
    shares = {r["rule"]: r["violations"] / r["rows"] for r in warned}
    worst = max(shares, key=lambda rule: shares[rule], default=None)
    share = shares[worst] if worst else 0.0
    passed = share <= limit
    reason = (
        f"The data keep their contract: no rule that only warns is broken in more than {limit:.1%} of the rows "
        f"(gate.max_violations = {limit:g})."
        if passed
        else f"The data contradict themselves: {share:.1%} of the rows break {worst}, so no metric on them can be "
        f"trusted (gate.max_violations = {limit:g})."
    )
    return Criterion("data_can_be_believed", share, None, None, limit, passed, reason)


def beats_champion(comparison: Comparison | Incomparable | None, problem: Problem) -> Criterion:
    """The whole paired interval of the difference to the champion lies above minus the margin."""
    metric, margin = problem.metric.primary, problem.gate.champion_margin
    least = 0.0 - margin
    if comparison is None:
        return Criterion(BEATS_CHAMPION, None, None, None, least, True, "There is no champion to compare it with.")
    if isinstance(comparison, Incomparable):
        fit = comparison.champion_is_unfit
        return Criterion(BEATS_CHAMPION, None, None, None, least, fit, comparison.reason)
    difference = comparison.difference(metric)
    passed = bool(difference.low > least)
    drawn = difference.ci("+.4f", of=counted(comparison.replicates.units, problem.decision.unit), paired=True)
    found = (
        f"{METRICS[metric].title} {abs(difference.value):.4f} {'better' if difference.value >= 0 else 'worse'} than "
        f"version {comparison.version}, the champion ({drawn}), on {comparison.rows:,} "
        f"{comparison.which}"
    )
    detectable, note = comparison.minimum_detectable_difference(metric), comparison.note and f" {comparison.note}"
    if not detectable and not difference.value:
        same = f"It ranks {comparison.rows:,} {comparison.which} exactly as version {comparison.version} does: no gain."
        return Criterion(BEATS_CHAMPION, 0.0, difference.low, difference.high, least, passed, same + note)
    if passed:
        # By a margin also one passes that may be worse.
        answer = "It beats" if difference.low > 0 else "It matches"
    else:
        answer = f"It was not shown to {'match' if margin else 'beat'}"
    power = (
        f" The smallest difference that so many rows detect with 80 % power is {detectable:.4f}."
        if difference.is_bounded
        else ""
    )
    reason = f"{answer} the champion: {found}; gate.champion_margin = {margin:g}.{power}{note}"
    return Criterion(BEATS_CHAMPION, difference.value, difference.low, difference.high, least, passed, reason)


def is_calibrated(
    error: Estimate, by_chance: Estimate, units: int, problem: Problem, outgrown: Sequence[str] = ()
) -> Criterion:
    """The calibration error is not significantly larger than allowed, nor is it more than chance explains.

    Both are asked, since each knows what the other does not: the interval draws units, whose rows are not independent,
    and chance is why few rows never have an error of 0.

    Args:
        error: the expected calibration error.
        by_chance: what perfectly calibrated probabilities would show on the same rows.
        units: of the test window.
        outgrown: the candidate's features that grow with the calendar: where it fails, the first to be suspected.
    """
    allowed = problem.gate.max_calibration_error
    limit = largest_error(by_chance, problem)
    passed = bool(error.value <= limit or error.low <= allowed)
    explained = f", and chance alone explains up to {limit:.4f}" if limit > allowed else ""
    suspects = (
        f"the features that grow with the calendar: {', '.join(outgrown)}"
        if outgrown
        else "whether the outcome is as frequent in the test window as before it"
    )
    fix = "" if passed else f" Look at the plot of calibration, and at {suspects}."
    reason = (
        f"Calibration error (ECE) is {error.value:.4f} ({error.ci('.4f', of=counted(units, problem.decision.unit))}); "
        f"{by_chance.value:.4f} is expected by chance (gate.max_calibration_error = {allowed:g}{explained}).{fix}"
    )
    return Criterion("is_calibrated", error.value, error.low, error.high, limit, passed, reason)


def no_slice_is_much_worse(slices: pa.Table, problem: Problem) -> Criterion:
    """No slice with enough positive labels has a significantly lower ROC AUC than the problem allows."""
    limit, worst = problem.gate.max_slice_gap, worst_slice(slices, GAP)
    if worst is None:
        reason = f"No slice has {_least(problem)}: none is tested."
        return Criterion("no_slice_is_much_worse", None, None, None, -limit, True, reason)
    gap = Estimate(worst["value"], worst["low"], worst["high"])
    reason = (
        f"Worst slice: {worst['column']} {worst['slice']}, ROC AUC {gap.value:+.4f} from the overall value "
        f"({gap.ci('+.4f', of=_so_few(problem))}, corrected for the number of slices); gate.max_slice_gap = {limit:g}."
    )
    passed = not gap.high < -limit
    return Criterion("no_slice_is_much_worse", gap.value, gap.low, gap.high, -limit, passed, reason)


def treats_groups_alike(groups: pa.Table, limit: float, problem: Problem) -> Criterion:
    """Sensitive groups are at or above the threshold at rates that do not significantly differ by more than allowed."""
    tested = [
        row
        for row in groups.to_pylist()
        if row["slice"] == LARGEST_DIFFERENCE and row["metric"] == PARITY_DIFFERENCE and row["value"] == row["value"]
    ]
    if not tested:
        reason = f"No sensitive column has two groups with {_least(problem)}: none is tested."
        return Criterion("treats_groups_alike", None, None, None, limit, True, reason)
    worst = max(tested, key=lambda row: float(row["value"]))
    gap = Estimate(worst["value"], worst["low"], worst["high"])
    reason = (
        f"The groups of {worst['column']} are at or above the threshold at rates that differ by {gap.value:.4f} "
        f"({gap.ci('.4f', of=_so_few(problem))}); gate.max_group_gap = {limit:g}."
    )
    return Criterion("treats_groups_alike", gap.value, gap.low, gap.high, limit, not gap.low > limit, reason)


def _so_few(problem: Problem) -> str:
    """What a slice or a group is drawn from where it has no interval."""
    return f"so few {plural(problem.decision.unit)} in it"


def _least(problem: Problem) -> str:
    """What a slice must have to be tested, and which key says so."""
    evaluation = problem.evaluation
    least = evaluation.least(problem.decision.unit)
    return f"{least} (evaluation.min_positives = {evaluation.min_positives})"


def behaves(results: Sequence[dict[str, Any]]) -> Criterion:
    """Every behaviour test of the candidate passed.

    Args:
        results: name, passed and message of each.
    """
    failed = [result for result in results if not result["passed"]]
    reason = (
        f"Behaviour test {failed[0]['name']} fails: {failed[0]['message']}"
        if failed
        else f"All {len(results)} behaviour tests pass."
    )
    return Criterion("behaves", float(len(failed)), None, None, 0.0, not failed, reason)


def features_agree(parity: Parity) -> Criterion:
    """What scoring computes for a decision equals what training computed for it."""
    passed = parity.mismatches == 0
    reason = (
        f"Scoring and training compute the same features for {counted(parity.rows, 'row')}."
        if passed
        else f"Scoring and training compute different values of {parity.worst} for "
        f"{parity.mismatches:,} of {counted(parity.rows, 'row')}."
    )
    return Criterion("features_agree", parity.share, None, None, 0.0, passed, reason)


def bundle_is_small(megabytes: float, problem: Problem) -> Criterion:
    limit = problem.gate.max_bundle_megabytes
    reason = f"The bundle takes {megabytes:.2f} MB (gate.max_bundle_megabytes = {limit:g})."
    return Criterion("bundle_is_small", megabytes, None, None, limit, megabytes <= limit, reason)


def scores_fast(milliseconds: float, problem: Problem) -> Criterion:
    limit = problem.gate.max_latency_ms
    reason = f"Scoring one row takes {milliseconds:.2f} ms, median (gate.max_latency_ms = {limit:g})."
    return Criterion("scores_fast", milliseconds, None, None, limit, milliseconds <= limit, reason)


def was_not_withdrawn(withdrawn: str | None) -> Criterion:
    """No person has rolled this version back; only a person brings it back.

    Args:
        withdrawn: when, by whom and why it was rolled back.
    """
    reason = (
        f"It was rolled back {withdrawn}: only 'mlguide promote' brings it back."
        if withdrawn
        else "It was not rolled back before."
    )
    return Criterion("was_not_withdrawn", float(withdrawn is not None), None, None, 0.0, withdrawn is None, reason)


def experiment_is_missing() -> Criterion:
    """What stands for the verdict of an experiment until there is one."""
    reason = "No experiment with this version has a verdict yet (experiment.required = true)."
    return Criterion(EXPERIMENT, None, None, None, None, False, reason)


def canary_is_missing() -> Criterion:
    """What stands for the end of a canary until it has come."""
    reason = "It has not gone live by canary yet (canary of the problem file)."
    return Criterion(CANARY_CRITERION, None, None, None, None, False, reason)


def reported(criterion: Criterion) -> Criterion:
    """A criterion that decides nothing, and says so."""
    why = " (experiment.required = false)" if criterion.criterion == EXPERIMENT else ""
    return replace(criterion, reason=f"{criterion.reason} This is reported and decides nothing{why}.")
