"""On tables that are nobody's emails: alarms are silent where nothing leaks, and name what is planted."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.train.leakage.look_ahead import ComputeFeatures, future_shift, planted_canary
from mlguide_assets.train.leakage.results import Alarm
from mlguide_assets.train.leakage.suite import leakage_alarms
from mlguide_assets.train.some_units import Tables, drawn_units, history_of
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, START, problem_of

NOWHERE = Path("nowhere")
DAY = timedelta(days=1)

_PAYMENT = PAYMENTS["tables"]["payments"]
CARDS = problem_of(
    {
        **PAYMENTS,
        "tables": {
            "cards": {
                "entity": "card",
                "key": "card",
                "history": {"from": "begun", "to": "ended"},
                "columns": {"kind": "category"},
            },
            "payments": {**_PAYMENT, "columns": {**_PAYMENT["columns"], "way": "category"}},
            "complaints": {"event": "complaint", "at": "made", "known_at": "written", "of": {"card": "card"}},
        },
        "features": {
            "declared": {
                "payments_7d": {"count": "payment", "by": "card", "within": "7d"},
                "shop_frauds_14d": {"rate": "label", "by": "shop", "within": "14d"},
                "ways_*": {"count": "payment", "by": "card", "split": "way", "values": ["chip", "web"]},
                "complaints": {"count": "complaint", "by": "card"},
                "hour": {"calendar": "hour"},
            }
        },
    },
    NOWHERE,
)
LATE = problem_of(
    CARDS.model_dump(mode="json", by_alias=True, exclude_none=True)
    | {
        "tables": {"payments": {**_PAYMENT, "arrives_within": "2d"}, "cards": {"entity": "card", "key": "card"}},
        "features": {"declared": {"shop_frauds_14d": {"rate": "label", "by": "shop", "within": "14d"}}},
    },
    NOWHERE,
)
CUSTOMERS = problem_of(
    {
        **ORDERS,
        "features": {
            "declared": {
                "orders_14d": {"count": "order", "by": "customer", "within": "14d"},
                "last_amount": {"last": "order.amount", "by": "customer"},
            }
        },
    },
    NOWHERE,
)
RACES = problem_of(
    {
        **ORDERS,
        "name": "races",
        "tables": {
            "races": {"entity": "race", "key": "race", "columns": {"date": "time"}},
            "results": {
                "event": "result",
                "at": "race.date",
                "of": {"driver": "driver", "race": "race"},
                "columns": {"points": "number"},
            },
        },
        "predict": {
            "each": "driver",
            "every": "7d",
            "label": {"count": "result", "within": "14d", "at_least": 1, "where": {"points": {"at_least": 5}}},
            "having": {"count": "result", "within": "14d", "at_least": 1},
        },
        "features": {"declared": {"mean_points": {"mean": "result.points", "by": "driver"}}},
    },
    NOWHERE,
)
LOANS = problem_of(
    {
        **ORDERS,
        "name": "loans",
        "tables": {
            "applications": {
                "entity": "application",
                "key": "application",
                "static": True,
                "columns": {"date": "time", "amount": "number"},
            },
            "outcomes": {
                "event": "outcome",
                "at": "application.date",
                "of": {"customer": "customer", "application": "application"},
                "columns": {"defaulted": "flag"},
            },
        },
        "predict": {
            "each": "outcome",
            "label": {"column": "defaulted", "positive": "yes", "negative": "no", "window": "7d"},
        },
        "features": {"declared": {"defaults": {"rate": "label", "by": "customer"}, "hour": {"calendar": "hour"}}},
    },
    NOWHERE,
)


@lru_cache
def tables_of(name: str) -> dict[str, ibis.Table]:
    """Of the problem of that name."""
    chance, times = random.Random(5), [START + timedelta(seconds=each) for each in range(0, 100 * 86_400, 3_517)]
    tables: dict[str, list[dict[str, Any]]]
    if name == CARDS.name:
        cards, ways = [f"c{card:02}" for card in range(40)], ("chip", "web")
        pay = [
            {
                "payment": number,
                "card": chance.choice(cards),
                "shop": chance.randrange(9),
                "paid": at,
                "amount": chance.random(),
                "fraud": "true" if chance.random() < 0.1 else "false",
                "way": chance.choice(ways),
            }
            for number, at in enumerate(times)
        ]
        late = [at + chance.randrange(30) * DAY for at in times]
        said = [
            {"card": chance.choice(cards), "made": at, "written": written}
            for at, written in zip(times, late, strict=True)
        ]
        kinds = [
            {"card": f"c{card:02}", "kind": kind, "begun": begun, "ended": ended}
            for card in range(40)
            for kind, begun, ended in (
                (f"{card % 3}", START - DAY, START + card * 2 * DAY),
                (f"{card % 5}", START + card * 2 * DAY, None),
            )
        ]
        tables = {"payments": pay, "complaints": said, "cards": kinds}
    elif name == CUSTOMERS.name:
        tables = {
            "orders": [
                {"customer": chance.randrange(60), "ordered": at, "amount": chance.random(), "channel": "web"}
                for at in times
            ]
        }
    elif name == LOANS.name:
        applications = [{"application": n, "date": at, "amount": chance.random()} for n, at in enumerate(times)]
        outcomes = [
            {"application": n, "customer": chance.randrange(60), "defaulted": chance.choice(["yes", "no"])}
            for n in range(len(times))
        ]
        tables = {"applications": applications, "outcomes": outcomes}
    else:
        races = [{"race": number, "date": START + 3 * number * DAY} for number in range(40)]
        driven = [(driver, race["race"]) for race in races for driver in chance.sample(range(20), 9)]
        results = [{"driver": driver, "race": race, "points": chance.randrange(10)} for driver, race in driven]
        tables = {"races": races, "results": results}
    return {table: ibis.memtable(pa.Table.from_pylist(rows)) for table, rows in tables.items()}


def alarms(problem: Problem, compute: ComputeFeatures) -> tuple[Alarm, Alarm]:
    """Canary and shift."""
    tables = tables_of(problem.name)
    history = history_of(tables, problem, drawn_units(tables, problem, 30, 0))
    return planted_canary(history, problem, compute=compute), future_shift(history, problem, seed=0, compute=compute)


@pytest.mark.parametrize(
    "problem", [CARDS, LATE, CUSTOMERS, RACES], ids=["payments", "payments that arrive late", "customers", "races"]
)
def test_alarms_are_silent_where_nothing_leaks(problem: Problem) -> None:
    tables = tables_of(problem.name)
    found = leakage_alarms(tables, features_from(tables, problem), problem)
    assert [alarm.message for alarm in found if not alarm.passed] == []
    assert len(found) == 4


def test_an_outcome_that_happens_when_its_parent_says_is_one_decision_with_and_without_canaries() -> None:
    assert [alarm.message for alarm in alarms(LOANS, features_from) if not alarm.passed] == []
    own = {**LOANS.tables["outcomes"].model_dump(by_alias=True), "of": {"application": "application"}}
    schema = {"applications": LOANS.tables["applications"], "outcomes": {**own, "columns": {"defaulted": "flag"}}}
    alone = LOANS.model_dump(by_alias=True) | {
        "tables": schema,
        "features": {"declared": {"hour": {"calendar": "hour"}}},
    }
    assert [alarm.message for alarm in alarms(Problem.model_validate(alone), features_from) if not alarm.passed] == []


def instead_of(name: str, leak: Callable[[ibis.Table, Tables], ibis.Table]) -> ComputeFeatures:
    """Features of which one is what `leak` makes of decisions and tables: the keys, and `leak`."""

    def compute(tables: Tables, problem: Problem, *, clock: datetime) -> ibis.Table:
        rows, keys = features_from(tables, problem, clock=clock), list(problem.decision.keys)
        leaked = leak(rows.select(keys), tables).select(*keys, "leak")
        joined = rows.drop(name).left_join(leaked, keys)
        return joined.select(*rows.drop(name).columns, **{name: joined.leak.fill_null(0)})

    return compute


def own_outcome(rows: ibis.Table, tables: Tables) -> ibis.Table:
    sold = tables["payments"].select(number="payment", fraud="fraud")
    joined = rows.join(sold, rows.payment == sold.number)
    return joined.mutate(leak=(joined.fraud == "true").cast("int64"))


def frauds_of_all_time(rows: ibis.Table, tables: Tables) -> ibis.Table:
    sold = tables["payments"]
    of_card = sold.group_by(whose="card").aggregate(leak=(sold.fraud == "true").sum())
    return rows.join(of_card, rows.card_id == of_card.whose)


def complaints_before_they_are_written(rows: ibis.Table, tables: Tables) -> ibis.Table:
    said = tables["complaints"]
    joined = rows.join(said, (rows.card_id == said.card) & (said.made < rows.paid))
    return joined.group_by(rows.columns).aggregate(leak=joined.count())


def newest_kind(rows: ibis.Table, tables: Tables) -> ibis.Table:
    kinds = tables["cards"].filter(tables["cards"].ended.isnull())
    joined = rows.join(kinds, rows.card_id == kinds.card)
    return joined.mutate(leak=joined.kind.cast("int64"))


def orders_that_follow(rows: ibis.Table, tables: Tables) -> ibis.Table:
    sold = tables["orders"]
    joined = rows.join(sold, (rows.customer_id == sold.customer) & (sold.ordered >= rows.as_of))
    return (
        joined.filter(joined.ordered < joined.as_of + ibis.interval(days=14))
        .group_by(rows.columns)
        .aggregate(leak=ibis._.count())
    )


def defaults_of_all_time(rows: ibis.Table, tables: Tables) -> ibis.Table:
    ended = tables["outcomes"]
    of_customer = ended.group_by(whose="customer").aggregate(leak=(ended.defaulted == "yes").sum())
    return rows.join(of_customer, rows.customer_id == of_customer.whose)


def points_of_all_time(rows: ibis.Table, tables: Tables) -> ibis.Table:
    driven = tables["results"].group_by(whose="driver").aggregate(leak=tables["results"].points.sum())
    return rows.join(driven, rows.driver_id == driven.whose)


BY_BOTH = [
    (CARDS, "payments_7d", frauds_of_all_time),
    (CUSTOMERS, "orders_14d", orders_that_follow),
    (RACES, "mean_points", points_of_all_time),
    (LOANS, "defaults", defaults_of_all_time),
]
BY_THE_SHIFT = [
    (CARDS, "payments_7d", own_outcome),
    (CARDS, "complaints", complaints_before_they_are_written),
    (CARDS, "hour", newest_kind),
]


@pytest.mark.parametrize(("problem", "name", "leak"), BY_BOTH)
def test_a_copy_of_the_future_is_named_by_both(problem: Problem, name: str, leak: Any) -> None:
    assert [(alarm.passed, alarm.feature) for alarm in alarms(problem, instead_of(name, leak))] == [(False, name)] * 2


@pytest.mark.parametrize(("problem", "name", "leak"), BY_THE_SHIFT)
def test_what_is_known_later_is_named_by_the_shift(problem: Problem, name: str, leak: Any) -> None:
    _, shifted = alarms(problem, instead_of(name, leak))
    assert (shifted.passed, shifted.feature) == (False, name)


def test_rows_that_only_the_future_makes_cases_of_are_found() -> None:
    def compute(tables: Tables, problem: Problem, *, clock: datetime) -> ibis.Table:
        rows = features_from(tables, problem, clock=clock)
        return rows.semi_join(orders_that_follow(rows.select("customer_id", "as_of"), tables), ["customer_id", "as_of"])

    for alarm in alarms(CUSTOMERS, compute):
        assert not alarm.passed
        assert "exist, or do not, only with" in alarm.message
