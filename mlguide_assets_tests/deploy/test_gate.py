"""The gate: noise never passes, a planted signal does, and every answer has its reasons in words."""

import json

import numpy as np
import pytest

from mlguide_assets.define.problem import Gate, Metric
from mlguide_assets.deploy.gate import Decision, decide
from mlguide_assets_tests.deploy.scores import scores
from mlguide_assets_tests.train.sends import PROBLEM

STRICT = PROBLEM.model_copy(update={"gate": Gate(permutations=200)})
SHIPPED = PROBLEM.model_copy(update={"gate": Gate(min_gain=0.05, permutations=200)})
BROKEN = {
    "rule": "delivered_at is not before date_joined",
    "violations": 51,
    "rows": 1000,
    "action": "warn",
}


def passed(decision: Decision) -> dict[str, bool]:
    return {criterion.criterion: criterion.passed for criterion in decision.criteria}


def test_noise_is_never_promoted() -> None:
    assert {decide(scores(signal=0, seed=seed), [], SHIPPED).verdict for seed in range(20)} == {"refused"}


def test_interval_and_permutation_each_refuse_noise_by_themselves() -> None:
    """Without any gain asked for: 2.5 % and 1 % of noise may pass one of them."""
    answers = [passed(decide(scores(signal=0, seed=seed), [], STRICT)) for seed in range(20)]
    assert sum(answer["beats_base_rate"] for answer in answers) <= 2
    assert sum(answer["is_not_chance"] for answer in answers) <= 1
    assert not any(answer["beats_base_rate"] and answer["is_not_chance"] for answer in answers)


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "log_loss", "brier"])
def test_a_planted_signal_is_promoted_by_every_metric(metric: str) -> None:
    problem = STRICT.model_copy(update={"metric": Metric(primary=metric)})  # type: ignore[arg-type]
    decision = decide(scores(signal=1.2), [], problem)
    assert decision.verdict == "promoted"
    assert all(passed(decision).values())


def test_a_gain_smaller_than_asked_for_is_refused() -> None:
    asked = STRICT.model_copy(update={"gate": Gate(min_gain=0.4, permutations=200)})
    decision = decide(scores(signal=1.2), [], asked)
    assert passed(decision) == {"beats_base_rate": False, "is_not_chance": True, "data_can_be_believed": True}
    assert decision.verdict == "refused"


def test_a_model_that_ranks_the_wrong_way_round_is_refused_and_called_worse() -> None:
    wrong = scores(signal=1.2)
    position = wrong.column_names.index("xgboost")
    turned = wrong.set_column(position, "xgboost", [1 - wrong["xgboost"].to_numpy()])
    decision = decide(turned, [], STRICT)
    assert decision.verdict == "refused"
    assert decision.reasons[0].startswith("Its ROC AUC is worse than the base rate's by 0.")


def test_too_many_warned_violations_refuse_the_best_model() -> None:
    decision = decide(scores(signal=1.2), [BROKEN], STRICT)
    assert decision.verdict == "refused"
    assert decision.reasons == (
        "The data contradict themselves: 5.1% of the rows break delivered_at is not before date_joined, "
        "and no score on such rows can be believed (at most 5.0% asked for).",
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
    assert decide(scores(signal=1.2), [harmless], STRICT).verdict == "promoted"


def test_the_worst_rule_is_the_one_that_is_named() -> None:
    worse = {**BROKEN, "rule": "worse", "violations": 500}
    assert "50.0% of the rows break worse," in decide(scores(signal=1.2), [BROKEN, worse], STRICT).reasons[0]


def test_the_champion_again_is_kept() -> None:
    decision = decide(scores(signal=1.2), [], STRICT, same_as_champion=True)
    assert decision.verdict == "kept"
    assert decision.reasons == ("The same data, problem and code give the champion again: nothing to change.",)


def test_a_champion_that_no_longer_passes_is_refused_not_kept() -> None:
    assert decide(scores(signal=0), [], STRICT, same_as_champion=True).verdict == "refused"


@pytest.mark.parametrize("signal", [0.0, 1.2])
def test_reasons_are_plain_sentences(signal: float) -> None:
    for reason in decide(scores(signal=signal), [BROKEN], STRICT).reasons:
        assert reason[0].isupper()
        assert reason.endswith(".")
        assert "nan" not in reason
        assert not any(mark in reason for mark in ("_gain", "{", "}", "np.", "None"))


def test_a_refusal_gives_the_failed_criteria_and_a_promotion_all() -> None:
    refused, promoted = decide(scores(signal=0), [], STRICT), decide(scores(signal=1.2), [], STRICT)
    assert len(refused.reasons) == sum(not criterion.passed for criterion in refused.criteria) == 2
    assert len(promoted.reasons) == len(promoted.criteria) == 3


def test_the_same_scores_give_the_same_decision() -> None:
    assert decide(scores(signal=0.3), [], STRICT) == decide(scores(signal=0.3), [], STRICT)


def test_criteria_are_json() -> None:
    criteria = [criterion.to_json() for criterion in decide(scores(signal=1.2), [], STRICT).criteria]
    again = json.loads(json.dumps(criteria, allow_nan=False))
    assert [set(criterion) for criterion in again] == [
        {"criterion", "value", "low", "high", "threshold", "passed", "reason"}
    ] * 3


def test_one_user_is_no_evidence() -> None:
    of_one = scores(signal=1.2)
    of_one = of_one.set_column(0, "user_id", [np.zeros(of_one.num_rows, np.int64)])
    decision = decide(of_one, [], STRICT)
    assert decision.verdict == "refused"
    assert passed(decision)["beats_base_rate"] is False
