"""The contract in force on tables that are nobody's emails: what holds without being said."""

from datetime import date
from pathlib import Path

from mlguide_assets.define.contracts import NotEarlier
from mlguide_assets.define.loading import parse_problem
from mlguide_assets.define.rules import rules_in_force
from mlguide_assets.define.schema import Schema
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, problem_of

F1 = b"""
name: races
statement: Cars break down.
hypothesis: Old ones do.
history_start: 1950-05-01
source: {kind: files, uri: races}
tables:
  races: {entity: race, key: id, columns: {day: time}}
  results: {event: result, at: race.day, of: {race: race, driver: driver}, columns: {grid: number}}
predict:
  each: driver
  every: 30d
  label: {count: result, within: 30d, at_most: 0}
costs: {missed: 1, false_alarm: 1}
"""


def actions(rules: object) -> dict[str, str]:
    return {rule.name: rule.action for rule in rules}  # type: ignore[attr-defined]


def test_a_stated_key_is_unique_and_present_or_blocks(tmp_path: Path) -> None:
    found = actions(problem_of(PAYMENTS, tmp_path).rules)
    assert found["payments.payment_is_unique"] == "block"
    assert found["payments.payment_is_present"] == "block"
    assert found["cards.card_is_unique"] == "block"


def test_without_a_stated_key_two_equal_rows_are_two_events(tmp_path: Path) -> None:
    found = actions(problem_of(ORDERS, tmp_path).rules)
    assert not [name for name in found if name.endswith("_is_unique")]
    assert found["orders.customer_is_present"] == "quarantine"
    assert found["orders.ordered_is_present"] == "quarantine"


def test_what_is_predicted_is_unique_even_where_no_key_is_stated(tmp_path: Path) -> None:
    stated = problem_of(PAYMENTS, tmp_path)
    tables = {**stated.schema.tables, "payments": stated.schema.tables["payments"].model_copy(update={"key": ()})}
    rules = rules_in_force(Schema(tables=tables), stated.predict, stated.history_start, ())
    assert actions(rules)["payments.card_shop_paid_is_unique"] == "block"


def test_a_label_is_one_of_its_two_values(tmp_path: Path) -> None:
    assert actions(problem_of(PAYMENTS, tmp_path).rules)["payments.fraud_is_known"] == "block"


def test_an_event_whose_time_is_that_of_an_entity_needs_its_row() -> None:
    problem = parse_problem(F1, Path("races.yaml"))
    assert actions(problem.rules)["results.race_exists_in_races"] == "quarantine"


def test_times_of_what_has_happened_are_not_in_the_future_nor_before_the_history(tmp_path: Path) -> None:
    rules = {rule.name: rule for rule in problem_of(PAYMENTS, tmp_path).rules}
    assert {"payments.paid_is_not_after_now", "cards.issued_is_not_after_now"} <= rules.keys()
    of_races = [rule.name for rule in parse_problem(F1, Path("races.yaml")).rules]
    # A race that is planned lies in the future, and is no mistake.
    assert "races.day_is_not_after_now" not in of_races


def test_a_time_that_was_never_set_is_too_early_unless_history_begins_before(tmp_path: Path) -> None:
    problem = problem_of(PAYMENTS, tmp_path)

    def floors(history_start: date) -> set[date]:
        rules = rules_in_force(problem.schema, problem.predict, history_start, ())
        return {rule.floor for rule in rules if isinstance(rule, NotEarlier)}

    # What 0 reads as is midnight of 1970-01-01 in UTC, and later on that day where times are of a zone west of it.
    assert floors(problem.history_start) == {date(1970, 1, 2)}
    assert floors(date(1950, 5, 1)) == {date(1950, 5, 1)}


def test_what_a_history_holds_since_ever_is_not_too_early() -> None:
    drivers = b"{entity: driver, key: id, known_at: told, history: {from: since, to: until}, columns: {team: category}}"
    problem = parse_problem(F1.replace(b"tables:", b"tables:\n  drivers: " + drivers), Path("races.yaml"))
    early = {name for name in actions(problem.rules) if name.startswith("drivers.") and "early" in name}
    assert early == {"drivers.told_is_not_too_early"}
