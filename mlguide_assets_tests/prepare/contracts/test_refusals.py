"""Refusals: what is said of a broken rule, and which ways out are safe to name."""

from dataclasses import replace
from typing import Any

import pytest

from mlguide_assets.define.contracts import DecisionKey, LabelKnown, Present, Rule
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EntityTable
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts.causes import cause_of
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.contracts.validation import RuleResult
from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets_tests.samples import sample_problem

REFERENCE = {"table": "user_emails", "rule": "references", "column": "user_id", "target": "user_profiles"}


def rule_of(problem: Problem, name: str) -> Rule:
    return next(rule for rule in problem.rules if rule.name == name)


def result_of(rule: Rule, violations: int, rows: int = 1000, **row: Any) -> RuleResult:
    """What a rule found, as `prepare/contracts/validation.py` puts it."""
    cause = cause_of(rule, PROBLEM.tables[rule.table], row, all_rows=violations == rows)
    return RuleResult(rule.name, rule.table, rule.action, rows, violations, "id 1", cause)


def refusal_text(problem: Problem, *results: RuleResult) -> str:
    with pytest.raises(InputError) as caught:
        refuse_blocked(results, problem.rules, "the shop")
    return str(caught.value)


PROBLEM = sample_problem("data", contracts=[{**REFERENCE, "action": "quarantine"}])
TYPED = rule_of(PROBLEM, "user_profiles.values_are_well_typed")


def test_some_broken_rows_may_be_set_aside_and_what_follows_is_said() -> None:
    said = refusal_text(PROBLEM, result_of(TYPED, 7, **{UNREADABLE: "age=abc"}))
    assert said.startswith("user_profiles from the shop breaks user_profiles.values_are_well_typed in 7 of 1,000 rows")
    assert said.endswith(
        "; or set these rows aside, and with them all rows of user_emails that refer to them, with "
        "{table: user_profiles, rule: well_typed, action: quarantine} under contracts in the problem file."
    )


def test_doubles_lose_no_row_that_refers_to_them() -> None:
    doubles = rule_of(PROBLEM, "user_profiles.id_is_unique")
    said = refusal_text(PROBLEM, result_of(doubles, 7, id=1))
    assert "Of corrections the newest can be kept: by tables.user_profiles.known_at" in said
    assert said.endswith(
        "; or keep the newest and set the others aside, with {table: user_profiles, rule: unique, columns: [id], "
        "action: quarantine} under contracts in the problem file."
    )


def test_rows_that_share_the_key_of_a_decision_may_all_be_meant_and_are_not_set_aside() -> None:
    columns = ("user_id", "email_id")
    shared = DecisionKey(rule="unique", table="user_emails", columns=columns, action="block")
    with pytest.raises(InputError) as caught:
        refuse_blocked([result_of(shared, 7)], (*PROBLEM.rules, shared), "the shop")
    assert str(caught.value).endswith(
        "several rows have the same user_id and email_id, so none of them can be predicted by itself; name the columns "
        "that distinguish them, as tables: {user_emails: {key: [user_id, email_id, …]}}, or keep one of each."
    )


def test_what_is_no_number_is_no_outcome_where_a_limit_decides() -> None:
    table, column = "user_emails", "unsubscribed"
    rule = LabelKnown(rule="one_of", table=table, column=column, action="block", values=("at least 5", "less than 5"),
                      positives=("at least 5",), negatives=("less than 5",), by_limit=True)  # fmt: skip
    said = cause_of(rule, PROBLEM.tables[table], {column: "many"}, all_rows=False)
    assert said == "'many' is no number; correct it, or leave it empty where it is not known yet"


def test_a_history_without_a_beginning_is_told_how_to_write_it() -> None:
    history = {"history": {"from": "since", "to": "until"}, "columns": {"since": "time", "until": "time"}}
    of = EntityTable.model_validate({"entity": "user", "key": "id", **history})
    present = [Present(rule="present", table="users", column=each, action="block") for each in ("since", "id")]
    said = [cause_of(rule, of, {}, all_rows=False) for rule in present]
    assert said == [
        "since is empty there, or infinite; write 1900-01-01 where a row holds since ever",
        "id is empty there; fill it in",
    ]


@pytest.mark.parametrize("violations", [201, 1000])
def test_nobody_is_advised_to_set_aside_more_than_may_be(violations: int) -> None:
    said = refusal_text(PROBLEM, result_of(TYPED, violations, **{UNREADABLE: "id=u-17, age=abc"}))
    assert "id must be a whole number of at most 64 bits" in said
    assert "and 'u-17' is text; write the ids in one form in the source" in said
    assert "quarantine" not in said
    assert "set" not in said


def test_rows_set_aside_beyond_the_limit_are_refused_by_the_rule_that_took_most() -> None:
    limit = rule_of(PROBLEM, "user_emails.few_rows_are_set_aside")
    reference = rule_of(PROBLEM, "user_emails.user_id_exists_in_user_profiles")
    some = refusal_text(PROBLEM, result_of(reference, 300, user_id=7), result_of(limit, 300))
    assert "{table: user_emails, rule: set_aside, max_share: 1.0, action: block} under contracts" in some
    said = refusal_text(PROBLEM, result_of(reference, 1000, user_id=7), result_of(limit, 1000))
    assert said.startswith("user_emails from the shop would lose 1,000 of 1,000 rows, set aside by its contract, where")
    assert "user_emails.few_rows_are_set_aside allows 20%: 1,000 rows break user_emails.user_id_exists_in_user" in said
    assert "no user_id is an id of user_profiles: one of the two tables was renumbered" in said
    assert "max_share" not in said, "that nothing is left is no way out"


def test_the_limit_is_a_share_of_the_rows() -> None:
    limit = rule_of(PROBLEM, "user_emails.few_rows_are_set_aside")
    assert limit.holds(200, 1000)
    assert not limit.holds(201, 1000)
    assert limit.holds(0, 0)


def test_a_column_is_empty_if_no_row_has_a_value() -> None:
    filled = rule_of(PROBLEM, "user_profiles.age_is_not_empty")
    assert filled.action == "warn"
    assert filled.holds(999, 1000)
    assert filled.holds(0, 0)
    assert not filled.holds(1000, 1000)


def test_what_does_not_block_refuses_nothing() -> None:
    broken = result_of(TYPED, 7, **{UNREADABLE: "age=abc"})
    refuse_blocked([replace(broken, action="warn"), replace(broken, action="quarantine")], PROBLEM.rules, "the shop")


def test_a_label_that_is_none_of_the_two_names_their_keys() -> None:
    known = rule_of(PROBLEM, "user_emails.unsubscribed_is_known")
    said = refusal_text(PROBLEM, result_of(known, 1000, unsubscribed="churned"))
    assert "'churned' is not one of 'yes', 'no'; write predict.label.positive and negative as the source does" in said


def test_a_third_value_of_a_label_is_given_a_meaning() -> None:
    known = rule_of(PROBLEM, "user_emails.unsubscribed_is_known")
    said = refusal_text(PROBLEM, result_of(known, 7, unsubscribed="later"))
    assert "'later' is neither the positive nor the negative outcome; say which it means" in said
    assert 'negative: ["no", "later"] or positive: ["yes", "later"] under predict.label' in said
    assert "values: ['yes', 'no'], action: quarantine}" in said
    assert "positives" not in said
