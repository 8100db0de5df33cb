"""On tables that are nobody's emails: what is done to the source raises the feature that is meant, for every row."""

import random
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.features import Features
from mlguide_assets.define.prediction import PredictEntity
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import clock_of, features_from
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.train.behaviour.interventions import feature_called, noun_of, raised
from mlguide_assets.train.behaviour.invariance import ids_do_not_matter
from mlguide_assets.train.behaviour.samples import one_per, rows_of
from mlguide_assets.train.behaviour.suite import behaviour_tests
from mlguide_assets.train.checks import behaviours
from mlguide_assets.train.models.encoding import EncodedFeature, Encoding
from mlguide_assets.train.models.models import refit_xgboost
from mlguide_assets.train.rows import matured_rows
from mlguide_assets.train.some_units import as_tables, history_of
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, START, problem_of

DAY = timedelta(days=1)
_CARD, _PAYMENT = PAYMENTS["tables"]["cards"], PAYMENTS["tables"]["payments"]
CARDS = problem_of(
    {
        **PAYMENTS,
        "tables": {
            "cards": {**_CARD, "columns": {**_CARD["columns"], "limit": "integer"}},
            "payments": _PAYMENT,
        },
        "features": {
            "declared": {
                "payments_7d": {"count": "payment", "by": "card", "within": "7d"},
                "large_debits": {
                    "count": "payment",
                    "by": "card",
                    "where": {"card.kind": "debit", "amount": {"at_least": 0.5}},
                },
                "frauds": {"count": "payment", "by": "card", "labelled": "positive"},
                "mean_amount": {"mean": "payment.amount", "by": "card", "within": "20d"},
                "last_amount": {"last": "payment.amount", "by": "shop"},
                "shop_frauds_14d": {"rate": "label", "by": "shop", "within": "14d", "as_of": "day"},
                "hour": {"calendar": "hour"},
            }
        },
        "behaviour": {
            "directions": [{"feature": name, "effect": "never_lowers"} for name in ("shop_frauds_14d", "mean_amount")]
        },
    },
    Path("nowhere"),
)
MORE = CARDS.model_copy(
    update={
        "features": Features.model_validate(
            {
                "declared": {
                    "sum_amount": {"sum": "payment.amount", "by": "card"},
                    "min_amount": {"min": "payment.amount", "by": "card"},
                    "max_amount_30d": {"max": "payment.amount", "by": "card", "within": "30d"},
                    "shops_5d": {"distinct": "payment.shop", "by": "card", "within": "5d"},
                    "large_share": {"share": "payment", "by": "card", "where": {"amount": {"at_least": 0.5}}},
                    "share_of_*": {
                        "share": "payment",
                        "by": "shop",
                        "split": "card.kind",
                        "values": ["debit", "credit"],
                    },
                    "since_last": {"since_last": "payment", "by": "shop"},
                    "age_days": {"age": "card"},
                }
            }
        )
    }
)
RECENTLY = {"count": "order", "within": "2d", "at_least": 1}
CUSTOMERS = problem_of(
    {
        **ORDERS,
        "features": {
            "declared": {
                "orders_14d": {"count": "order", "by": "customer", "within": "14d"},
                "since_order": {"since_last": "order", "by": "customer"},
            }
        },
        "behaviour": {
            "directions": [
                {"feature": "orders_14d", "effect": "never_raises"},
                {"feature": "since_order", "effect": "never_lowers"},
            ]
        },
    },
    Path("nowhere"),
)


RECENT = CUSTOMERS.model_copy(
    update={
        "predict": CUSTOMERS.predict.model_copy(
            update={"where": PredictEntity.model_validate({**ORDERS["predict"], "where": RECENTLY}).where}
        ),
        "behaviour": CUSTOMERS.behaviour.model_copy(update={"directions": CUSTOMERS.behaviour.directions[1:]}),
    }
)
"""With an order less, many a customer is not asked about any more."""


@lru_cache
def tables_of(name: str) -> dict[str, ibis.Table]:
    """Of the problem of that name."""
    chance, times = random.Random(5), [START + timedelta(seconds=each) for each in range(0, 100 * 86_400, 3_517)]
    if name == CUSTOMERS.name:
        rows = [
            {"customer": chance.randrange(60), "ordered": at, "amount": chance.random(), "channel": "web"}
            for at in times
            if at < START + 80 * DAY or chance.random() < 0.2
        ]
        return {"orders": ibis.memtable(pa.Table.from_pylist(rows))}
    kinds = [
        {"card": f"c{card:02}", "issued": START - DAY, "kind": chance.choice(("debit", "credit")), "limit": card}
        for card in range(40)
    ]
    paid = [
        {
            "payment": number,
            "card": f"c{chance.randrange(40):02}",
            "shop": chance.randrange(30),
            "paid": at,
            "amount": chance.random(),
            "fraud": "true" if chance.random() < 0.1 else "false",
        }
        for number, at in enumerate(times)
    ]
    return {"cards": ibis.memtable(pa.Table.from_pylist(kinds)), "payments": ibis.memtable(pa.Table.from_pylist(paid))}


RAISED = [
    *((CARDS, name) for name in ("payments_7d", "large_debits", "frauds", "mean_amount", "last_amount")),
    *((CARDS, name) for name in ("shop_frauds_14d", "amount", "limit")),
    *(
        (MORE, name)
        for name in (
            "sum_amount",
            "min_amount",
            "max_amount_30d",
            "shops_5d",
            "large_share",
            "share_of_debit",
            "since_last",
            "age_days",
        )
    ),
    *((CUSTOMERS, name) for name in ("orders_14d", "since_order")),
]


@pytest.mark.parametrize(("problem", "name"), RAISED, ids=[name for _, name in RAISED])
def test_a_feature_is_larger_for_rows_that_are_reached_and_smaller_for_none(problem: Problem, name: str) -> None:
    feature = feature_called(name, problem)
    tables, problem = tables_of(problem.name), _with_only(feature, problem)
    noun, clock = noun_of(feature, problem), clock_of(tables, problem)
    rows = matured_rows(features_from(tables, problem, clock=clock), problem)
    chance = np.random.default_rng(0)
    # Of late rows, before which something happened.
    asked = one_per(id_column(noun), rows.slice(rows.num_rows // 2), chance)
    history = history_of(tables, problem, asked[id_column(noun)].combine_chunks(), noun)
    change = raised(feature, history, asked, problem, chance)
    asked = asked.filter(pa.array(change.reached))
    assert asked.num_rows >= 10

    def values(of: dict[str, pa.Table]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        found = rows_of(asked, features_from(as_tables(of), problem, clock=clock).to_pyarrow(), problem, noun)
        assert found.num_rows == asked.num_rows
        return np.asarray(found[name].to_numpy(), dtype=np.float64)

    before, after = values(history), values(change.history)
    np.testing.assert_array_equal(before, asked[name].to_numpy())
    # A credit card has no debits, whatever is done with it.
    assert (after >= before).all() if name == "large_debits" else (after > before).all()
    assert (after > before).sum() >= 10


@pytest.mark.parametrize("problem", [CARDS, CUSTOMERS, RECENT], ids=["payments", "customers", "recent customers"])
def test_all_that_a_problem_declares_is_tested_and_an_ordinary_model_keeps_its_ids_apart(problem: Problem) -> None:
    tables = tables_of(problem.name)
    rows = matured_rows(features_from(tables, problem), problem)
    encoding = Encoding.fit(rows, tuple(feature_called(name, problem) for name in _names(problem)))
    labels = rows[problem.label.column].to_numpy()
    model = refit_xgboost(encoding.matrix(rows), labels, encoding, rounds=10, seed=0)
    found = {each.name: each for each in behaviour_tests(model, tables, rows, problem, seed=0)}
    assert found.keys() == behaviours(problem).keys()
    assert found["ids_do_not_matter"].passed
    assert found["row_order_does_not_matter"].passed
    assert all(each.rows for each in found.values())


def _with_only(feature: Feature, problem: Problem) -> Problem:
    """The problem without other declared features, whose computing would take most of the time."""
    declared = {feature.name: feature.declaration} if feature.declaration and not feature.split else {}
    if feature.split:
        declared = {name: each for name, each in problem.features.declared.items() if each.split == feature.split[0]}
    return problem.model_copy(update={"features": Features(automatic=False, declared=declared)})


def _names(problem: Problem) -> list[str]:
    return [each.name for each in features_of(problem) if each.declaration and each.name != "hour"]


VISITS = problem_of(
    {
        **PAYMENTS,
        "name": "visits",
        "tables": {
            "visits": {
                "event": "visit",
                "at": "came",
                "of": {"guest": "guest", "room": "room"},
                "columns": {"price": "number", "lost": "flag"},
            }
        },
        "predict": {"each": "visit", "label": {**PAYMENTS["predict"]["label"], "column": "lost"}},
        "features": {"declared": {"last_price": {"last": "visit.price", "by": "guest"}}},
    },
    Path("nowhere"),
)


@pytest.mark.parametrize("reads", [(), ("room_id",)], ids=["sound", "reads an id"])
def test_ids_that_order_events_of_one_instant_may_do_so_but_no_model_may_read_them(reads: tuple[str, ...]) -> None:
    """The last of several visits at one instant is told by the room."""
    chance = random.Random(1)
    visits = [
        {"guest": guest, "room": room, "came": START + day * DAY, "price": chance.random()}
        | {"lost": "true" if chance.random() < 0.2 + 0.05 * (room % 9) else "false"}
        for day in range(40)
        for guest in range(12)
        for room in chance.sample(range(30), 3)
    ]
    tables = {"visits": ibis.memtable(pa.Table.from_pylist(visits))}
    rows = matured_rows(features_from(tables, VISITS), VISITS)
    fitted = Encoding.fit(rows, (feature_called("last_price", VISITS),))
    encoding = Encoding((*fitted.features, *(EncodedFeature(name) for name in reads)))
    labels = rows["lost"].to_numpy()
    model = refit_xgboost(encoding.matrix(rows), labels, encoding, rounds=20, seed=0)
    history = history_of(tables, VISITS, pa.array(range(12)))
    clock = clock_of(tables, VISITS)
    found = ids_do_not_matter(model, history, VISITS, np.random.default_rng(0), clock=clock)
    assert found.passed == (not reads), found.message
