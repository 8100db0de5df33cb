"""The gate: noise never passes, a planted signal does, and every answer has its reasons in words."""

import json
import math
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.promotion import Canary, Experimenting, Gate
from mlguide_assets.define.training import Evaluation, Metric
from mlguide_assets.deploy.gate.comparison import Incomparable, Past, compare_scores, compare_with_champion
from mlguide_assets.deploy.gate.criteria import (
    CANARY_CRITERION,
    EXPERIMENT,
    PARITY_DIFFERENCE,
    Criterion,
    beats_champion,
    criteria_table,
)
from mlguide_assets.deploy.gate.gate import Decision, conclude, decide
from mlguide_assets.deploy.gate.parity import Parity
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.fairness import LARGEST_DIFFERENCE
from mlguide_assets.train.evaluation.slices import GAP, SCHEMA
from mlguide_assets_tests.deploy.scores import evidence, scores
from mlguide_assets_tests.train.sends import PROBLEM

STRICT = PROBLEM.model_copy(update={"gate": Gate(permutations=200)})
SHIPPED = PROBLEM.model_copy(update={"gate": Gate(min_gain=0.05, permutations=200)})
BROKEN = {
    "rule": "delivered_at is not before date_joined",
    "violations": 51,
    "rows": 1000,
    "action": "warn",
}


CRITERIA = (
    "beats_base_rate",
    "is_not_chance",
    "data_can_be_believed",
    "is_calibrated",
    "no_slice_is_much_worse",
    "behaves",
    "features_agree",
    "bundle_is_small",
    "scores_fast",
    "was_not_withdrawn",
    "beats_champion",
)


def passed(decision: Decision) -> dict[str, bool]:
    return {criterion.criterion: criterion.passed for criterion in decision.criteria}


@pytest.mark.ml_test_score("infra-4")
def test_noise_is_never_promoted() -> None:
    assert {decide(evidence(scores(signal=0, seed=seed)), SHIPPED).verdict for seed in range(20)} == {"refused"}


def test_interval_and_permutation_each_refuse_noise_by_themselves() -> None:
    """Without any gain asked for: 2.5 % and 1 % of noise may pass one of them."""
    answers = [passed(decide(evidence(scores(signal=0, seed=seed)), STRICT)) for seed in range(20)]
    assert sum(answer["beats_base_rate"] for answer in answers) <= 2
    assert sum(answer["is_not_chance"] for answer in answers) <= 1
    assert not any(answer["beats_base_rate"] and answer["is_not_chance"] for answer in answers)


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "log_loss", "brier"])
def test_a_planted_signal_is_promoted_by_every_metric(metric: str) -> None:
    problem = STRICT.model_copy(update={"metric": Metric(primary=metric)})  # type: ignore[arg-type]
    decision = decide(evidence(scores(signal=1.2)), problem)
    assert decision.verdict == "promoted"
    assert all(passed(decision).values())


def test_a_gain_smaller_than_asked_for_is_refused() -> None:
    asked = STRICT.model_copy(update={"gate": Gate(min_gain=0.4, permutations=200)})
    decision = decide(evidence(scores(signal=1.2)), asked)
    assert [name for name, fine in passed(decision).items() if not fine] == ["beats_base_rate"]
    assert decision.verdict == "refused"


def test_a_model_that_ranks_the_wrong_way_round_is_refused_and_called_worse() -> None:
    wrong = scores(signal=1.2)
    position = wrong.column_names.index("xgboost")
    turned = wrong.set_column(position, "xgboost", [1 - wrong["xgboost"].to_numpy()])
    decision = decide(evidence(turned), STRICT)
    assert decision.verdict == "refused"
    assert decision.reasons[0].startswith(f"On {len(wrong):,} sends, ROC AUC is 0.")
    assert "worse than the base rate" in decision.reasons[0]


def test_a_verdict_says_where_it_is_of_a_sample() -> None:
    known = scores(signal=1.2)
    decision = decide(evidence(known, sampled=True), STRICT)
    assert decision.reasons[0].startswith(f"On {len(known):,} sends of a seeded sample, ROC AUC is 0.")


def test_too_many_warned_violations_refuse_the_best_model() -> None:
    decision = decide(evidence(scores(signal=1.2), contract_results=[BROKEN]), STRICT)
    assert decision.verdict == "refused"
    assert decision.reasons == (
        "The data contradict themselves: 5.1% of the rows break delivered_at is not before date_joined, "
        "so no metric on them can be trusted (gate.max_violations = 0.05).",
    )


@pytest.mark.parametrize(
    "harmless",
    [
        {**BROKEN, "violations": 50},
        {**BROKEN, "violations": 900, "action": "quarantine"},
        {**BROKEN, "violations": 0, "rows": 0},
    ],
)
def test_few_warnings_and_rows_set_aside_do_not_refuse(harmless: dict[str, object]) -> None:
    assert decide(evidence(scores(signal=1.2), contract_results=[harmless]), STRICT).verdict == "promoted"


def test_the_worst_rule_is_the_one_that_is_named() -> None:
    worse = {**BROKEN, "rule": "worse", "violations": 500}
    assert (
        "50.0% of the rows break worse,"
        in decide(evidence(scores(signal=1.2), contract_results=[BROKEN, worse]), STRICT).reasons[0]
    )


def test_the_champion_again_is_kept() -> None:
    decision = decide(evidence(scores(signal=1.2), same_as_champion=True), STRICT)
    assert decision.verdict == "kept"
    assert decision.reasons == ("The same data, problem and code give the champion again: nothing to change.",)


def test_a_champion_that_no_longer_passes_is_refused_not_kept() -> None:
    assert decide(evidence(scores(signal=0), same_as_champion=True), STRICT).verdict == "refused"


@pytest.mark.parametrize("signal", [0.0, 1.2])
def test_reasons_are_plain_sentences(signal: float) -> None:
    for reason in decide(evidence(scores(signal=signal), contract_results=[BROKEN]), STRICT).reasons:
        assert reason[0].isupper()
        assert reason.endswith(".")
        assert "nan" not in reason
        assert not any(mark in reason for mark in ("{", "}", "np.", "None"))


def test_a_refusal_gives_the_failed_criteria_and_a_promotion_all() -> None:
    refused, promoted = decide(evidence(scores(signal=0)), STRICT), decide(evidence(scores(signal=1.2)), STRICT)
    assert len(refused.reasons) == sum(not criterion.passed for criterion in refused.criteria) == 2
    assert len(promoted.reasons) == len(promoted.criteria) == len(CRITERIA)


def test_the_same_scores_give_the_same_decision() -> None:
    assert decide(evidence(scores(signal=0.3)), STRICT) == decide(evidence(scores(signal=0.3)), STRICT)


def test_criteria_are_json() -> None:
    criteria = [criterion.to_json() for criterion in decide(evidence(scores(signal=1.2)), STRICT).criteria]
    again = json.loads(json.dumps(criteria, allow_nan=False))
    assert [set(criterion) for criterion in again] == [
        {"criterion", "value", "low", "high", "threshold", "passed", "reason"}
    ] * len(CRITERIA)


def test_one_user_is_no_evidence() -> None:
    of_one = scores(signal=1.2)
    of_one = of_one.set_column(0, "user_id", [np.zeros(of_one.num_rows, np.int64)])
    decision = decide(evidence(of_one), STRICT)
    assert decision.verdict == "refused"
    assert passed(decision)["beats_base_rate"] is False


def test_of_one_user_every_sentence_says_that_no_interval_can_be_given() -> None:
    of_one = scores(signal=1.2)
    of_one = of_one.set_column(0, "user_id", [np.zeros(of_one.num_rows, np.int64)])
    labels, said = of_one["label"].to_numpy(), of_one["xgboost"].to_numpy()
    both = {"challenger": said, "champion": said[::-1]}
    found = evidence(
        of_one,
        calibration_error=Estimate(0.0556, math.nan, math.nan),
        comparison=compare_scores(labels, both, np.zeros(len(labels), np.int64), "3", "sends", STRICT),
    )
    criteria = {each.criterion: each for each in decide(found, STRICT).criteria}
    calibrated, beaten = criteria["is_calibrated"], criteria["beats_champion"]
    assert "Calibration error (ECE) is 0.0556 (no 95 % CI can be given for 1 user)" in calibrated.reason
    assert "the champion (no paired 95 % CI can be given for 1 user)" in beaten.reason
    assert (calibrated.to_json()["low"], beaten.to_json()["high"]) == (None, None)
    assert not [each.reason for each in criteria.values() if re.search(r"\bnan\b", each.reason)]


@pytest.mark.parametrize(("units", "verdict"), [(9, "refused"), (10, "promoted")])
def test_an_interval_of_few_units_is_not_believed(units: int, verdict: str) -> None:
    decision = decide(evidence(scores(signal=1.2, users=units)), STRICT)
    assert decision.verdict == verdict
    if verdict == "refused":
        (reason,) = decision.reasons
        assert "cannot be said: the test window has 9 users with a positive outcome and 9 with a negative" in reason
        assert "name first, under tables.user_emails.of, an entity that has more ids than user" in reason
        assert (decision.criteria[0].low, decision.criteria[0].high) == (None, None)


def test_where_rows_of_an_outcome_are_few_no_other_entity_is_advised() -> None:
    rare = scores(signal=1.2)
    labels = np.zeros(rare.num_rows, rare["label"].type.to_pandas_dtype())
    labels[[0, 40, 80, 120, 160]] = 1
    rare = rare.set_column(rare.column_names.index("label"), "label", [labels])
    (criterion,) = [each for each in decide(evidence(rare), STRICT).criteria if each.criterion == "beats_base_rate"]
    reason = criterion.reason
    assert f"the test window has 5 sends with a positive outcome and {rare.num_rows - 5:,} with a negative" in reason
    assert reason.endswith("add history, or make the window longer by a larger evaluation.test_share than 0.25.")


def slices(gap: float, low: float, high: float) -> pa.Table:
    row = {"column": "country", "slice": "JP", "rows": 900, "positives": 50, "metric": GAP, "supported": True}
    return pa.Table.from_pylist([{**row, "value": gap, "low": low, "high": high}], schema=SCHEMA)


def groups(difference: float, low: float, high: float) -> pa.Table:
    row = {"column": "gender", "slice": LARGEST_DIFFERENCE, "metric": PARITY_DIFFERENCE, "supported": True}
    return pa.Table.from_pylist(
        [{**row, "rows": 9, "positives": 9, "value": difference, "low": low, "high": high}], schema=SCHEMA
    )


@pytest.mark.parametrize(
    ("criterion", "change", "words"),
    [
        ("is_calibrated", {"calibration_error": Estimate(0.05, 0.04, 0.06)}, "Calibration error (ECE) is 0.0500"),
        (
            "is_calibrated",
            {"calibration_error": Estimate(0.05, 0.04, 0.06), "outgrown": ["month", "tenure"]},
            "the features that grow with the calendar: month, tenure.",
        ),
        ("no_slice_is_much_worse", {"slices": slices(-0.2, -0.25, -0.15)}, "Worst slice: country JP"),
        ("behaves", {"behaviours": [{"name": "scores_vary", "passed": False, "message": "All alike."}]}, "scores_vary"),
        ("features_agree", {"parity": Parity(500, {"age": 0, "tenure_days": 7})}, "different values of tenure_days"),
        ("bundle_is_small", {"bundle_megabytes": 21.0}, "21.00 MB"),
        ("scores_fast", {"latency_ms": 9.0}, "9.00 ms"),
        ("was_not_withdrawn", {"withdrawn": "on 2025-01-01 by person:ann (too many lost)"}, "too many lost"),
    ],
)
@pytest.mark.ml_test_score("model-6", "infra-4")
def test_every_other_criterion_refuses_alone(criterion: str, change: dict[str, Any], words: str) -> None:
    decision = decide(evidence(scores(signal=1.2), **change), STRICT)
    assert decision.verdict == "refused"
    assert [name for name, fine in passed(decision).items() if not fine] == [criterion]
    assert words in decision.reasons[0]


def test_a_refusal_names_the_key_of_the_problem_file_that_decided_it() -> None:
    """Every criterion with a threshold of the problem file says which one, and the key exists."""
    criteria = decide(evidence(scores(signal=1.2), slices=slices(-0.02, -0.05, 0.01)), STRICT).criteria
    named = {each.criterion: re.search(r"\bgate\.(\w+)", each.reason) for each in criteria}
    ours = {"behaves", "features_agree", "was_not_withdrawn", "beats_champion"}
    assert {name for name, key in named.items() if key is None} == ours
    assert all(key[1] in Gate.model_fields for key in named.values() if key)


@pytest.mark.parametrize(
    "change",
    [
        {"calibration_error": Estimate(0.012, 0.01, 0.02), "calibration_by_chance": Estimate(0.01, 0.005, 0.015)},
        {"calibration_error": Estimate(0.02, 0.009, 0.03), "calibration_by_chance": Estimate(0.01, 0.005, 0.015)},
        {"slices": slices(-0.2, -0.35, -0.05)},
    ],
)
def test_what_may_be_chance_does_not_refuse(change: dict[str, Any]) -> None:
    assert decide(evidence(scores(signal=1.2), **change), STRICT).verdict == "promoted"


@pytest.mark.ml_test_score("model-7")
def test_groups_are_evaluated_where_the_problem_asks_for_it() -> None:
    unequal = evidence(scores(signal=1.2), groups=groups(0.3, 0.25, 0.35))
    asking = STRICT.model_copy(update={"gate": Gate(permutations=200, max_group_gap=0.1)})
    assert decide(unequal, STRICT).verdict == "promoted"
    refused = decide(unequal, asking)
    assert refused.verdict == "refused"
    assert "groups of gender are at or above the threshold at rates that differ by 0.3000" in refused.reasons[0]
    assert decide(evidence(scores(signal=1.2), groups=groups(0.3, 0.05, 0.35)), asking).verdict == "promoted"


def test_what_could_not_be_tested_passes_without_a_value_and_says_what_is_missing() -> None:
    asking = STRICT.model_copy(update={"gate": Gate(permutations=200, max_group_gap=0.1)})
    few = {"slices": SCHEMA.empty_table(), "groups": SCHEMA.empty_table()}
    decision = decide(evidence(scores(signal=1.2), **few), asking)
    assert decision.verdict == "promoted"
    found = {each.criterion: each for each in decision.criteria}
    needed = "30 users with a positive outcome and 30 with a negative one (evaluation.min_positives = 30): none is"
    for name in ("no_slice_is_much_worse", "treats_groups_alike"):
        assert found[name].value is None
        assert needed in found[name].reason
    shown = criteria_table(each.to_json() for each in decision.criteria).splitlines()
    signs = {cells[2].split()[0]: cells[1].strip() for cells in (line.split("|") for line in shown)}
    assert any("| scores_fast (ms) |" in line for line in shown)
    assert (signs["no_slice_is_much_worse"], signs["beats_champion"], signs["behaves"]) == ("–", "–", "✓")


def test_a_model_that_passed_waits_where_approval_is_required() -> None:
    decision = decide(evidence(scores(signal=1.2)), STRICT.model_copy(update={"approval": "required"}))
    assert decision.verdict == "waiting"
    assert decision.reasons[0] == "It passed the gate and waits for 'mlguide promote'."
    refused = decide(evidence(scores(signal=0)), STRICT.model_copy(update={"approval": "required"}))
    assert refused.verdict == "refused"


def experiment(*, passed: bool, name: str = EXPERIMENT) -> Criterion:
    return Criterion(name, -0.1, -0.18, -0.02, 0.0, passed, "The experiment says so.")


BEATEN = Criterion("beats_champion", 0.01, 0.005, 0.02, 0.0, True, "It beats the champion.")
OFFLINE = (Criterion("behaves", 0.0, None, None, 0.0, True, "All 9 behaviour tests pass."), BEATEN)


@pytest.mark.parametrize(
    ("required", "contested", "recorded", "verdict"),
    [
        (True, True, [], "waiting"),
        (True, True, [experiment(passed=True)], "promoted"),
        (True, True, [experiment(passed=False)], "kept"),
        (True, True, [experiment(passed=True, name="off_policy_value")], "waiting"),
        # Without a champion there is no other arm.
        (True, False, [], "promoted"),
        (False, True, [], "promoted"),
        (False, True, [experiment(passed=False)], "promoted"),
    ],
)
def test_an_experiment_decides_where_the_problem_requires_one(
    required: bool, contested: bool, recorded: list[Criterion], verdict: str
) -> None:
    problem = STRICT.model_copy(update={"experiment": Experimenting(required=required)})
    assert conclude(OFFLINE, recorded, problem, contested=contested).verdict == verdict


def test_what_decides_nothing_is_reported_and_says_so() -> None:
    decision = conclude(OFFLINE, [experiment(passed=False)], STRICT, contested=True)
    assert decision.reasons[-1] == (
        "The experiment says so. This is reported and decides nothing (experiment.required = false)."
    )
    assert passed(decision)["experiment"] is False


def test_a_model_that_waits_for_an_experiment_says_so_and_then_for_a_person() -> None:
    both = STRICT.model_copy(update={"experiment": Experimenting(required=True), "approval": "required"})
    first = conclude(OFFLINE, [], both, contested=True)
    assert first.reasons[0] == "It passed the gate and waits for the verdict of an experiment."
    assert first.criteria[-1].reason.endswith("(experiment.required = true).")
    assert conclude(OFFLINE, [experiment(passed=True)], both, contested=True).reasons[0].endswith("'mlguide promote'.")


def test_no_experiment_saves_a_model_that_fails_offline() -> None:
    required = STRICT.model_copy(update={"experiment": Experimenting(required=True)})
    for failing, verdict in ((OFFLINE[0], "refused"), (BEATEN, "kept")):
        measured = [replace(each, passed=each is not failing) for each in OFFLINE]
        assert conclude(measured, [experiment(passed=True)], required, contested=True).verdict == verdict


def test_a_model_that_passed_goes_live_by_canary_after_its_experiment_and_before_a_person() -> None:
    asked = {"canary": Canary(), "experiment": Experimenting(required=True), "approval": "required"}
    problem, shipped = STRICT.model_copy(update=asked), experiment(passed=True)

    def verdict(*recorded: Criterion, contested: bool = True) -> str:
        return conclude(OFFLINE, recorded, problem, contested=contested).verdict

    assert verdict() == "waiting"
    assert verdict(shipped) == "canary"
    assert verdict(shipped, experiment(passed=True, name=CANARY_CRITERION)) == "waiting"
    assert verdict(shipped, experiment(passed=False, name=CANARY_CRITERION)) == "kept"
    # Without a champion there is nobody to go back to.
    assert verdict(contested=False) == "waiting"
    assert conclude(OFFLINE, (), STRICT.model_copy(update={"canary": Canary()}), contested=False).verdict == "promoted"


def test_a_champion_that_cannot_score_gives_way_and_one_outcome_decides_nothing() -> None:
    unfit = Incomparable("1", "The champion knows features that the problem no longer has.", champion_is_unfit=True)
    silent = Incomparable("1", "The 12 fresh sends have only one outcome.", champion_is_unfit=False)
    required = STRICT.model_copy(update={"experiment": Experimenting(required=True)})
    assert decide(evidence(scores(signal=1.2), comparison=unfit), required).verdict == "promoted"
    assert decide(evidence(scores(signal=1.2), comparison=silent), STRICT).verdict == "kept"


@pytest.mark.parametrize(
    ("test_from", "reason"),
    [
        (
            datetime(2026, 1, 9),
            "there are no sends",
        ),
        (
            datetime(2026, 1, 2),
            "only one outcome is among the 3 sends",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_as_it_is(tmp_path: Path, test_from: datetime, reason: str) -> None:
    """Where a source has lost its newest rows, the champion has seen all of the test window."""
    times = [datetime(2026, 1, day) for day in (1, 2, 3, 4)]
    rows = pa.table({PROBLEM.decision.time: pa.array(times, pa.timestamp("us")), "label": [0, 0, 0, 0]})
    facts = {"refit_until": "2026-02-01", "test_from": test_from.isoformat()}
    found = compare_with_champion(rows, "3", Past(facts, tmp_path, tmp_path), PROBLEM)
    assert isinstance(found, Incomparable)
    unseen = "of the test window, which the champion's holdout model has not seen"
    assert found.reason == f"It cannot be compared with version 3, the champion: {reason} {unseen}."


# Challenger against champion


def duel(challenger: float, champion: float, seed: int) -> bool:
    return judged(challenger, champion, seed, FEW_DRAWS).passed


def judged(challenger: float, champion: float, seed: int, problem: Problem) -> Criterion:
    """Whether a challenger whose scores carry that much noise beats the champion; users differ in their risk."""
    rows, users = 3000, 450
    random = np.random.default_rng(seed)
    user = random.integers(0, users, rows)
    logit = -2.5 + random.normal(scale=0.5, size=users)[user] + random.normal(scale=1.2, size=rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    # Their errors are alike where both see the same features, and their own elsewhere.
    shared = random.normal(size=rows)
    said = {
        name: 1 / (1 + np.exp(-(logit + noise * (0.8 * shared + 0.6 * random.normal(size=rows)))))
        for name, noise in (("challenger", challenger), ("champion", champion))
    }
    return beats_champion(compare_scores(labels, said, user, "1", "sends", problem), problem)


FEW_DRAWS = PROBLEM.model_copy(update={"evaluation": Evaluation(bootstrap_repeats=200)})


@pytest.mark.parametrize(
    ("noise", "margin", "said"),
    [
        (1.1, 0.2, "It matches the champion: ROC AUC 0.0037 worse than version 1"),
        (0.5, 0.2, "It beats the champion: ROC AUC"),
        (0.5, 0.0, "It beats the champion: ROC AUC"),
        (1.1, 0.0, "It was not shown to beat the champion: ROC AUC"),
        (3.0, 0.01, "It was not shown to match the champion: ROC AUC"),
    ],
)
def test_what_passes_by_the_margin_alone_is_not_said_to_be_better(noise: float, margin: float, said: str) -> None:
    problem = FEW_DRAWS.model_copy(update={"gate": PROBLEM.gate.model_copy(update={"champion_margin": margin})})
    assert judged(noise, 1.0, 0, problem).reason.startswith(said)


@pytest.mark.slow
def test_error_rates_of_the_comparison_with_the_champion() -> None:
    """A truly worse challenger is promoted at most 2.5 % of the time, a clearly better one at least 90 %."""
    worse = sum(duel(1.05, 1.0, seed) for seed in range(100)) / 100
    equal = sum(duel(1.0, 1.0, seed) for seed in range(200)) / 200
    better = sum(duel(0.5, 1.0, seed) for seed in range(60)) / 60
    print(f"promoted: worse {worse:.1%}, equal {equal:.1%}, better {better:.1%}")
    assert worse <= 0.025
    assert equal <= 0.06
    assert better >= 0.9
