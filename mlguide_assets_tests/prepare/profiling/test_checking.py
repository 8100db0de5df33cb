"""What a problem file would train on, and what is said where it would train on nothing."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.loading import parse_problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.profiling.checking import Check, check_problem
from mlguide_assets.train.folds import refuse_too_few
from mlguide_assets_tests.prepare.profiling.drafts import CUSTOMERS, checked_draft, draft_text, write_tables

LOANS = (
    "SELECT i AS loan_id, i % 40 AS customer_id, TIMESTAMP '2024-01-01' + INTERVAL (i * 6) HOUR AS granted_at, "
    "i % 13 AS amount, CASE WHEN i % 6 = 0 THEN 'yes' ELSE 'no' END AS defaulted FROM range(800) t(i)"
)
FILE = """
name: loans
statement: Loans are lost.
hypothesis: The past tells which.
history_start: 2024-01-01
source: {kind: files, uri: bank}
tables:
  customers: {entity: customer, key: customer_id, known_from: created_at, columns: {segment: category}}
  loans:
    event: loan
    at: granted_at
    of: {customer: customer_id}
    key: [loan_id]
    columns: {defaulted: flag}
predict: {each: loan, label: {column: defaulted, positive: "yes", negative: "no", window: 7d}}
features: {declared: {loans_before: {count: loan, by: customer}}}
costs: {missed: 10, false_alarm: 1}
"""


def checked(text: str, duck: Any, tmp_path: Path, **tables: str) -> Check:
    write_tables(tmp_path / "bank", **{"customers": CUSTOMERS, "loans": LOANS, **tables})
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return check_problem(parse_problem(text.encode(), tmp_path / "loans.yaml"), duck, scratch, lambda _: None)


def test_it_counts_what_would_be_trained_on(duck: Any, tmp_path: Path) -> None:
    found = checked(FILE, duck, tmp_path)
    decisions = found.decisions
    assert decisions is not None
    # A loan every six hours: those of the last seven days wait for their outcome.
    assert (decisions.rows, decisions.waiting) == (800, 28)
    assert decisions.positives == sum(i % 6 == 0 for i in range(772))
    assert decisions.first == datetime(2024, 1, 1)
    assert decisions.test == 772 - int(772 * 0.75)
    assert decisions.test_positives == sum(i % 6 == 0 for i in range(579, 772))
    assert decisions.train_positives == sum(i % 6 == 0 for i in range(579 - 28 + 1))
    assert found.refused is None
    assert found.tables == {"customers": (40, 40), "loans": (800, 800)}
    assert found.remarks == ("loans: amount",)


def test_columns_that_may_change_are_named_with_what_to_do(duck: Any, tmp_path: Path) -> None:
    warning = checked(FILE, duck, tmp_path).warnings[0]
    assert warning.startswith("customers: segment may have changed since a decision")
    assert "static" in warning
    assert "history" in warning


def test_times_that_the_clocks_of_a_zone_repeat_are_a_warning(duck: Any, tmp_path: Path) -> None:
    """The loans of every six hours are shifted to 2:00, at which clocks in Berlin are set, in March and October."""
    text = FILE.replace("    event: loan\n", "    event: loan\n    timezone: Europe/Berlin\n")
    loans = LOANS.replace("'2024-01-01'", "'2024-05-01 02:00'")
    (warning,) = [each for each in checked(text, duck, tmp_path, loans=loans).warnings if "clocks" in each]
    assert warning.startswith("loans.granted_at: 1 time in an hour that the clocks of Europe/Berlin repeat, read as of")


TOTALS = f"SELECT * REPLACE (loan_id::VARCHAR AS loan_id) FROM ({LOANS}) UNION ALL SELECT 'Sum', 1, NULL, 9, NULL"


def test_a_row_of_totals_blocks_with_the_line_that_sets_it_aside(duck: Any, tmp_path: Path) -> None:
    line = "{table: loans, rule: well_typed, action: quarantine}"
    (blocked,) = checked(FILE, duck, tmp_path, loans=TOTALS).blocked
    assert blocked.endswith(f"; to set it aside, add to the list contracts: - {line}")
    found = checked(f"{FILE}contracts:\n  - {line}\n", duck, tmp_path, loans=TOTALS)
    assert (found.blocked, found.tables["loans"]) == ((), (801, 800))


def test_a_row_of_totals_is_set_aside_in_a_draft(duck: Any, tmp_path: Path) -> None:
    text = draft_text(write_tables(tmp_path / "bank", customers=CUSTOMERS, loans=TOTALS), duck, tmp_path)
    assert "- {table: loans, rule: well_typed, action: quarantine}" in text
    assert checked_draft(text, duck, tmp_path).blocked == ()


def test_a_known_number_that_grows_with_the_calendar_is_named(duck: Any, tmp_path: Path) -> None:
    """Not one that comes again."""
    text = FILE.replace("columns: {defaulted: flag}", "columns: {defaulted: flag, week: integer, weekday: integer}")
    text = text.replace("each: loan,", "each: loan, known: [week, weekday],")
    loans = LOANS.replace("i % 13 AS amount", "i % 13 AS amount, i // 28 AS week, i // 4 % 7 AS weekday")
    found = [each for each in checked(text, duck, tmp_path, loans=loans).warnings if "grows" in each]
    assert len(found) == 1
    assert found[0].startswith("predict.known: week grows with the calendar")


def test_ids_without_a_row_are_counted(duck: Any, tmp_path: Path) -> None:
    fewer = CUSTOMERS.replace("range(40)", "range(30)")
    assert any("10 of 40 ids of a customer" in each for each in checked(FILE, duck, tmp_path, customers=fewer).warnings)


def test_what_the_contract_blocks_is_said_and_not_counted_on(duck: Any, tmp_path: Path) -> None:
    twice = LOANS.replace("SELECT i AS loan_id", "SELECT i // 2 AS loan_id")
    found = checked(FILE, duck, tmp_path, loans=twice)
    assert found.decisions is None
    assert "loan_id_is_unique" in found.blocked[0]


def test_too_many_rows_set_aside_are_told_by_their_cause(duck: Any, tmp_path: Path) -> None:
    later = "CASE WHEN i % 3 = 0 THEN TIMESTAMP '2199-01-01' ELSE TIMESTAMP '2024-01-01' + INTERVAL (i * 6) HOUR END"
    loans = LOANS.replace("TIMESTAMP '2024-01-01' + INTERVAL (i * 6) HOUR", later)
    (blocked,) = checked(FILE, duck, tmp_path, loans=loans).blocked
    assert blocked.startswith("loans: 267 of 800 rows break loans.granted_at_is_not_after_now (granted_at lies in the")
    assert blocked.endswith("too many would be set aside, where loans.few_rows_are_set_aside allows 20%")


def a_long_window(text: str) -> str:
    return text.replace("window: 7d", "window: 900d")


def an_instant_of_history(text: str) -> str:
    """Of events that all happen within the minute."""
    return text.replace("window: 7d", "window: 1h").replace("at: granted_at", "at: same_at")


def late_start(text: str) -> str:
    return text.replace("costs:", "evaluation: {test_from: 2030-01-01}\ncosts:")


def no_match(text: str) -> str:
    return text.replace("of: {customer: customer_id}", "of: {customer: other_id}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (a_long_window, "window of 900 days is longer than the data, from 2024-01-01 to 2024-07-18"),
        (an_instant_of_history, "window of 1 hour is longer than the data"),
        (late_start, "No decision is left to test on from 2030-01-01"),
        (no_match, "none of the 40 values of 'other_id' is the id of a customer in customers"),
    ],
)
def test_what_cannot_be_trained_is_refused(change: Callable[[str], str], said: str, duck: Any, tmp_path: Path) -> None:
    loans = LOANS.replace(
        "i % 13 AS amount", "i % 13 AS amount, 1000 + i % 40 AS other_id, TIMESTAMP '2024-07-01' AS same_at"
    )
    with pytest.raises(InputError, match=said):
        checked(change(FILE), duck, tmp_path, loans=loans)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("'no'", "each of the 800 outcomes in loans is 'no'"),
        ("'yes'", "each of the 800 outcomes in loans is 'yes'"),
        ("CAST(NULL AS varchar)", "defaulted is empty in every row of loans, so no outcome is known"),
    ],
)
def test_outcomes_that_teach_nothing_are_refused(outcome: str, said: str, duck: Any, tmp_path: Path) -> None:
    never = LOANS.replace("CASE WHEN i % 6 = 0 THEN 'yes' ELSE 'no' END", outcome)
    with pytest.raises(InputError, match=said):
        checked(FILE, duck, tmp_path, loans=never)


@pytest.mark.parametrize(
    ("positive", "side", "rows", "positives"),
    [
        ("i % 6 = 0 AND i < 583", "test", 193, 1),
        ("i % 6 = 0 AND i < 600", "", 0, 0),
        ("i >= 550", "training", 552, 2),
        ("i >= 549 AND i % 7 > 0", "", 0, 0),
        ("i % 6 > 0 OR i < 600", "training", 552, 552),
        ("i < 300 AND i % 2 = 0 OR i >= 300 AND i <> 700", "test", 193, 192),
    ],
)
def test_a_side_with_too_few_of_an_outcome_is_refused_as_training_refuses_it(
    positive: str, side: str, rows: int, positives: int, duck: Any, tmp_path: Path
) -> None:
    """The words are those of a run on the same decisions."""
    loans = LOANS.replace("CASE WHEN i % 6 = 0", f"CASE WHEN {positive}")
    found = checked(FILE, duck, tmp_path, loans=loans)
    decisions = found.decisions
    assert decisions is not None
    if not side:
        assert found.refused is None
        return
    assert (decisions.train, decisions.test) == (552, 193)
    labels = np.repeat(np.array([1, 0], dtype=np.int8), [positives, rows - positives])
    with pytest.raises(InputError) as training:
        refuse_too_few(f"The {side} window", labels, Decision("loan", ("customer",), "granted_at", ()))
    assert found.refused == str(training.value)
    assert f"of which {positives} " in found.refused


def test_a_third_value_of_the_label_means_one_of_its_outcomes(duck: Any, tmp_path: Path) -> None:
    three = LOANS.replace("WHEN", "WHEN i % 6 = 1 THEN 'partly' WHEN")
    assert "'partly' is neither" in checked(FILE, duck, tmp_path, loans=three).blocked[0]
    found = checked(FILE.replace('"no"', '["no", partly]'), duck, tmp_path, loans=three).decisions
    assert found is not None
    assert (found.waiting, found.positives) == (28, sum(i % 6 == 0 for i in range(772)))


def test_a_column_whose_values_do_not_read_is_not_called_empty(duck: Any, tmp_path: Path) -> None:
    numbers = LOANS.replace("TIMESTAMP '2024-01-01' + INTERVAL (i * 6) HOUR", "1704067200 + i * 21600")
    found = checked(FILE, duck, tmp_path, loans=numbers)
    assert len(found.blocked) == 1
    assert "state format: epoch_s for the column in the problem file" in found.blocked[0]
    assert found.quarantined == ()


CUT_OFFS = "{each: customer, every: 7d, label: {count: loan, within: 7d, at_least: 1, where: {grade: VALUE}}}"
ASKED = (
    FILE.replace('{each: loan, label: {column: defaulted, positive: "yes", negative: "no", window: 7d}}', CUT_OFFS)
    .replace("defaulted: flag", "amount: number, grade: category")
    .replace("by: customer}", "by: customer, where: {amount: 99, customer.segment: {not: [c1, C2]}}}")
)
GRADED = LOANS.replace("i % 13 AS amount", "i % 13 AS amount, CASE WHEN i % 9 < 5 THEN '007' ELSE 'Yes' END AS grade")


def test_values_that_no_row_has_are_named_with_what_there_is(duck: Any, tmp_path: Path) -> None:
    found = checked(ASKED.replace("VALUE", '[7, "yes", zzz, on]'), duck, tmp_path, loans=GRADED)
    *label, amount, segment, outcomes = found.warnings[-7:]
    start = "predict.label.where.grade: no row of loans has grade"
    bare = "(YAML reads a bare yes, no, on or off as a flag"
    assert label == [
        f"{start} = '7'; did you mean '007', which 445 rows have?",
        f"{start} = 'yes'; did you mean 'Yes', which 355 rows have?",
        f"{start} = 'zzz'; it has '007' (445), 'Yes' (355)",
        f"{start} = 'true' {bare}: write it in quotes); it has '007' (445), 'Yes' (355)",
    ]
    assert amount.startswith("features.declared.loans_before.where.amount: no row of loans has amount = '99'; it has '")
    assert "'customer.segment': no row of customers has segment = 'C2'; did you mean 'c2', which 8 rows" in segment
    assert outcomes.startswith("predict.label: no outcome of 1,")
    assert outcomes.endswith("look at its count, where, within and at_least")


def test_values_that_there_are_need_no_word(duck: Any, tmp_path: Path) -> None:
    found = checked(
        ASKED.replace("VALUE", '"007"').replace("99", "9.0").replace("C2", "c2"), duck, tmp_path, loans=GRADED
    )
    assert [each for each in found.warnings if "no row" in each or "outcome" in each] == []


def test_a_draft_can_be_checked_as_it_stands(duck: Any, tmp_path: Path) -> None:
    source = write_tables(tmp_path / "bank", customers=CUSTOMERS, loans=LOANS)
    found = checked(draft_text(source, duck, tmp_path), duck, tmp_path)
    assert found.decisions is not None
    assert found.decisions.rows == 800


def test_outcomes_that_should_be_known_by_now_do_not_wait(duck: Any, tmp_path: Path) -> None:
    some = f"SELECT * REPLACE (CASE WHEN loan_id % 4 > 0 THEN defaulted END AS defaulted) FROM ({LOANS})"
    found = checked(FILE, duck, tmp_path, loans=some).decisions
    assert found is not None
    assert (found.rows, found.waiting, found.without, found.known) == (800, 28, 193, 579)


@pytest.mark.parametrize(
    "number", ["loan_id + 7", "CASE WHEN loan_id % 6 > 0 THEN loan_id + 7 END"], ids=["all", "some rows lack it"]
)
def test_a_known_column_that_numbers_the_rows_is_refused_as_the_alarm_would(
    duck: Any, tmp_path: Path, number: str
) -> None:
    loans = f"SELECT *, {number} AS number, loan_id + 0.5 AS measured, 'x' || loan_id % 9 AS kind FROM ({LOANS})"
    text = FILE.replace("{defaulted: flag}", "{defaulted: flag, number: number, measured: number, kind: category}")
    text = text.replace("predict: {each: loan,", "predict: {each: loan, known: [measured, kind, number],")
    more = loans.replace("range(800)", "range(1300)")
    said = "predict.known: number has a value of its own for each loan: a model would learn them by heart"
    refused = checked(text, duck, tmp_path, loans=more).refused
    assert refused is not None
    assert refused.startswith(said)
