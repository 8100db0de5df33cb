"""What is said of a column from its values alone."""

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pytest

from mlguide_assets.prepare.profiling.columns import ColumnProfile, outcome_of
from mlguide_assets.prepare.profiling.kinds import guess_kind


@pytest.mark.parametrize(
    ("name", "type_", "values", "kind"),
    [
        ("gift", dt.string, ["Yes", "yes", "No"], "flag"),
        ("gift", dt.string, ["yes", "0"], "flag"),
        ("gift", dt.string, ["Y", "1", "N", "0"], "flag"),
        ("grade", dt.string, ["T", "F", "N"], "category"),
        ("gift", dt.string, ["yes", "no", "maybe"], "category"),
        ("gift", dt.float64, ["0.0", "1.0"], "flag"),
        ("share", dt.float64, ["0.0", "0.5"], "number"),
        ("defaulted", dt.int64, ["1", "-1"], "category"),
        ("defaulted", dt.float64, ["1.0", "2.0"], "category"),
        ("rooms", dt.int64, ["1", "2"], "number"),
        ("defaulted", dt.int64, ["1", "2", "3"], "number"),
    ],
)
def test_flags_and_two_outcomes_are_told_from_amounts(name: str, type_: Any, values: list[str], kind: str) -> None:
    assert guess_kind(name, type_, values, len(values), 100).kind == kind


@pytest.mark.parametrize(
    ("kind", "values", "outcomes"),
    [
        ("category", {"ok": 50, "Fraud": 20, "OK": 30, "fraud": 5}, {("ok", "OK"): 80, ("Fraud", "fraud"): 25}),
        ("category", {"1": 50, "yes": 5}, {("1",): 50, ("yes",): 5}),
        ("flag", {"no": 50, "0": 10, "1": 9, "yes": 8}, {("no", "0"): 60, ("1", "yes"): 17}),
        ("category", {"a": 50, "A": 10}, {("a",): 50, ("A",): 10}),
    ],
)
def test_spellings_of_one_value_are_one_outcome(
    kind: Any, values: Mapping[str, int], outcomes: Mapping[tuple[str, ...], int]
) -> None:
    rows = sum(values.values())
    column = ColumnProfile("state", rows, rows, len(values), kind, values=tuple(values.items()))
    assert {outcome.spellings: outcome.rows for outcome in column.outcomes} == outcomes
    assert column.two_values == tuple(reversed(column.outcomes))


def test_a_row_has_the_outcome_of_its_spelling(duck: Any) -> None:
    values = (("ok", 50), ("Fraud", 20), ("OK", 30))
    column = ColumnProfile("state", 100, 100, 3, "category", values=values)
    rows = ibis.memtable({"state": ["OK", "Fraud", None, "ok"]})
    assert duck.execute(outcome_of(rows, column)).tolist()[:2] == ["ok", "Fraud"]
