"""The features of a request equal those of training, for problems that hypothesis draws; and each has its words."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mlguide_assets.define.decision import decision_of, id_column
from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.rows import plain_rows
from mlguide_assets.deploy.serving.features import FeaturePlan, microseconds
from mlguide_assets.deploy.serving.phrases import phrase_of
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets_tests.other_tables import PAYMENTS
from mlguide_assets_tests.prepare.features.random_problems import DAYS, START, Drawn, every_operator, problems, tables

DRAWN = settings(
    max_examples=1,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
AS_OF = START + timedelta(days=DAYS)
LATER = AS_OF + timedelta(days=3, hours=7, microseconds=1)


@pytest.fixture(scope="module")
def engine() -> Any:
    connection = connect()
    connection.raw_sql("SET threads = 1")
    return connection


def register(engine: Any, name: str, table: pa.Table) -> ibis.Table:
    engine.con.register(name, table)
    return engine.table(name)


def stored(problem: Drawn, asked_of: dict[str, ibis.Table], noun: str) -> dict[Any, dict[str, Any]]:
    """The state of an entity as a store gives it back: id → row."""
    rows = entity_state(asked_of, problem, noun, AS_OF).drop("as_of").to_pyarrow().combine_chunks()
    (batch,) = rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]
    key = id_column(noun)
    found = [dict(zip(rows.column_names, values, strict=True)) for values in plain_rows(batch, noun, key)]
    return {row[key]: row for row in found}


@DRAWN
@example(problem=every_operator(), seed=0)
@given(problem=problems(features=12), seed=st.integers(0, 10**6))
def test_the_features_of_a_request_are_those_of_training(engine: Any, problem: Drawn, seed: int) -> None:
    asked_of = {name: register(engine, name, rows) for name, rows in tables(problem, seed).items()}
    decision, plan = decision_of(problem.schema, problem.predict), FeaturePlan(problem)
    states = {noun: stored(problem, asked_of, noun) for noun in decision.nouns}
    unknown: Any = "nobody" if problem.document["ids"] == "text" else 999
    known = {"amount": 0.5, "kind": "a"} if decision.is_event else {}
    text = problem.document["ids"] == "text"
    # Of an entity that no table declares, one that nobody has seen is answered, too.
    ids = {
        noun: [*list(rows)[:3], *([] if problem.schema.entity(noun) else [unknown])] for noun, rows in states.items()
    }
    cases = [dict(zip(decision.ids, each, strict=True)) for each in itertools.product(*ids.values())][:40]
    types = [(name, pa.string() if text else pa.int64()) for name in decision.ids]
    times = {decision.time: LATER, "_until": AS_OF}
    schema = [*types, *((name, pa.timestamp("us")) for name in times), ("_place", pa.int64())]
    columns = [("amount", pa.float64()), ("kind", pa.string())] if known else []
    spine = [{**case, **times, **known, "_place": place} for place, case in enumerate(cases)]
    asked = register(engine, "spine", pa.Table.from_pylist(spine, pa.schema([*schema, *columns])))
    offline = with_features(asked, asked_of, problem, known_until="_until").order_by("_place").to_pyarrow().to_pylist()
    at = microseconds(LATER)
    for case, expected in zip(cases, offline, strict=True):
        parts = [plan.of_entity(noun, states[noun].get(case[id_column(noun)]), at) for noun in decision.nouns]
        values = plan.values(*parts, plan.of_event(known), plan.of_instant(at))
        for name, entry in zip(plan.names, values, strict=True):
            wanted = expected[name]
            assert entry == (pytest.approx(wanted, rel=1e-9) if isinstance(wanted, float) else wanted), (name, case)


@DRAWN
@given(problem=problems())
def test_every_feature_has_words(problem: Drawn) -> None:
    for feature in features_of(problem):
        say = phrase_of(feature, problem)
        values: list[Any] = ["a"] if feature.kind != "number" else [0, 1, 2.5, 1234.0]
        operator = feature.declaration.operator if feature.declaration else None
        # These have a value always.
        always = operator in ("calendar", "count", "distinct", "sum")
        for value in [1] if operator == "calendar" else values if always else [None, *values]:
            assert "None" not in say(value), (feature, value)
            assert say(value) == " ".join(say(value).split())


def phrases(problem: Problem) -> dict[str, Any]:
    return {feature.name: phrase_of(feature, problem) for feature in features_of(problem)}


@pytest.mark.parametrize(
    ("feature", "value", "said"),
    [
        ("theme", "food", "theme food"),
        ("number_of_buttons", 1, "1 button"),
        ("purchases", None, "purchases unknown"),
        ("emails_last_7_days", 3, "3 sends of the user in the 7 days before"),
        ("number_of_emails", 1, "1 earlier send of the user"),
        ("number_of_unsubscribes", 0, "0 earlier sends of the user with unsubscribed yes"),
        ("number_of_email_theme_food", 2, "2 earlier sends of the user with theme food"),
        ("email_unsubscribe_rate", 0.0321, "3.2% of earlier sends of the email had unsubscribed yes, as known at the "
         "start of the day"),
        ("email_unsubscribe_rate", None, "no earlier send of the email with a known outcome, as known at the start of "
         "the day"),
        ("tenure_days", 1.0, "the user has existed for 1 day"),
        ("days_since_last_email", 400.2, "last send of the user 400 days ago"),
        ("days_since_last_email", None, "no earlier send of the user"),
        ("day_of_week", 0, "a Monday"),
        ("hour_of_day", 14, "hour 14 UTC"),
    ],
)  # fmt: skip
def test_what_a_feature_of_the_email_case_says(feature: str, value: Any, said: str) -> None:
    assert phrases(load_problem("planeswalker"))[feature](value) == said


@pytest.mark.parametrize(
    ("declaration", "value", "said"),
    [
        ({"count": "payment", "by": "card", "where": {"amount": {"at_least": 10}}, "within": "1d"}, 1,
         "1 payment of the card with amount ≥ 10 in the 24 hours before"),
        ({"mean": "payment.amount", "by": "shop", "within": "30d"}, 25.11,
         "mean amount 25.1 in payments of the shop in the 30 days before"),
        ({"max": "payment.amount", "by": "card"}, None, "no earlier payment of the card"),
        ({"last": "payment.amount", "by": "card", "nth": 2}, 7.0,
         "amount 7 in the second newest payment of the card"),
        ({"distinct": "payment.shop", "by": "card", "within": "7d"}, 3,
         "3 different shops in payments of the card in the 7 days before"),
        ({"distinct": "payment.amount", "by": "card"}, 3,
         "3 different values of amount in earlier payments of the card"),
        ({"rate": "label", "by": "shop", "within": "14d"}, 0.25,
         "25.0% of payments of the shop in the 14 days before had fraud yes"),
        ({"share": "payment", "by": "card", "where": {"shop": {"not": ["3", "7"]}}}, 0.5,
         "50.0% of earlier payments of the card had shop other than 3 or 7"),
        ({"share": "payment", "by": "card", "where": {"amount": {"at_most": 5}}}, None,
         "no earlier payment of the card"),
        ({"age": "card.issued"}, 12.4, "12 days since issued of the card"),
        ({"calendar": "month"}, 3, "in March"),
    ],
)  # fmt: skip
def test_what_any_declaration_says(declaration: dict[str, Any], value: Any, said: str) -> None:
    features = {"declared": {"asked": declaration}}
    source = {"source": {"kind": "files", "uri": "nowhere"}}
    assert phrases(Problem.model_validate({**PAYMENTS, "features": features, **source}))["asked"](value) == said


@pytest.mark.parametrize(("positive", "negative"), [("true", "false"), ("T", "F"), ("1.0", "0.0"), ("Yes", "no")])
def test_an_outcome_that_is_a_flag_is_yes_however_the_source_writes_it(positive: str, negative: str) -> None:
    label = {**PAYMENTS["predict"]["label"], "positive": positive, "negative": negative}
    more = {"predict": {**PAYMENTS["predict"], "label": label}, "source": {"kind": "files", "uri": "nowhere"}}
    said = phrases(Problem.model_validate({**PAYMENTS, **more}))["shop_frauds_14d"](0.5)
    assert said == "50.0% of payments of the shop in the 14 days before had fraud yes"


def test_microseconds_count_from_1970() -> None:
    assert microseconds(datetime(1970, 1, 2)) == 86_400_000_000
