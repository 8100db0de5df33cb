"""Every kind of mistake in a problem file: one sentence that says where and what to do."""

from pathlib import Path

import pytest

from mlguide_assets.define.loading import (
    dump_problem,
    parse_problem,
)
from mlguide_assets.errors import InputError
from mlguide_assets_tests.define.mistakes import MISTAKES, NOT_MAPPINGS, RULE, VALID, complaint


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_file_line_key_and_fix(mistake: str) -> None:
    before, after, where, fix = MISTAKES[mistake]
    assert before in VALID
    told = complaint(VALID.replace(before, after, 1))
    assert told.startswith("shop.yaml, line ")
    assert where in told
    assert fix in told


NUMBERS = VALID.replace('positive: "yes"\n    negative: "no"', "positive: {at_least: 2.5}").replace(
    "column: unsubscribed", "column: cost"
)


def test_what_was_called_users_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(InputError, match=r"leakage\.users: it is called units now; write units: 100 in its place"):
        parse_problem(f"{VALID}leakage: {{users: 100}}\n".encode(), Path("shop.yaml"))


def test_a_default_that_an_earlier_home_holds_is_read() -> None:
    read = parse_problem(f"{VALID}leakage: {{max_feature_auc: 0.85, users: 1000}}\n".encode(), Path("shop.yaml"))
    assert read == parse_problem(VALID.encode(), Path("shop.yaml"))


def test_a_limit_of_numbers_is_an_outcome_and_is_kept_as_it_was_written() -> None:
    problem = parse_problem(NUMBERS.encode(), Path("shop.yaml"))
    again = parse_problem(dump_problem(problem).encode(), Path("shop.yaml"))
    assert again == problem
    assert (again.label.positive, again.label.negative) == ("at least 2.5", "less than 2.5")


def test_a_label_has_no_range_since_only_its_outcome_is_kept() -> None:
    rule = "{table: user_emails, rule: range, column: cost, min: 0, action: block}"
    assert "'cost' is the label, of which only the outcome is kept" in complaint(NUMBERS.replace(RULE, rule))


def test_a_label_may_be_read_twice_where_rows_say_when_they_are_complete() -> None:
    columns = "arrives_within: 1d\n    columns: {unsubscribed: category, left: {kind: flag, name: unsubscribed},"
    parse_problem(VALID.replace("columns: {unsubscribed: category,", columns).encode(), Path("shop.yaml"))


def test_a_condition_may_be_on_a_column_of_an_entity() -> None:
    content = VALID.replace("within: 7d}", "within: 7d, where: {user.age: {at_least: 18}}}", 1)
    problem = parse_problem(content.encode(), Path("shop.yaml"))
    assert problem.features.declared["sends_7d"].where["user.age"].at_least == 18


@pytest.mark.parametrize(
    "name", ["Batch_Predictions", "core_users", "send_features", "send_plan", "user_feature_store"]
)
def test_a_table_is_not_called_as_one_that_is_made_from_it(name: str) -> None:
    """Dagster would find an asset that depends on itself, or two of one name."""
    assert complaint(VALID.replace("user_emails:", f"{name}:")) == (
        f"shop.yaml, line 18, tables: {name!r} is the name of a table that is made from yours; call it source_{name} "
        f"and add from: {name}."
    )


def test_of_a_choice_nothing_is_known_when_the_event_happens() -> None:
    emails = "  emails: {entity: email, key: id, columns: {theme: category}}\n  user_emails:"
    offered = VALID.replace("  user_emails:", emails, 1).replace("{user: user_id}", "{user: user_id, email: email_id}")
    chosen = offered.replace("each: send", "each: send\n  choose: email", 1)
    assert parse_problem(chosen.encode(), Path("shop.yaml")).chooses
    assert complaint(chosen.replace("each: send", "each: send\n  known: [cost, paid]", 1)) == (
        "shop.yaml, line 6, predict.known: the email is chosen before a send happens, when 'cost' and 'paid' cannot be "
        "known yet; leave out known, or leave out choose."
    )


@pytest.mark.parametrize("content", NOT_MAPPINGS)
def test_a_file_that_is_no_mapping_is_shown_what_one_looks_like(content: str) -> None:
    assert complaint(NOT_MAPPINGS[content]) == (
        "shop.yaml, line 1: expected keys and values, such as 'name: my_problem'."
    )


def test_bytes_that_are_no_text_are_told_apart_from_bad_syntax() -> None:
    assert "shop.yaml" in (told := complaint(VALID.encode().replace(b"shop", b"caf\xe9")))
    assert "the bytes are not text" in told


def test_the_number_of_further_mistakes_is_reported() -> None:
    told = complaint(VALID.replace("window: 7d", "window: 7").replace("missed: 12", "missed: -1"))
    assert "(1 more to fix after this one)" in told
