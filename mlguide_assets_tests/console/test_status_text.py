"""What the report says where a figure or its interval cannot be given."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mlguide_assets.console.status import learned_in_words
from mlguide_assets.console.status_text import print_status
from mlguide_assets.observe.drift.table import NO_DAY
from mlguide_assets.settings import Home
from mlguide_assets.train.evaluation.decisions import DECISION_METRICS
from mlguide_assets.train.evaluation.metrics import METRICS

NOTHING = {"value": None, "low": None, "high": None}
ALONE = {"value": 0.25, "low": None, "high": None}


def printed(status: dict[str, Any]) -> str:
    out = StringIO()
    print_status(status, Home(Path("home")), Console(file=out, width=120, markup=False))
    return out.getvalue()


CANDIDATE = {
    "candidate": "xgboost",
    "candidate_reason": "The candidate is xgboost: it is better.",
    "decided": True,
    "sample": None,
    "learned": None,
}


def status(estimate: dict[str, float | None], lift: dict[str, float | None]) -> dict[str, Any]:
    metrics = dict.fromkeys(METRICS, estimate)
    decisions = {**dict.fromkeys(DECISION_METRICS, ALONE), "lift": lift}
    return {
        "decisions": "sends",
        "sources": ["user_emails"],
        "champion": None,
        "champion_elsewhere": None,
        "candidate_decision": None,
        "last_decision": None,
        "gate": [],
        "recipe": None,
        "monitoring": None,
        "incidents": [],
        "canary": None,
        "evaluation": {**CANDIDATE, "xgboost": metrics, "baselines": {"base_rate": metrics}, "oracle": None},
        "decision_metrics": {**CANDIDATE, "xgboost": decisions, "baselines": {}, "oracle": None},
        "contracts": [],
        "warnings": ["user_profiles: age may have changed since a decision"],
        "scored": {
            "day": "2026-01-02",
            "users": 2,
            "of": "users",
            "noun": "user",
            "has": "a best email",
            "table": "best_email_per_user",
        },
        "tables": {"user_emails": {"rows": 3, "snapshot": "1"}},
    }


def test_a_value_without_an_interval_is_printed_alone() -> None:
    said = printed(status(ALONE, NOTHING))
    assert "Calibration error (ECE) 0.2500." in said
    saved = "that saves 0.2 per 1,000 sends, in the unit of costs, against acting on none."
    assert f"acts on 25.0% of the sends; {saved}" in " ".join(said.split())


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ((-0.5, -0.8, -0.3), "that costs 0.5 (0.3–0.8) {unit} more than acting on none."),
        ((-0.5, -0.8, 0.2), "that costs 0.5 (-0.2 to 0.8) {unit} more than acting on none."),
        ((0.5, -0.2, 0.8), "that saves 0.5 (-0.2 to 0.8) {unit} against acting on none."),
    ],
)
def test_a_saving_below_zero_is_a_cost(saved: tuple[float, ...], said: str) -> None:
    value = status(ALONE, NOTHING)
    value["decision_metrics"]["xgboost"]["savings_per_1000"] = dict(zip(("value", "low", "high"), saved, strict=True))
    assert said.format(unit="per 1,000 sends, in the unit of costs,") in " ".join(printed(value).split())


@pytest.mark.parametrize(("everything", "against"), [(2.0, "acting on all."), (4.0, "acting on none.")])
def test_the_saving_names_the_cheaper_policy_without_a_model(everything: float, against: str) -> None:
    value = status(ALONE, NOTHING)
    costs = {"cost_of_none_per_1000": {**ALONE, "value": 3.0}, "cost_of_all_per_1000": {**ALONE, "value": everything}}
    value["decision_metrics"]["xgboost"] |= costs
    assert f"per 1,000 sends, in the unit of costs, against {against}" in " ".join(printed(value).split())


def test_a_warning_is_printed_below_the_contract() -> None:
    data, warning, rest = printed(status(ALONE, NOTHING)).partition("Warning  user_profiles: age may have changed")
    assert "Contract" in data
    assert warning
    assert "Quality" in rest


def test_where_xgboost_learned_is_said_where_not_all_rows_are_in_memory() -> None:
    value = status(ALONE, NOTHING)
    assert "XGBoost learned" not in printed(value)
    facts = {"rows_learned_by_xgboost": 9_000_000, "learned_where": "on Spark, in 8 tasks"}
    value["evaluation"] |= {"sample": 1_000_000, "learned": learned_in_words(facts)}
    said = printed(value)
    assert "(of a seeded sample of 1,000,000)" in said
    assert "XGBoost learned from all 9,000,000 rows on Spark, in 8 tasks." in said


def test_why_a_model_is_the_candidate_is_said_once() -> None:
    value = status(ALONE, NOTHING)
    reasons = [CANDIDATE["candidate_reason"], "Too slow."]
    value["candidate_decision"] = decided("1", "refused", "") | {"reasons": reasons}
    said = printed(value)
    assert said.count(CANDIDATE["candidate_reason"]) == 1
    assert "Too slow." in said


def test_figures_of_a_candidate_that_did_not_reach_the_gate_are_not_taken_for_those_of_the_last_decision() -> None:
    value = status(ALONE, NOTHING)
    assert "has not decided" not in printed(value)
    value["evaluation"]["decided"] = False
    assert "a newer candidate, on which the gate has not decided" in " ".join(printed(value).split())


def test_a_value_that_cannot_be_given_is_a_dash() -> None:
    assert "–" in printed(status(NOTHING, NOTHING))


def test_one_is_written_as_one() -> None:
    value = status(ALONE, NOTHING)
    rule = {"rule": "age is between 0 and 120", "violations": 1, "rows": 1, "action": "quarantine"}
    value["contracts"] = [rule, {**rule, "rule": "id is unique", "violations": 0}]
    value["tables"] = {"user_emails": {"rows": 1}, "quarantined_rows": {"rows": 1}}
    value["scored"]["users"] = 1
    said = printed(value)
    assert "Read  1 row of user_emails" in said
    assert "1 of 2 rules is broken; 1 row was set aside" in said
    assert "1 of 1 row (100.0%), set aside" in said
    assert "1 user has a best email for 2026-01-02" in said


def test_the_next_steps_find_the_home(tmp_path: Path) -> None:
    out = StringIO()
    print_status(status(ALONE, ALONE), Home(tmp_path, "--home here"), Console(file=out, width=200))
    assert "2 users have a best email for 2026-01-02: mlguide export --home here best_email_per_user" in out.getvalue()
    steps = out.getvalue().partition("Next")[2].splitlines()[1:]
    assert steps
    assert all(" --home here" in step for step in steps)


def test_what_is_amiss_is_reported_with_the_next_step() -> None:
    incident = {
        "title": "A run of refresh_job failed",
        "happened": "The file [a] is gone.",
        "since": "2026-03-01T04:05:06+00:00",
        "next_step": "Mend it.",
        "delivery_problem": "The webhook refused this alert permanently (it answered 404).",
    }
    said = printed({**status(ALONE, ALONE), "incidents": [incident]})
    assert "Problems  1 incident is open" in said
    assert "since 2026-03-01 04:05 UTC" in said
    assert "The file [a] is gone." in said
    assert "it answered 404" in said


def test_monitoring_says_what_is_known_and_what_it_waits_for() -> None:
    waits = "No verdict: 40 sends since 2026-03-02, which are tested once they are 500."
    drift = {"day": "2026-03-01", "level": "none", "reason": "25 days together: none has drifted."}
    drift |= {"waits": waits, "untested": None}
    performance = {"day": "2026-03-01", "verdict": "too_few", "reason": "Its ROC AUC is not tested.", "age": None}
    said = printed({**status(ALONE, ALONE), "monitoring": {"drift": drift, "performance": performance}})
    assert f"Drift. 2026-03-01: 25 days together: none has drifted. {waits}" in " ".join(said.split())
    assert "Performance. Its ROC AUC is not tested." in said
    old = {**performance, "age": "That is 47 days before 2026-04-17."}
    said = printed({**status(ALONE, ALONE), "monitoring": {"drift": drift, "performance": old}})
    assert "Performance. Its ROC AUC is not tested. That is 47 days before 2026-04-17." in said
    never = {"day": NO_DAY, "level": "none", "reason": "No day was tested for drift yet."}
    never |= {"waits": None, "untested": "2 days from 2026-02-01 to 2026-02-02 are not tested."}
    said = printed({**status(ALONE, ALONE), "monitoring": {"drift": never, "performance": performance}})
    assert "Drift. No day was tested for drift yet. 2 days from 2026-02-01 to 2026-02-02 are not tested." in said


def test_a_running_canary_is_shown_with_its_share() -> None:
    canary = {"version": "7", "share": 0.05, "since": "2026-03-02", "last_look": "hold", "reason": "Day 1 of 2 at 5%."}
    said = printed({**status(ALONE, ALONE), "canary": {**canary, "waiting": []}})
    assert "version 7 is seen by 5% of the units since 2026-03-02. Day 1 of 2 at 5%." in said


CHAMPION = {"champion": {"version": "1"}, "champion_model": "xgboost"}


def decided(version: str, verdict: str, reason: str, by: str = "gate") -> dict[str, Any]:
    return {"version": version, "verdict": verdict, "reasons": [reason], "decided_by": by}


def test_a_decision_names_its_version_unless_that_is_champion() -> None:
    value = status(ALONE, NOTHING)
    value["candidate_decision"] = value["last_decision"] = decided("1", "refused", "Too slow.")
    assert "Gate  refused (version 1): there is no champion yet; what did not hold:" in printed(value)
    value |= CHAMPION
    value["candidate_decision"] = value["last_decision"] = decided("1", "promoted", "Good.")
    said = printed(value)
    assert "Gate  promoted: version 1 (xgboost) is champion" in said
    assert "Since then" not in said


def test_a_champion_whose_bundle_is_in_another_home_is_not_said_to_be_none() -> None:
    """As where two hosts share the tables alone."""
    decided = {"version": "3", "verdict": "promoted", "decided_by": "gate", "reasons": []}
    known = status(ALONE, ALONE) | {"candidate_decision": decided, "last_decision": decided}
    assert "there is no champion yet" in printed(known)
    assert "without a champion nothing is scored" in printed(known)
    shown = printed(known | {"champion_elsewhere": "3"})
    assert "version 3 is champion where this was decided; here is no bundle of it" in shown
    assert "without a champion" not in shown


def test_what_a_person_decided_is_not_said_to_be_the_answer_of_the_gate() -> None:
    value = status(ALONE, NOTHING) | CHAMPION
    value["candidate_decision"] = value["last_decision"] = decided("1", "promoted", "I say so.", "person:me")
    said = printed(value)
    assert "By hand  promoted: version 1 (xgboost) is champion" in said
    assert "Gate" not in said


def test_what_was_decided_on_another_version_does_not_hide_the_decision_on_the_candidate() -> None:
    value = status(ALONE, NOTHING) | CHAMPION
    value["candidate_decision"] = decided("3", "canary", "It passed the gate and goes live by canary.")
    value["last_decision"] = decided("2", "kept", "Version 3 passed the gate since, and goes live in its place.")
    gate, _, since = printed(value).partition("Since then  kept (version 2): version 1 (xgboost) is champion")
    assert "Gate  canary (version 3): version 1 (xgboost) is champion" in gate
    assert "It passed the gate and goes live by canary." in gate
    assert "Version 3 passed the gate since" in since


def test_versions_that_wait_for_the_end_of_a_canary_are_named_with_it() -> None:
    value = status(ALONE, NOTHING)
    value["canary"] = {"version": "3", "share": 0.2, "since": "2026-03-01", "reason": "Day 1 of 2.", "waiting": ["4"]}
    assert "version 3 is seen by 20% of the units since 2026-03-01. Day 1 of 2. Version 4 waits for its end." in (
        " ".join(printed(value).split())
    )


def test_of_a_run_that_was_refused_nothing_is_said_of_rows_and_rules() -> None:
    """What it prepared is taken back; tables of what was decided on the way stay."""
    refused = {**status(NOTHING, ALONE), "tables": {"feature_declarations": {"rows": 71, "snapshot": "a"}}}
    assert printed(refused) == "home has no rows of user_emails: 'mlguide run' reads them, or says why not.\n"
