"""Contracts: what each kind of rule counts, and where the rows that break one go."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.contracts import Filled, LabelKnown, NewestKnown, NotAfter, SetAside
from mlguide_assets.define.loading import load_problem, parse_problem, with_overrides
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.computing import DuckDB
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.contracts.validation import Validated, accepted_order, results_table, validate
from mlguide_assets.prepare.core import core_rows
from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets.prepare.sources.newest import NEWER, ORDER, with_newer_rows
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets_tests.email_case import KEYS, send_features
from mlguide_assets_tests.guide import Guide
from mlguide_assets_tests.samples import TABLES, arrow, sample_problem

SCHEMA = sample_problem("nowhere").schema
OUTCOMES = {"user_emails": ("unsubscribed",)}
DAY = timedelta(days=1)
JOINED = datetime(2024, 1, 1)
SENT = JOINED + 10 * DAY
NOW = SENT + 9 * DAY
SENT_AT = ("user_emails", "delivered_at")

USER = {
    "id": 1, "date_joined": JOINED, "gender": "male", "age": 30, "country": "US",
    "words_in_description": 1, "purchases": 0,
}  # fmt: skip
EMAIL = {
    "id": 1, "subject": "Hi", "theme": "food", "category": "newsletter", "number_of_buttons": 1,
    "number_of_sections": 1, "number_of_items": 1, "created_at": JOINED,
}  # fmt: skip
SEND = {"user_id": 1, "email_id": 1, "unsubscribed": "no", "delivered_at": SENT}

ROWS: dict[str, list[dict[str, Any]]] = {
    "user_profiles": [
        USER,
        {**USER, "age": 31},  # another row of the same user
        {**USER, "id": 2, "age": 200},
        {**USER, "id": 3, "age": None},
        {**USER, "id": 4, "gender": "robot"},
        {**USER, "id": 5, "gender": None, "date_joined": None},
        {**USER, "id": 7, "date_joined": datetime(9999, 12, 31)},
        {**USER, "id": 8, "date_joined": datetime(15, 1, 24)},
        {**USER, "id": 6, "age": None, UNREADABLE: "age=abc"},
        {**USER, "id": None},
        {**USER, "id": None},  # no id is no double
    ],
    "email_content": [EMAIL, {**EMAIL, "id": 2, "created_at": SENT - DAY}],
    "user_emails": [
        SEND,
        {**SEND, "email_id": 2, "unsubscribed": "yes"},
        {**SEND, "unsubscribed": "maybe", "delivered_at": SENT + DAY},
        {**SEND, "user_id": 2},  # to a user whose row may be set aside
        {**SEND, "user_id": 9},
        {**SEND, "email_id": 9},
        {**SEND, "user_id": None},
        {**SEND, "delivered_at": None},
        {**SEND, "delivered_at": NOW + DAY},  # the last instant that is allowed
        {**SEND, "delivered_at": NOW + DAY + timedelta(seconds=1)},
        {**SEND, "delivered_at": JOINED},  # the first instant that is allowed
        {**SEND, "delivered_at": JOINED - DAY},
        {**SEND, "email_id": 2, "delivered_at": SENT - 2 * DAY},
        {**SEND, "user_id": 5, "delivered_at": JOINED - 9 * DAY},  # to a user of whom no date is known
    ],
}

# Violations where every row stays, and where rows are set aside: then nothing refers to these any more.
VIOLATIONS = {
    "user_profiles.values_are_well_typed": (1, 1),
    "user_profiles.id_is_present": (2, 2),
    "user_profiles.id_is_unique": (1, 1),
    "user_profiles.date_joined_is_not_after_now": (1, 1),
    "user_profiles.date_joined_is_not_too_early": (1, 1),
    "user_profiles.date_joined_is_present": (1, 1),
    "user_profiles.age_is_in_range": (1, 1),
    "user_profiles.gender_is_known": (1, 1),
    "email_content.values_are_well_typed": (0, 0),
    "email_content.id_is_present": (0, 0),
    "email_content.id_is_unique": (0, 0),
    "email_content.created_at_is_not_after_now": (0, 0),
    "email_content.created_at_is_not_too_early": (0, 0),
    "user_emails.values_are_well_typed": (0, 0),
    "user_emails.user_id_is_present": (1, 1),
    "user_emails.email_id_is_present": (0, 0),
    "user_emails.delivered_at_is_present": (1, 1),
    "user_emails.unsubscribed_is_present": (0, 0),
    "user_emails.user_id_email_id_delivered_at_is_unique": (0, 0),
    "user_emails.delivered_at_is_not_after_now": (1, 1),
    "user_emails.delivered_at_is_not_too_early": (0, 0),
    "user_emails.unsubscribed_is_known": (1, 1),
    "user_emails.user_id_exists_in_user_profiles": (1, 3),
    "user_emails.email_id_exists_in_email_content": (1, 1),
    "user_emails.delivered_at_is_not_before_date_joined": (1, 1),
    "user_emails.delivered_at_is_not_before_created_at": (3, 3),
}


def contract(action: str) -> Any:
    """Every kind of rule that can have an action, all with that one."""
    time = {"table": "user_emails", "rule": "not_before", "column": "delivered_at"}
    rules: list[dict[str, Any]] = [
        {"table": "user_profiles", "rule": "present", "column": "date_joined"},
        {"table": "user_profiles", "rule": "range", "column": "age", "min": 13, "max": 120},
        {"table": "user_profiles", "rule": "one_of", "column": "gender", "values": ["male", "female"]},
        {"table": "user_emails", "rule": "one_of", "column": "unsubscribed", "values": ["yes", "no"]},
        {"table": "user_emails", "rule": "references", "column": "user_id", "target": "user_profiles"},
        {"table": "user_emails", "rule": "references", "column": "email_id", "target": "email_content"},
        {**time, "key": "user_id", "target": "user_profiles", "target_column": "date_joined"},
        {**time, "key": "email_id", "target": "email_content", "target_column": "created_at"},
    ]
    for table, key in {"user_profiles": ["id"], "email_content": ["id"], "user_emails": list(KEYS)}.items():
        rules.append({"table": table, "rule": "well_typed"})
        rules.append({"table": table, "rule": "unique", "columns": list(key)})
        rules += [{"table": table, "rule": "present", "column": column} for column in key]
    for table, column in (("user_profiles", "date_joined"), ("email_content", "created_at"), SENT_AT):
        rules += [{"table": table, "rule": rule, "column": column} for rule in ("not_after", "not_earlier")]
    rules.append({"table": "user_emails", "rule": "present", "column": "unsubscribed"})
    if action == "warn":
        rules = [rule for rule in rules if rule["rule"] not in ("references", "not_after") and not of_label(rule)]
    stated = [{**rule, "action": action} for rule in rules]
    stated += [{"table": table, "rule": "set_aside", "max_share": 1, "action": "block"} for table in TABLES]
    found = sample_problem("data", contracts=stated).rules
    return tuple(rule for rule in found if action != "warn" or not isinstance(rule, NotAfter | LabelKnown))


def of_label(rule: dict[str, Any]) -> bool:
    return bool(rule["rule"] == "one_of" and rule["column"] == "unsubscribed")


def expected(action: str) -> dict[str, int]:
    """Violations by rule. References, times to come and labels cannot be let through with a warning."""
    counts = {rule: both[action == "quarantine"] for rule, both in VIOLATIONS.items()}
    never = () if action != "warn" else ("_exists_in_", "_is_not_after_now", "unsubscribed_is_known")
    return {rule: count for rule, count in counts.items() if not any(words in rule for words in never)}


def as_tables(rows: dict[str, list[dict[str, Any]]]) -> dict[str, ibis.Table]:
    """As tables of one file each are read."""
    read = {}
    for table in TABLES:
        unreadable = pa.array([row.get(UNREADABLE) for row in rows[table]], pa.string())
        places = pa.array(range(len(rows[table])))
        whole = arrow(table, rows[table]).append_column(UNREADABLE, unreadable).append_column(ORDER, places)
        read[table] = with_newer_rows(ibis.memtable(whole), SCHEMA.tables[table], OUTCOMES.get(table, ()))
    return read


@pytest.fixture(scope="module", params=["block", "quarantine", "warn"])
def validated(
    request: pytest.FixtureRequest, duck: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Validated]:
    scratch = tmp_path_factory.mktemp("marked")
    engine = DuckDB(duck)
    return request.param, validate(as_tables(ROWS), SCHEMA, contract(request.param), engine, scratch=scratch, now=NOW)


def accepted(validated: Validated) -> dict[str, list[dict[str, Any]]]:
    orders = {name: accepted_order(SCHEMA.tables[name]) for name in validated.accepted}
    return {name: rows.order_by(orders[name]).to_pyarrow().to_pylist() for name, rows in validated.accepted.items()}


def quarantined(validated: Validated) -> list[dict[str, Any]]:
    return [row for table in validated.quarantined.values() for row in table.to_pyarrow().to_pylist()]


@pytest.mark.ml_test_score("data-1")
def test_every_violation_is_counted(validated: tuple[str, Validated]) -> None:
    action, found = validated
    counted = {result.rule: result.violations for result in found.results}
    always = {rule.name for rule in contract(action) if isinstance(rule, (Filled, NewestKnown, SetAside))}
    assert {rule: counted[rule] for rule in counted.keys() - always} == expected(action)
    assert {counted[rule] for rule in always} == {0}
    assert {result.rows for result in found.results} == {11, 2, 14}
    assert {result.action for result in found.results if result.rule not in always} == {action}


def test_every_broken_rule_shows_a_row(validated: tuple[str, Validated]) -> None:
    for result in validated[1].results:
        assert (result.example is None) == result.passed


def test_nothing_is_lost(validated: tuple[str, Validated]) -> None:
    action, found = validated
    kept, aside = accepted(found), quarantined(found)
    for table, rows in ROWS.items():
        assert len(kept[table]) + sum(row["table"] == table for row in aside) == len(rows)
        wanted, found_rows = (
            Counter(str(sorted(row.items())) for row in each) for each in (arrow(table, rows).to_pylist(), kept[table])
        )
        assert found_rows <= wanted
    assert (aside != []) == (action == "quarantine")


@pytest.mark.ml_test_score("data-1")
def test_only_blocking_rules_refuse(validated: tuple[str, Validated]) -> None:
    action, found = validated
    if action != "block":
        refuse_blocked(found.results, contract(action), "the shop")
        return
    with pytest.raises(InputError) as caught:
        refuse_blocked(found.results, contract(action), "the shop")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(
        "user_profiles from the shop breaks user_profiles.values_are_well_typed in 1 of 11 rows, for "
    )
    assert (
        "example id 6, unreadable value age=abc: age must be a whole number, and 'abc' is not; leave it empty"
        in message
    )
    assert "15 more blocking rule(s) are broken: " in message


def test_the_results_are_a_table_of_one_row_per_rule(validated: tuple[str, Validated]) -> None:
    action, found = validated
    table = results_table(found.results)
    assert table.column_names == ["rule", "violations", "rows", "action", "example", "cause"]
    assert table["rule"].to_pylist() == [rule.name for rule in contract(action)]


@pytest.fixture(scope="module")
def set_aside(duck: Any, tmp_path_factory: pytest.TempPathFactory) -> Validated:
    scratch = tmp_path_factory.mktemp("marked")
    return validate(as_tables(ROWS), SCHEMA, contract("quarantine"), DuckDB(duck), scratch=scratch, now=NOW)


def test_rows_that_keep_the_contract_go_on_in_the_order_of_their_keys(set_aside: Validated) -> None:
    kept = accepted(set_aside)
    assert [(row["id"], row["age"]) for row in kept["user_profiles"]] == [(1, 31), (3, None)]
    assert kept["email_content"] == ROWS["email_content"]
    at_once, later = {**SEND, "email_id": 2, "unsubscribed": "yes"}, {**SEND, "delivered_at": JOINED}
    assert kept["user_emails"] == [later, SEND, at_once, {**SEND, "delivered_at": NOW + DAY}]


def test_rows_set_aside_keep_their_reasons_and_what_was_read(set_aside: Validated) -> None:
    aside = {row["row"]: row["reasons"] for row in quarantined(set_aside)}
    by_start = {start: reasons for row, reasons in aside.items() for start in [row.partition("; country")[0]]}
    joined = "date_joined=2024-01-01 00:00:00"
    assert by_start[f"id=1; {joined}; age=30; gender=male"] == "user_profiles.id_is_unique"
    assert by_start[f"id=2; {joined}; age=200; gender=male"] == "user_profiles.age_is_in_range"
    assert [row for row in aside if "id=6" in row and row.endswith("unreadable value=age=abc;")]
    assert aside["user_id=2; email_id=1; unsubscribed=no; delivered_at=2024-01-11 00:00:00;"] == (
        "user_emails.user_id_exists_in_user_profiles"
    )
    assert aside["user_id=1; email_id=1; unsubscribed=no; delivered_at=2023-12-31 00:00:00;"] == (
        "user_emails.delivered_at_is_not_before_date_joined user_emails.delivered_at_is_not_before_created_at"
    )


def test_of_several_rows_of_a_key_the_last_one_is_kept(duck: Any, tmp_path: Path) -> None:
    doubles = [{**SEND, "unsubscribed": label, "user_id": user} for user in range(1, 400) for label in ("yes", "no")]
    users = [{**USER, "id": user} for user in range(1, 400)]
    rows = {**ROWS, "user_profiles": users}
    for order, last in ((doubles, "no"), (doubles[::-1], "yes")):
        given = as_tables({**rows, "user_emails": order})
        found = validate(given, SCHEMA, contract("quarantine"), DuckDB(duck), scratch=tmp_path, now=NOW)
        kept = accepted(found)["user_emails"]
        assert {row["unsubscribed"] for row in kept} == {last}
        assert len(kept) == 399
        assert [result for result in found.results if result.action == "block" and not result.passed] == []


def test_where_nothing_shows_the_newest_row_that_blocks(duck: Any, tmp_path: Path) -> None:
    doubles = [{**SEND, "unsubscribed": label} for label in ("yes", "no")]
    whole = as_tables({**ROWS, "user_emails": doubles})
    unordered = ibis.memtable(whole["user_emails"].drop(NEWER).to_pyarrow())
    tables = {**whole, "user_emails": with_newer_rows(unordered, SCHEMA.tables["user_emails"], ("unsubscribed",))}
    rules = contract("quarantine")
    found = validate(tables, SCHEMA, rules, DuckDB(duck), scratch=tmp_path, now=NOW)
    with pytest.raises(InputError, match="newest_row_is_known in 2 of 2 rows") as caught:
        refuse_blocked(found.results, rules, "the shop")
    assert "no column says which is newer" in str(caught.value)
    assert "tables: {user_emails: {known_at: <column>}}" in str(caught.value)
    assert "quarantine" not in str(caught.value)


PRICES = """
name: prices
statement: Sales are returned.
hypothesis: Dear ones are.
history_start: 2024-01-01
source: {kind: files, uri: nowhere}
tables:
  prices: {entity: shop, key: shop, history: {from: begun, to: ended}, columns: {price: number}}
  sales: {event: sale, at: sold, of: {shop: shop}}
predict: {each: shop, every: 7d, label: {count: sale, within: 7d, at_least: 1}}
costs: {missed: 1, false_alarm: 1}
"""


def test_rows_of_a_history_that_overlap_are_counted_with_one_of_them(duck: Any, tmp_path: Path) -> None:
    spans: list[tuple[int, int, int | None]] = [
        *((1, 0, 5), (1, 5, 9), (1, 20, None)),  # one after the other, and a gap
        *((2, 0, 6), (2, 5, 7), (2, 7, None)),
        *((3, 0, None), (3, 3, 4), (3, 9, 12)),
        *((4, 0, 9), (4, 1, 2), (4, 3, 4)),
    ]
    rows = [
        {"shop": shop, "begun": JOINED + begun * DAY, "ended": None if ended is None else JOINED + ended * DAY,
         "price": 1.0, UNREADABLE: None}
        for shop, begun, ended in spans
    ]  # fmt: skip
    schema = pa.schema(
        [("shop", pa.int64()), ("begun", pa.timestamp("us")), ("ended", pa.timestamp("us")), ("price", pa.float64()),
         (UNREADABLE, pa.string())]
    )  # fmt: skip
    problem = parse_problem(PRICES.encode(), Path("prices.yaml"))
    given = {"prices": ibis.memtable(pa.Table.from_pylist(rows, schema))}
    rules = tuple(rule for rule in problem.rules if rule.table == "prices")
    found = validate(given, problem.schema, rules, DuckDB(duck), scratch=tmp_path, now=NOW)
    broken = [each for each in found.results if not each.passed]
    assert [(each.rule, each.violations, each.action) for each in broken] == [
        ("prices.history_does_not_overlap", 3, "warn")
    ]
    assert str(broken[0].cause).startswith(
        "the row of shop 2 that is valid from 2024-01-01 00:00:00 to 2024-01-07 00:00:00 has not ended when its next"
    )


def test_a_correction_of_a_row_does_not_overlap_it(duck: Any, tmp_path: Path) -> None:
    problem = parse_problem(PRICES.encode(), Path("prices.yaml"))
    rows = pa.table({
        "shop": [1, 1, 1], "begun": [JOINED, JOINED, JOINED + DAY], "price": [1.0, 1.0, 2.0],
        "ended": pa.array([None, JOINED + DAY, None], pa.timestamp("us")),
        UNREADABLE: pa.nulls(3, pa.string()), ORDER: [0, 1, 2],
    })  # fmt: skip
    given = {"prices": with_newer_rows(ibis.memtable(rows), problem.schema.tables["prices"])}
    rules = tuple(rule for rule in problem.rules if rule.table == "prices")
    found = validate(given, problem.schema, rules, DuckDB(duck), scratch=tmp_path, now=NOW)
    assert [each.rule for each in found.results if not each.passed] == ["prices.shop_begun_is_unique"]


def test_a_flag_is_one_of_its_values_in_any_spelling(duck: Any, tmp_path: Path) -> None:
    gift = {"user_emails": {"columns": {"gift": {"kind": "flag"}}}}
    rule = {"table": "user_emails", "rule": "one_of", "column": "gift", "values": ["on"], "action": "warn"}
    schema = sample_problem("nowhere", tables=gift).schema
    tables = as_tables({**ROWS, "user_emails": [SEND] * 3})
    sends = tables["user_emails"].to_pyarrow().append_column("gift", pa.array([True, False, None]))
    given = {**tables, "user_emails": ibis.memtable(sends)}
    rules = sample_problem("nowhere", tables=gift, contracts=[rule]).rules
    found = validate(given, schema, rules, DuckDB(duck), scratch=tmp_path, now=NOW)
    assert {each.rule: each.violations for each in found.results}["user_emails.gift_is_known"] == 1


@pytest.fixture(scope="module")
def guide(guide_tables: Guide, duck: Any, tmp_path_factory: pytest.TempPathFactory) -> Validated:
    """The guide's tables under their own contract."""
    folder = tmp_path_factory.mktemp("guide")
    problem = with_overrides(load_problem("guide"), source=str(guide_tables.folder))
    tables = read_source(problem, duck, scratch=folder, oracle=folder)
    return validate(tables, problem.schema, problem.rules, DuckDB(duck), scratch=folder, now=datetime(2024, 1, 1))


def test_half_of_the_guides_deliveries_come_before_the_user_or_the_email(guide: Validated, guide_tables: Guide) -> None:
    broken = {
        result.rule: (result.violations, result.rows, result.action) for result in guide.results if not result.passed
    }
    assert broken == {
        "user_emails.delivered_at_is_not_before_date_joined": (guide_tables.before_joined, guide_tables.sends, "warn"),
        "user_emails.delivered_at_is_not_before_created_at": (guide_tables.before_created, guide_tables.sends, "warn"),
    }
    assert 0.4 < guide_tables.before_joined / guide_tables.sends < 0.6
    assert 0.4 < guide_tables.before_created / guide_tables.sends < 0.6
    assert quarantined(guide) == []


def test_the_guides_core_table_has_a_row_per_send_and_per_silent_user(guide: Validated, guide_tables: Guide) -> None:
    rows = core_rows(guide.accepted, load_problem("guide")).to_pyarrow()
    assert (rows.num_rows, rows["delivered_at"].null_count) == (
        guide_tables.sends + guide_tables.silent,
        guide_tables.silent,
    )
    features = send_features(guide.accepted, load_problem("guide")).to_pyarrow()
    assert features.num_rows == guide_tables.sends
