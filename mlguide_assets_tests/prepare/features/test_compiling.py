"""What the compiler makes of any problem, against the definitions; all of its ways give the same."""

import os
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mlguide_assets.define.decision import id_column
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.features.catalogue import features_of, nouns_of, time_column
from mlguide_assets.prepare.features.compiling import cut_offs_of, decision_features, with_features
from mlguide_assets.prepare.features.instants import ANY, FEW
from mlguide_assets.prepare.features.state import entity_state, from_states
from mlguide_assets_tests.prepare.features import naive
from mlguide_assets_tests.prepare.features.by_definition import (
    asked_rows,
    assert_same,
    by_definition,
    ordered,
    spine_of,
)
from mlguide_assets_tests.prepare.features.random_problems import (
    DAYS,
    START,
    Drawn,
    as_rows,
    every_operator,
    problems,
    tables,
)

SCHEMAS = int(os.environ.get("MLGUIDE_TEST_SCHEMAS", "1"))
"""How many problems are drawn besides the one that has every operator; more in a run by hand."""
# A smaller example is not worth the minutes that looking for it takes: each has to be compiled.
DRAWN = settings(
    max_examples=SCHEMAS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def engine() -> Any:
    connection = connect()
    # Handing sixty rows to a second thread takes longer than all the rest.
    connection.raw_sql("SET threads = 1")
    return connection


def registered(engine: Any, given_tables: dict[str, pa.Table]) -> dict[str, ibis.Table]:
    return {name: register(engine, name, table) for name, table in given_tables.items()}


def register(engine: Any, name: str, table: pa.Table) -> ibis.Table:
    engine.con.register(name, table)
    return engine.table(name)


@DRAWN
@example(problem=every_operator(), seed=0)
@given(problem=problems(), seed=st.integers(0, 2**32))
def test_all_ways_give_what_the_definitions_say(engine: Any, problem: Drawn, seed: int) -> None:
    drawn = tables(problem, seed)
    rows, asked_of = naive.prepared(problem.document, as_rows(drawn)), registered(engine, drawn)
    decisions = ordered(asked_rows(problem, rows), problem)
    names = [feature.name for feature in features_of(problem)]
    spine = register(engine, "spine", spine_of(problem, decisions))
    expected = [by_definition(problem, rows, decision) for decision in decisions]
    assert list(expected[0]) == names or set(expected[0]) == set(names)
    found = with_features(spine, asked_of, problem)
    whole = ordered(found.to_pyarrow().to_pylist(), problem)
    assert_same(whole, expected, names)

    cut = START + timedelta(days=DAYS * 3 // 4)
    time = time_column(problem)
    asked = spine.filter(spine[time] >= ibis.timestamp(cut))
    later = with_features(asked, asked_of, problem, instants=FEW if seed % 2 else ANY)
    recent = [row for row, decision in zip(whole, decisions, strict=True) if decision["_at"] >= cut]
    assert_same(ordered(later.to_pyarrow().to_pylist(), problem), recent, names)

    if "every" in problem.document["predict"]:
        regular = with_features(spine, asked_of, problem, instants=cut_offs_of(timedelta(days=1), START))
    else:
        regular = decision_features(asked_of, problem)
    assert regular.schema().items() >= {(name, found.schema()[name]) for name in names}
    assert_same(ordered(regular.to_pyarrow().to_pylist(), problem), whole, names)


@DRAWN
@example(problem=every_operator(), seed=0)
@given(problem=problems(features=12), seed=st.integers(0, 2**32))
def test_states_at_an_instant_give_what_a_decision_at_it_has(engine: Any, problem: Drawn, seed: int) -> None:
    drawn = tables(problem, seed)
    asked_of = registered(engine, drawn)
    # All entities exist by then, so that there are pairs to ask about.
    instant, time = START + timedelta(days=DAYS), time_column(problem)
    states = [entity_state(asked_of, problem, noun, instant) for noun in nouns_of(problem)]
    rows = states[0]
    for each in states[1:]:
        rows = rows.cross_join(each.drop("as_of"))
    known = {"amount": 0.5, "kind": "a"} if "every" not in problem.document["predict"] else {}
    rows = rows.mutate(**{time: rows.as_of}, **{name: ibis.literal(value) for name, value in known.items()})
    keys = [id_column(noun) for noun in nouns_of(problem)]
    at_once = from_states(rows, problem).order_by(keys)
    asked = rows.select(*keys, time, *known)
    whole = with_features(asked, asked_of, problem).order_by(keys)
    names = [feature.name for feature in features_of(problem)]
    assert {name: at_once.schema()[name] for name in names} == {name: whole.schema()[name] for name in names}
    assert_same(at_once.to_pyarrow().to_pylist(), whole.to_pyarrow().to_pylist(), names)
    assert at_once.count().to_pyarrow().as_py() > 0


def test_a_time_before_1970_has_its_day() -> None:
    assert naive.feature({"predict": {}}, {}, {"calendar": "hour"}, {}, datetime(1969, 12, 31, 23)) == 23
