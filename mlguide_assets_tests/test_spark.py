"""What Spark computes is what DuckDB computes. One file, since starting Spark takes as long as many tests."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mlguide_assets.deploy.batch import PREDICTIONS, Scorer, predictions_of_day
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.compiling import cut_offs_of, decision_features, with_features
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.ingest import QUARANTINED
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.spark.session import open_spark
from mlguide_assets.train.candidate import Candidate
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.prepare.features import naive, random_problems
from mlguide_assets_tests.prepare.features.by_definition import (
    asked_rows,
    assert_same,
    by_definition,
    ordered,
    spine_of,
)
from mlguide_assets_tests.prepare.features.random_problems import (
    LABEL,
    START,
    Drawn,
    as_rows,
    declared_tables,
    problems,
)
from mlguide_assets_tests.prepare.shops import BUILT, FIRST, Shop, build, shop_problem
from mlguide_assets_tests.samples import Tables
from mlguide_assets_tests.spark import small_spark
from mlguide_assets_tests.train.sends import PROBLEM

SCHEMAS = int(os.environ.get("MLGUIDE_TEST_SPARK_SCHEMAS", "1"))
"""How many problems are drawn besides the one that has every operator; more in a run by hand."""
DRAWN = settings(
    max_examples=SCHEMAS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DAY, AS_OF = date(2024, 4, 20), datetime(2024, 4, 20)
Register = Callable[[pa.Table], ibis.Table]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Spark as Ibis sees it."""
    with small_spark(tmp_path_factory.mktemp("spark")) as session:
        from mlguide_assets.prepare.spark.backend import backend_of

        yield backend_of(session)


@pytest.fixture(scope="module")
def register(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Register:
    folder = tmp_path_factory.mktemp("tables")

    def registered(table: pa.Table) -> ibis.Table:
        path = folder / f"{len(list(folder.iterdir()))}.parquet"
        pq.write_table(table, path)
        return spark.read_files(path)  # type: ignore[no-any-return]

    return registered


def every_operator() -> Drawn:
    """A problem with every operator, people with a history, and visits that are written later than they happen."""
    events = {
        "of_person": {"count": "visit", "by": "person"},
        "big": {"share": "visit", "by": "person", "where": {"amount": {"at_least": 1}, "kind": {"not": "b"}}},
        "amount_sum": {"sum": "visit.amount", "by": "shop", "within": "2d"},
        "amount_mean": {"mean": "visit.amount", "by": "person", "as_of": "day"},
        "least": {"min": "click.weight", "by": "person", "within": "5d"},
        "most": {"max": "visit.items", "by": "till"},
        "kinds": {"distinct": "visit.kind", "by": "shop"},
        "weights": {"distinct": "click.weight", "by": "person", "within": "2d"},
        "kind_before": {"last": "visit.kind", "by": "person", "nth": 2},
        "weight_before": {"last": "click.weight", "by": "person", "within": "5d"},
        "since": {"since_last": "visit", "by": "person"},
        "good_rate": {"rate": "label", "by": "person", "within": "5d"},
        "known_good": {"count": "visit", "by": "shop", "labelled": "positive"},
        "style_*": {"count": "visit", "by": "person", "split": "shop.style", "values": ["old"]},
        "age_of_shop": {"age": "shop"},
        **{part: {"calendar": part} for part in ("hour", "day_of_week", "day_of_month", "month", "day_of_year")},
    }
    document = {
        "tables": declared_tables(history=True, lateness={"known_at": "written"}, parent_time=False),
        "predict": {"each": "visit", "known": ["amount", "kind"], "label": LABEL},
        "features": {"declared": events},
        "ids": "int",
    }
    return Drawn(document)


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
        found = with_features(spine, given_tables, problem, cut_offs=cut_offs_of(timedelta(days=1), START))
    else:
        found = decision_features(given_tables, problem)
    assert_same(ordered(found.to_pyarrow().to_pylist(), problem), expected, names)


@pytest.mark.spark
def test_tables_of_the_lake_are_those_that_duckdb_makes(spark: Any, tmp_path: Path) -> None:
    shop = Shop.opened(seed=0, days=4)
    problem = shop_problem(tmp_path / "shop")
    lakes = [Lake(tmp_path / engine, engine=engine) for engine in ("duckdb", "spark")]  # type: ignore[arg-type]
    # A send to nobody, which is set aside, and then one more day.
    shop.send(FIRST + timedelta(days=1), user=99, email=1)
    for _ in range(2):
        shop.write(tmp_path / "shop")
        own, other = [build(lake, problem) for lake in lakes]
        assert own == other
        for table in BUILT:
            assert_equal(*(lake.read(table).to_pyarrow() for lake in lakes), table)
        shop.day(sends=3)
    assert lakes[1].read(QUARANTINED).count().to_pyarrow().as_py() > 0


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_stores_and_batch_scores_are_those_that_duckdb_makes(
    tables: Tables, sends: pa.Table, trained: Candidate, tmp_path: Path
) -> None:
    own, other = (Lake(tmp_path / "lake", engine=engine) for engine in ("duckdb", "spark"))  # type: ignore[arg-type]
    for name, rows in {**tables, PROBLEM.features_table: sends}.items():
        own.write(name, rows)
    store, key = PROBLEM.decision.store_tables["user"], DAY.isoformat()
    found: dict[str, list[pa.Table]] = {store: [], PREDICTIONS: []}
    scorer = Scorer(saved(trained, tmp_path / "candidates"), 0.09, "7")
    for lake in (own, other):
        state = entity_state({name: lake.open(name) for name in PROBLEM.tables}, PROBLEM, "user", AS_OF)
        lake.write_partition(store, key, state)
        lake.write_partition(PREDICTIONS, key, predictions_of_day(lake, scorer, PROBLEM, day=DAY, run_id="run 1"))
        for table, rows in found.items():
            rows.append(lake.read(table).to_pyarrow())
    for table, (one, two) in found.items():
        assert one.num_rows > 0
        assert_equal(one, two, table)


def assert_equal(one: pa.Table, other: pa.Table, name: str) -> None:
    """The same columns and rows in the same order, floats to nine digits."""
    assert one.schema.remove_metadata() == other.schema.remove_metadata(), name
    for column in one.column_names:
        rows = zip(one[column].to_pylist(), other[column].to_pylist(), strict=True)
        differing = [(place, *pair) for place, pair in enumerate(rows) if not _same(*pair)]
        assert not differing, (name, column, differing[:3])


def _same(one: Any, other: Any) -> bool:
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
