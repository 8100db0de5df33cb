"""The core table of any problem: a row per decision, beside its entities as of then."""

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.columns import columns_of
from mlguide_assets.prepare.core import core_rows, count_core
from mlguide_assets.prepare.features.building import tables_of
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, problem_of
from mlguide_assets_tests.prepare.ingesting import lake_over

JAN = [datetime(2024, 1, day) for day in range(1, 31)]
ISSUED = datetime(2023, 12, 1)


def payments(**cards: Any) -> Problem:
    """The problem of payments, with changes of its table of cards."""
    tables = {**PAYMENTS["tables"], "cards": {**PAYMENTS["tables"]["cards"], **cards}}
    return problem_of({**PAYMENTS, "tables": tables}, Path("nowhere"))


def paid(*rows: tuple[int, str, datetime]) -> ibis.Table:
    columns = [{"payment": number, "card": card, "shop": 7, "paid": at} for number, card, at in rows]
    return ibis.memtable([{**each, "amount": 2.5, "fraud": "false"} for each in columns])


def test_events_stand_beside_their_entities_and_units_without_any_stand_alone() -> None:
    cards = ibis.memtable(
        [{"card": name, "issued": ISSUED, "kind": kind} for name, kind in (("a", "debit"), ("b", None))]
    )
    core = core_rows({"cards": cards, "payments": paid((1, "a", JAN[3]), (2, "x", JAN[2]))}, payments()).to_pyarrow()
    assert core.column_names == ["card_id", "shop_id", "paid", "payment", "fraud", "amount", "issued", "kind"]
    assert set(core.column_names) == set(columns_of(payments())["core_cards"])
    found = [(row["card_id"], row["payment"], row["kind"], row["issued"]) for row in core.to_pylist()]
    assert found == [("x", 2, None, None), ("a", 1, "debit", ISSUED), ("b", None, None, ISSUED)]


def test_an_entity_with_a_history_is_as_it_was_then() -> None:
    problem = payments(history={"from": "begun", "to": "ended"}, columns={"issued": "time", "kind": "category"})
    versions = [("debit", JAN[0], JAN[5]), ("credit", JAN[5], None)]
    cards = [
        {"card": card, "issued": ISSUED, "kind": kind, "begun": begun, "ended": ended}
        for card in "ab"
        for kind, begun, ended in versions
    ]
    tables = {"cards": ibis.memtable(pa.Table.from_pylist(cards)), "payments": paid((1, "a", JAN[4]), (2, "a", JAN[5]))}
    rows = core_rows(tables, problem).to_pyarrow().to_pylist()
    assert [(row["card_id"], row["payment"], row["kind"]) for row in rows] == [
        ("a", 1, "debit"),
        ("a", 2, "credit"),
        ("b", None, None),
    ]


def test_a_name_that_two_tables_have_gets_its_noun_in_front() -> None:
    shops = {"entity": "shop", "key": "shop", "columns": {"kind": "category", "amount": "number"}}
    problem = problem_of({**PAYMENTS, "tables": {**PAYMENTS["tables"], "shops": shops}}, Path("nowhere"))
    tables = {
        "cards": ibis.memtable([{"card": "a", "issued": ISSUED, "kind": "debit"}]),
        "shops": ibis.memtable([{"shop": 7, "kind": "grocer", "amount": 9.0}]),
        "payments": paid((1, "a", JAN[4])),
    }
    [row] = core_rows(tables, problem).to_pyarrow().to_pylist()
    assert (row["card_kind"], row["shop_kind"], row["amount"], row["shop_amount"]) == ("debit", "grocer", 2.5, 9.0)


@pytest.mark.parametrize("known", [True, False])
def test_decisions_at_cut_offs_stand_beside_what_is_known_of_their_entity(known: bool) -> None:
    customers = {"entity": "customer", "key": "customer", "columns": {"country": "category"}}
    tables = {**ORDERS["tables"], **({"customers": customers} if known else {})}
    problem = problem_of({**ORDERS, "tables": tables}, Path("nowhere"))
    orders = [{"customer": 1, "ordered": at, "amount": 1.0, "channel": "web"} for at in JAN]
    found = {"orders": ibis.memtable(orders), "customers": ibis.memtable([{"customer": 1, "country": "KO"}])}
    core = core_rows(found, problem).to_pyarrow()
    own = ["country"] if known else []
    assert core.column_names == ["customer_id", "as_of", "label", "matured_at", *own]
    assert core["as_of"].to_pylist() == [datetime(2024, 1, day) for day in (8, 15, 22, 29)]
    assert core.select(own).to_pylist() == [dict.fromkeys(own, "KO")] * 4


@pytest.mark.parametrize("of", ["events", "cut-offs"])
def test_a_join_that_loses_or_doubles_decisions_is_noticed(of: str, duck: Any, tmp_path: Path) -> None:
    """Units without a decision, of which there is one here, are no decisions."""
    orders = pa.table({"customer": [1] * 30, "ordered": JAN, "amount": [1.0] * 30, "channel": ["web"] * 30})
    cards = pa.table({"card": ["a", "b"], "issued": [ISSUED] * 2, "kind": ["debit"] * 2})
    problem, found, decisions = {
        "events": (payments(), {"cards": cards, "payments": paid((1, "a", JAN[4]), (2, "a", JAN[5]))}, 2),
        "cut-offs": (problem_of(ORDERS, Path("nowhere")), {"orders": orders}, 4),
    }[of]
    lake = lake_over(duck, tmp_path)
    for name, rows in found.items():
        lake.write(name, rows)
    whole = core_rows(tables_of(lake, problem), problem).to_pyarrow()
    for rows, missing, said in ((whole, 0, "once."), (pa.concat_tables([whole, whole[:1]]), -1, "has doubled some")):
        lake.write(problem.core_table, rows)
        counted = count_core(lake, problem)
        assert (counted.expected, counted.expected - counted.found) == (decisions, missing)
        assert said in counted.said(problem)
