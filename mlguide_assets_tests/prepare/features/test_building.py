"""The tables of features of problems whose tables are nobody's emails: payments, and customers at cut-offs."""

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.parity import feature_parity
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.columns import columns_of
from mlguide_assets.prepare.features.building import (
    DECLARATIONS,
    automatic_warnings,
    clock_of,
    decisions_of,
    declarations_of,
    declared_features,
    features_from,
    resolved,
    resolved_from,
    tables_of,
    test_start,
)
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.leakage.suite import leakage_alarms
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, problem_of, write_orders, write_payments
from mlguide_assets_tests.prepare.ingesting import keep

test_start.__test__ = False  # type: ignore[attr-defined]  # a function of the product, whose name begins like a test's


class Built:
    """A problem, its tables in a lake, its decisions and its features."""

    def __init__(self, problem: Problem, lake: Lake, oracle: Path) -> None:
        self.lake = lake
        with ingest(problem, lake, oracle=oracle, report=lambda _: None) as read:
            self.results = read.results
            keep(lake, read)
        self.tables = tables_of(lake, problem)
        lake.write("decisions", decisions_of(self.tables, problem))
        self.decisions = lake.read("decisions")
        lake.write(DECLARATIONS, declared_features(self.tables, self.decisions, problem))
        self.problem = resolved_from(lake, problem)
        lake.write("features", features_from(self.tables, self.problem))
        self.features = lake.read("features")


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("payments")
    problem = problem_of(PAYMENTS, write_payments(folder / "cards"))
    return Built(problem, Lake(folder / "lake"), folder / "oracle")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("orders")
    problem = problem_of(ORDERS, write_orders(folder / "shop"))
    return Built(problem, Lake(folder / "lake"), folder / "oracle")


def test_every_payment_is_a_decision_with_its_features(payments: Built) -> None:
    rows = payments.features.to_pyarrow()
    assert rows.num_rows == 3000
    assert rows.column_names[:7] == ["card_id", "shop_id", "paid", "payment", "fraud", "matured_at", "kind"]
    assert rows["card_id"][0].as_py().startswith("c-")
    assert set(rows["fraud"].to_pylist()) == {0, 1, None}


def test_an_outcome_is_known_once_its_window_is_over(payments: Built) -> None:
    clock = clock_of(payments.tables, payments.problem)
    for row in payments.features.select("paid", "fraud").to_pyarrow().to_pylist():
        assert (row["fraud"] is None) == (row["paid"] + timedelta(days=3) > clock)


def test_a_mean_is_of_what_came_strictly_before(payments: Built) -> None:
    rows = payments.tables["payments"].to_pyarrow().to_pylist()
    for found in payments.features.filter(lambda t: t.payment < 20).to_pyarrow().to_pylist():
        before = [row["amount"] for row in rows if row["card"] == found["card_id"] and row["paid"] < found["paid"]]
        assert found["mean_amount"] == (pytest.approx(sum(before) / len(before)) if before else None)


def test_customers_are_asked_about_at_cut_offs_a_week_apart(orders: Built) -> None:
    days = sorted(set(orders.features.as_of.to_pyarrow().to_pylist()))
    assert {(later - earlier).days for earlier, later in pairwise(days)} == {7}
    assert set(orders.features.label.to_pyarrow().to_pylist()) == {0, 1, None}


def test_automatic_features_are_kept_as_declarations(orders: Built) -> None:
    kept = orders.lake.read_arrow(DECLARATIONS)
    assert 5 < kept.num_rows <= 20
    assert resolved(orders.problem, kept) == orders.problem
    assert not orders.problem.features.automatic
    assert all(kept["description"].to_pylist())


@pytest.mark.parametrize("kind", ["payments", "orders"])
def test_looking_up_gives_what_was_computed_for_all(kind: str, request: pytest.FixtureRequest) -> None:
    built: Built = request.getfixturevalue(kind)
    parity = feature_parity(built.features, built.tables, built.problem, rows=200)
    assert parity.rows == 200
    assert parity.mismatches == 0


@pytest.mark.parametrize("kind", ["payments", "orders"])
def test_no_feature_knows_the_future(kind: str, request: pytest.FixtureRequest) -> None:
    built: Built = request.getfixturevalue(kind)
    found = leakage_alarms(built.tables, built.features, built.problem)
    assert [alarm.message for alarm in found if not alarm.passed] == []


def test_a_feature_that_knows_the_outcome_is_found(payments: Built) -> None:
    leaky = payments.features.mutate(mean_amount=payments.features.fraud.cast("float64"))
    alarms = {alarm.check: alarm for alarm in leakage_alarms(payments.tables, leaky, payments.problem)}
    assert (alarms["no_feature_too_good"].passed, alarms["no_feature_too_good"].feature) == (False, "mean_amount")
    assert alarms["future_moves_no_past_row"].passed


def test_declarations_of_columns_that_are_gone_are_not_taken(payments: Built) -> None:
    table = PAYMENTS["tables"]["payments"]
    tables = {**PAYMENTS["tables"], "payments": {**table, "columns": {"fraud": "flag"}}}
    features = {"declared": {"by_kind_*": {"count": "payment", "by": "shop", "split": "card.kind"}}}
    predict = {**PAYMENTS["predict"], "known": []}
    changed = problem_of({**PAYMENTS, "tables": tables, "predict": predict, "features": features}, payments.lake.root)
    assert resolved_from(payments.lake, changed) == changed
    assert "matured_at" in columns_of(changed)[changed.features_table], "described though it is not resolved"


def test_features_that_were_decided_stay_in_their_order(orders: Built, tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(orders.lake.root, tmp_path / "lake"))
    before = lake.read_arrow(DECLARATIONS).slice(3)[::-1]
    lake.write(DECLARATIONS, before)
    found = declarations_of(lake, problem_of(ORDERS, tmp_path))
    assert found.slice(0, before.num_rows).equals(before)
    assert found.num_rows == before.num_rows + 3, "those that are missing are decided again"


def test_that_no_automatic_feature_was_found_is_said(orders: Built, payments: Built, tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(orders.lake.root, tmp_path / "lake"))
    problem = problem_of(ORDERS, tmp_path)
    assert automatic_warnings(lake, problem) == []
    lake.write(DECLARATIONS, lake.read_arrow(DECLARATIONS).slice(0, 0))
    (warning,) = automatic_warnings(lake, problem)
    assert warning.startswith("features.automatic found no feature")
    assert automatic_warnings(payments.lake, payments.problem) == [], "none was asked for"


def test_features_are_decided_before_the_test_window(orders: Built) -> None:
    start = test_start(orders.decisions, orders.problem)
    matured = orders.decisions.filter(orders.decisions.label.notnull())
    times = sorted(matured.as_of.to_pyarrow().to_pylist())
    assert start == times[int(len(times) * 0.75)]


def test_the_last_two_values_are_those_that_had_been_written_by_then(duck: Any, tmp_path: Path) -> None:
    visits = {**ORDERS["tables"]["orders"], "known_at": "written", "columns": {"amount": "number", "written": "time"}}
    declared = {
        "newest": {"last": "order.amount", "by": "customer"},
        "one_before": {"last": "order.amount", "by": "customer", "nth": 2},
    }
    features = {"declared": declared}
    problem = problem_of({**ORDERS, "tables": {"orders": visits}, "features": features}, tmp_path)
    days = [datetime(2024, 1, day) for day in range(1, 5)]
    rows = {
        "customer": [1, 1, 1, 1],
        "ordered": days,
        "written": [days[0], days[3], days[2], days[3]],
        "amount": [10.0, 20.0, 30.0, 40.0],
    }
    spine = ibis.memtable(pa.table({"customer_id": [1, 1], "as_of": [days[2] + timedelta(hours=1), days[3]]}))
    orders = duck.create_table("late_orders", ibis.memtable(pa.table(rows)))
    found = with_features(spine, {"orders": orders}, problem).order_by("as_of").to_pyarrow().to_pylist()
    assert [(row["newest"], row["one_before"]) for row in found] == [(30.0, 10.0), (30.0, 10.0)]


def test_without_an_event_that_has_a_time_nothing_can_be_predicted(payments: Built) -> None:
    nothing: Mapping[str, Any] = {**payments.tables, "payments": payments.tables["payments"].limit(0)}
    with pytest.raises(InputError, match="no payment with a time"):
        clock_of(nothing, payments.problem)
