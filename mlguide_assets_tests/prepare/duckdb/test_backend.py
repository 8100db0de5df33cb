"""SELECTs are merged only where an order hangs on it, and SQL that is kept is what would be written anew."""

import sys
from datetime import UTC, datetime
from itertools import product
from typing import Any

import ibis
import pytest

from mlguide_assets.prepare.duckdb import backend as duckdb_backend
from mlguide_assets.prepare.duckdb.backend import NestedSelects, is_ordered_inside

ROWS = ibis.memtable({"a": [3, 1, 2], "b": [1, 1, 2]})
SORTED = ROWS.order_by("a")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS, False),
        (SORTED, False),
        (SORTED.select("b"), True),
        (SORTED.filter(SORTED.a > 1).mutate(c=1), True),
        (SORTED.limit(1), True),
        (SORTED.group_by("b").aggregate(n=SORTED.count()), False),
        (SORTED.distinct().mutate(c=1), False),
        (SORTED.join(ROWS, "a"), False),
    ],
)
def test_where_an_order_is_to_be_kept(rows: ibis.Table, expected: bool) -> None:
    assert is_ordered_inside(rows.op()) is expected


def test_selects_are_merged_where_an_order_is_to_be_kept_and_nowhere_else(duck: Any) -> None:
    kept, apart = (rows.mutate(c=rows.a + 1).filter(rows.b == 1) for rows in (SORTED, ROWS))
    assert duck.compile(kept).count("SELECT") < duck.compile(apart).count("SELECT")
    assert duck.to_pyarrow(kept)["a"].to_pylist() == [1, 3]


def within(rows: ibis.Table, others: ibis.Table, first: datetime, micros: int, text: str) -> ibis.Table:
    later = rows.filter(rows.at >= first, rows.at.epoch_seconds() * 1_000_000 < micros, rows.name != text)
    return later.anti_join(others, "name").order_by("name")


def test_other_tables_and_instants_become_the_same_sql_with_these_put_in(
    duck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [datetime(2024, 1, day) for day in range(1, 5)]
    tables = [ibis.memtable({"name": [f"{letter}{day.day}" for day in days], "at": days}) for letter in "ab"]
    ends = [int(day.replace(tzinfo=UTC).timestamp()) * 1_000_000 for day in days]
    # One table twice is not two; a value that is like what stands for another is left alone.
    for first, end, left, text in product(days, ends, product(tables, repeat=2), ("a2", "9990-01-01")):
        one, other = left
        asked = within(one, other, first, end, text)
        assert duck.compile(asked) == plain_sql(asked)
    # All of one shape are written: none is anew.
    monkeypatch.setattr(duckdb_backend, "_written", None)
    found = duck.to_pyarrow(within(tables[0], tables[1], days[1], ends[3], "a2")).to_pylist()
    assert [row["name"] for row in found] == ["a3"]
    assert duck.to_pyarrow(within(tables[1], tables[0], days[0], ends[1], "a2")).num_rows == 1


def test_sql_that_is_kept_serves_execute_as_well(duck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`execute` names a limit where nobody gave one."""
    asked = ROWS.filter(ROWS.b == 1).count()
    monkeypatch.setattr(duckdb_backend, "_KEPT", duckdb_backend._Kept())
    assert duck.to_pyarrow(asked).as_py() == 2
    with monkeypatch.context() as nothing_is_written:
        nothing_is_written.setattr(NestedSelects, "to_sqlglot", None)
        assert asked.execute() == 2
    assert ROWS.execute(limit=1).shape == (1, 2)


def test_one_instant_twice_is_not_two(duck: Any) -> None:
    days = [datetime(2024, 1, day) for day in range(1, 4)]
    rows = ibis.memtable({"at": days})
    for first, last in product(days, repeat=2):
        asked = rows.filter(rows.at >= first, rows.at <= last)
        assert duck.compile(asked) == plain_sql(asked)
        assert duck.to_pyarrow(asked.count()).as_py() == max((last - first).days + 1, 0)


@pytest.mark.parametrize("place", [datetime(2024, 1, 2), datetime(2024, 1, 2).date(), 1_700_000_000_000_000])
def test_an_instant_that_sql_leaves_out_or_writes_otherwise_is_compiled_anew(
    place: Any, duck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ROWS.mutate(at=ibis.literal(place))
    monkeypatch.setattr(duckdb_backend, "_KEPT", duckdb_backend._Kept())
    monkeypatch.setattr(duckdb_backend, "_written", lambda op, places: "SELECT something else")
    assert duck.compile(asked) == plain_sql(asked)


def plain_sql(rows: ibis.Table) -> str:
    return str(NestedSelects().to_sqlglot(rows).sql(dialect="duckdb"))


@pytest.mark.parametrize("text", ["\0", "a\0", "\0\0b", "it's\0"])
def test_a_text_with_a_nul_is_a_literal_as_any_other(duck: Any, text: str) -> None:
    rows = ibis.memtable({"a": ["x", text]})
    found = rows.filter(rows.a == text).mutate(b=ibis.literal([text, "y"], "array<string>"))
    assert duck.to_pyarrow(found).to_pylist() == [{"a": text, "b": [text, "y"]}]


def test_many_selects_that_cannot_be_merged_are_written(duck: Any) -> None:
    """As for the automatic features of some dozens of columns; Python's limit is as before, afterwards."""
    before = sys.getrecursionlimit()
    rows = ROWS
    for number in range(60):
        place = ibis.row_number().over(order_by=[rows.a, rows[rows.columns[-1]]])
        rows = rows.mutate(**{f"c{number}": place}).filter(ibis._.a > 0)
    assert duck.execute(rows.count()) == 3
    assert sys.getrecursionlimit() == before
