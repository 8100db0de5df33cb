"""What Spark computes is what DuckDB computes. One file, since starting Spark takes as long as many tests."""

import math
import os
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mlguide_assets.define.contracts import Unique
from mlguide_assets.define.policies import Exploration
from mlguide_assets.define.training import Training
from mlguide_assets.deploy.batch import best_choices, predictions_of_day
from mlguide_assets.deploy.bundle import Bundle, export_bundle, load_bundle
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.deploy.online_store.publishing import last_decisions, publishable
from mlguide_assets.deploy.plan.action_plan import plan_actions
from mlguide_assets.deploy.plan.figures import plan_figures
from mlguide_assets.deploy.plan.planning import plan_day
from mlguide_assets.deploy.plan.policies import ASSIGNMENTS
from mlguide_assets.deploy.predictions_table import PREDICTIONS
from mlguide_assets.errors import InputError
from mlguide_assets.observe.drift.data_drift import check_days
from mlguide_assets.observe.rows import landed_days, rows_of_some_units
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.features.building import declarations_of, tables_of
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.compiling import cut_offs_of, decision_features, with_features
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.lake.data_files import TableLike
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.spark import shared_parts
from mlguide_assets.prepare.spark.session import open_spark
from mlguide_assets.settings import LakePlace
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.leakage.record import look_for_leaks
from mlguide_assets.train.leakage.suite import leakage_alarms
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.plans import EVERYTHING, arms
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.other_tables import ORDERS, problem_of, write_orders
from mlguide_assets_tests.prepare.features import naive, random_problems
from mlguide_assets_tests.prepare.features.by_definition import (
    asked_rows,
    assert_same,
    by_definition,
    ordered,
    spine_of,
)
from mlguide_assets_tests.prepare.features.random_problems import (
    START,
    Drawn,
    as_rows,
    every_operator,
    problems,
)
from mlguide_assets_tests.prepare.shops import BUILT, FIRST, Shop, build, shop_problem
from mlguide_assets_tests.train.sends import PROBLEM

SCHEMAS = int(os.environ.get("MLGUIDE_TEST_SPARK_SCHEMAS", "1"))
"""How many problems are drawn besides the one that has every operator; more in a run by hand."""
DRAWN = settings(
    max_examples=SCHEMAS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DAY, AS_OF, HOUR = date(2024, 4, 20), datetime(2024, 4, 20), timedelta(hours=1)
Register = Callable[[pa.Table], ibis.Table]


@pytest.fixture(scope="module")
def register(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Register:
    folder = tmp_path_factory.mktemp("tables")

    def registered(table: pa.Table) -> ibis.Table:
        path = folder / f"{len(list(folder.iterdir()))}.parquet"
        pq.write_table(table, path)
        return spark.read_files(path)  # type: ignore[no-any-return]

    return registered


@pytest.mark.spark
@DRAWN
@example(problem=every_operator(), seed=0)
@given(problem=problems(features=10), seed=st.integers(0, 2**32))
def test_features_are_what_their_definitions_say(register: Register, problem: Drawn, seed: int) -> None:
    drawn = random_problems.tables(problem, seed)
    rows = naive.prepared(problem.document, as_rows(drawn))
    given_tables = {name: register(table) for name, table in drawn.items()}
    decisions = ordered(asked_rows(problem, rows), problem)
    expected = [by_definition(problem, rows, decision) for decision in decisions]
    names = [feature.name for feature in features_of(problem)]
    if "every" in problem.document["predict"]:
        spine = register(spine_of(problem, decisions))
        found = with_features(spine, given_tables, problem, instants=cut_offs_of(timedelta(days=1), START))
    else:
        found = decision_features(given_tables, problem)
    assert_same(ordered(found.to_pyarrow().to_pylist(), problem), expected, names)


@pytest.mark.spark
def test_sums_of_small_amounts_after_large_ones_keep_their_digits(register: Register) -> None:
    """They are differences of all that came before, which is a million times as much, and none of one frame's."""
    amounts = [-2.5e9, *[9e9 / 7] * 20, 0.1, None, 1e-7, 3e-7]
    visits = pa.table({"shop": [1] * len(amounts), "at": range(len(amounts)), "amount": amounts})

    def sums(rows: ibis.Table) -> list[dict[str, Any]]:
        frame = ibis.range_window(preceding=(2, 1), group_by="shop", order_by="at")
        found = rows.mutate(sum=rows.amount.sum().over(frame), count=rows.amount.count().over(frame))
        return found.order_by("at").to_pyarrow().to_pylist()  # type: ignore[no-any-return]

    for one, other in zip(sums(ibis.memtable(visits)), sums(register(visits)), strict=True):
        assert _same(one, other), (one, other)


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_tables_of_the_lake_are_those_that_duckdb_makes(objects: ObjectServer, tmp_path: Path) -> None:
    """Also where Spark's lake is on object storage: another host reads there what Spark has written."""
    shop = Shop.opened(seed=0, days=4)
    once = Unique(rule="unique", table="user_emails", columns=("user_id", "email_id"), action="quarantine")
    problem, address = shop_problem(tmp_path / "shop"), objects.address()
    problem = problem.model_copy(update={"contracts": (*problem.contracts, once)})
    lakes = [Lake(tmp_path / "duckdb"), Lake(LakePlace(tmp_path / "spark", address), engine="spark")]
    read = [lakes[0], Lake(LakePlace(tmp_path / "elsewhere", address))]
    # A send to nobody and one of another day again, which are set aside, and then one more day.
    shop.send(FIRST + timedelta(days=1), user=99, email=1)
    shop.sends.append({**shop.sends[0], "delivered_at": FIRST + timedelta(days=3)})
    for _ in range(2):
        shop.write(tmp_path / "shop")
        own, other = [build(lake, problem) for lake in lakes]
        assert own == other
        for table in BUILT:
            assert_equal(*(lake.read(table).to_pyarrow() for lake in read), table)
        shop.day(sends=3)
    reasons = read[1].read_arrow(QUARANTINED)["reasons"].to_pylist()
    assert any("user_id_email_id_is_unique" in each for each in reasons), reasons
    assert any("exists_in" in each for each in reasons)


@pytest.fixture(scope="module")
def bundle(trained: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles")
    candidate = saved(trained, folder / "candidates")
    export_bundle(candidate, folder, "7", {"trained_at": "", "threshold": 0.09, **load_facts(candidate)})
    return load_bundle(folder, "7")


def same_of(spark_lakes: list[Lake], made: Callable[[Lake], pa.Table], name: str) -> pa.Table:
    """What both engines make, which is the same."""
    own, other = map(made, spark_lakes)
    assert own.num_rows > 0
    assert_equal(own, other, name)
    return own


@pytest.mark.spark
def test_stores_scores_and_plan_are_those_that_duckdb_makes(spark_lakes: list[Lake], bundle: Bundle) -> None:
    """Policies of every kind, an experiment, and a challenger, which is the champion upside down."""
    store, key, run = PROBLEM.decision.store_tables["user"], DAY.isoformat(), {"day": DAY, "run_id": "run 1"}
    problem = PROBLEM.model_copy(update={"exploration": Exploration(share=0.25), "policies": EVERYTHING})
    spark_lakes[0].write_partition(ASSIGNMENTS, key, arms(30, {"challenger": 0.5, "generic": 0.5}))

    def written(lake: Lake, table: str, rows: TableLike) -> pa.Table:
        lake.write_partition(table, key, rows)
        return lake.read(table, partitions=[key]).to_pyarrow()

    def challenger(lake: Lake) -> TableLike:
        said = lake.open(PREDICTIONS, partitions=[key])
        risky = said.mutate(probability=1 - said.probability, model_version=ibis.literal("8"))
        return risky.mutate(decision=ibis.ifelse(risky.probability > 0.9, "send", "withhold"))

    def planned(lake: Lake, other: Callable[[Lake], Any] = challenger) -> pa.Table:
        predictions = lake.open(PREDICTIONS, partitions=[key])
        plan_day(lake, predictions, problem, **run, now=AS_OF - HOUR, challenger=lambda: other(lake))
        return lake.read(problem.decision.plan_table, partitions=[key]).to_pyarrow()

    def stored(lake: Lake) -> pa.Table:
        return written(lake, store, entity_state(tables_of(lake, PROBLEM), PROBLEM, "user", AS_OF))

    def scored(lake: Lake) -> pa.Table:
        return written(lake, PREDICTIONS, predictions_of_day(lake, bundle, PROBLEM, **run))

    same_of(spark_lakes, stored, store)
    same_of(spark_lakes, scored, PREDICTIONS)
    opened = [lake.open(PREDICTIONS, partitions=[key]) for lake in spark_lakes]
    assert_equal(*(best_choices(rows, PROBLEM).to_pyarrow() for rows in opened), "best choices")
    same_of(spark_lakes, lambda lake: planned(lake, lambda _: None), "plan without a challenger")
    plan = same_of(spark_lakes, planned, "plan")
    assert {*plan["policy"].to_pylist()} == {"generic", "champion", "challenger", "random"}
    assert {"explore", "best"} < {*plan["choice"].to_pylist()}
    figures = [plan_figures(lake.open("send_plan", partitions=[key]), problem) for lake in spark_lakes]
    assert figures[0].inexact == 0
    assert figures[0].followers == figures[1].followers
    assert figures[0].as_metadata() == pytest.approx(figures[1].as_metadata(), rel=1e-9)
    assert_equal(*(plan_actions(rows, planned_at=AS_OF, run_id="run").to_pyarrow() for rows in opened), "actions")
    for lake, rows in zip(spark_lakes, opened, strict=True):
        lake.write("actions", plan_actions(rows, planned_at=AS_OF, run_id="run"))
    # As the files have them: what Ibis reads of a query has the types that Ibis expects.
    assert [lake.read_arrow("actions").schema.field("rank").type for lake in spark_lakes] == [pa.int64()] * 2
    with publishable(spark_lakes[1], PROBLEM, AS_OF) as decided:
        newest = last_decisions(decided, PROBLEM, AS_OF).to_pyarrow()
    assert_equal(
        last_decisions(spark_lakes[0].open("send_features"), PROBLEM, AS_OF).to_pyarrow(), newest, "last decisions"
    )


@pytest.mark.spark
def test_alarms_and_candidate_are_those_that_duckdb_has(
    spark_lakes: list[Lake], trained: Candidate, tmp_path: Path
) -> None:
    """Of more rows than may be in memory those of drawn units are fetched from Spark, and the alarms say so.

    `benchmarks --only engines` follows whole problems to their verdicts.
    """
    few = Training().model_copy(update={"rows_in_memory": 1000})
    problem = PROBLEM.model_copy(update={"training": few})
    own, other = (tables_of(lake, problem) for lake in spark_lakes)
    expected = leakage_alarms(own, spark_lakes[0].open("send_features"), problem, sampled=True)
    features = spark_lakes[1].open("send_features")
    found = look_for_leaks(tmp_path / "leaks.json", spark_lakes[1], problem, other, features, known_only=False)
    assert len(found) == 4
    for one, another in zip(expected, found, strict=True):
        assert (one.check, one.passed, one.feature) == (another.check, another.passed, another.feature)
        assert one.message == another.message
        assert one.value == pytest.approx(another.value, rel=1e-9)
    assert ["Looked at: " in each.message for each in found] == [True, True, False, False]
    candidate = train_candidate(features, PROBLEM, contenders=(XGBOOST,))
    assert_equal(candidate.scores, trained.scores, "scores of the test window")


@pytest.mark.spark
def test_days_and_their_drift_are_those_that_duckdb_finds(
    spark_lakes: list[Lake], bundle: Bundle, tmp_path: Path
) -> None:
    problem = PROBLEM.model_copy(update={"watching": PROBLEM.watching.model_copy(update={"min_rows": 20})})
    days = [landed_days({"user_emails": lake.open("user_emails")}, problem).to_pyarrow() for lake in spark_lakes]
    for digest in ("digest", "outcomes"):
        # Every engine has a hash of its own; where it has none is the same.
        assert days[0][digest].is_null().equals(days[1][digest].is_null())
    assert_equal(*(each.drop_columns(["digest", "outcomes"]) for each in days), "landed days")
    known = {row["day"]: row for row in days[0].to_pylist() if row["decisions"] >= 20}
    asked, landed = [min(known), max(known)], ibis.memtable(days[0])
    traffic = ibis.memtable(log_schema(problem.decision).empty_table())

    def drift(lake: Lake) -> pa.Table:
        scratch = tmp_path / lake.engine.name
        scratch.mkdir()
        found = check_days(
            asked, lake.engine, features=lake.open("send_features"), prediction_log=traffic, landed=landed,
            champion=bundle, problem=problem, scratch=scratch, reports=tmp_path / "reports",
        )  # fmt: skip
        return pa.concat_tables(found[day].table for day in asked)

    found = same_of(spark_lakes, drift, "drift").to_pylist()
    assert {row["day"] for row in found if row["psi"] is not None} == {day.isoformat() for day in asked}
    assert "act" in {row["level"] for row in found}

    def drawn(lake: Lake) -> pa.Table:
        rows = lake.open("send_features").mutate(month=lambda rows: rows.delivered_at.month())
        some = [rows_of_some_units(rows, "user_id", most=300, seed=3, per=per) for per in (None, "month")]
        return some[0].union(some[1]).order_by(*rows.columns).to_pyarrow()

    same_of(spark_lakes, drawn, "some units")


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_features_that_the_data_decide_are_those_that_duckdb_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark keeps some of what is read twice here, as it does where a query would grow otherwise."""
    monkeypatch.setattr(shared_parts, "MOST_COPIED", 1_000)
    write_orders(tmp_path / "orders", customers=40)
    problem = problem_of({**ORDERS, "features": {"automatic": {"windows": ["14d"], "max": 9}}}, tmp_path)
    both = [Lake(tmp_path / "lake", engine=engine) for engine in ("duckdb", "spark")]  # type: ignore[arg-type]
    orders = pyarrow.csv.read_csv(tmp_path / "orders" / "orders.csv")
    both[0].write("orders", orders.set_column(1, "ordered", orders["ordered"].cast(pa.timestamp("us"))))
    same_of(both, lambda lake: declarations_of(lake, problem), "declarations")
    landed = [landed_days(tables_of(lake, problem), problem).to_pyarrow() for lake in both]
    assert_equal(*(days.select(["day", "rows", "decisions", "matured", "known"]) for days in landed), "landed days")


def assert_equal(one: pa.Table, other: pa.Table, name: str) -> None:
    """The same columns and rows in the same order, floats to nine digits."""
    assert one.schema.remove_metadata() == other.schema.remove_metadata(), name
    for column in one.column_names:
        rows = zip(one[column].to_pylist(), other[column].to_pylist(), strict=True)
        differing = [(place, *pair) for place, pair in enumerate(rows) if not _same(*pair)]
        assert not differing, (name, column, differing[:3])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return math.isclose(one, other, rel_tol=1e-9) if isinstance(one, float) and other is not None else one == other


def test_where_java_is_missing_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed: it is in the extra spark")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match=r"needs Java 17.*apt-get install openjdk-17-jre-headless"):
        open_spark("local[2]")


def test_where_pyspark_is_missing_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(InputError, match=r'pyspark, which is not installed: run .*\[spark\]"'):
        open_spark("local[2]")
