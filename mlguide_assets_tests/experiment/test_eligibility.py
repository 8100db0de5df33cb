"""Eligibility by a column of every kind: the plan, the sizing and the API find the same units, as counted by hand."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.online_store.store import Publication, Snapshot, State
from mlguide_assets.deploy.routing import ELIGIBLE, Route, read_routes, write_routes
from mlguide_assets.deploy.serving.answering import meet
from mlguide_assets.deploy.serving.features import Features
from mlguide_assets.deploy.serving.request import ResolvedRequest, Slot
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.actions import members_of, tables_of_actions
from mlguide_assets.experiment.assignment import assigned_on, route_of
from mlguide_assets.experiment.eligibility import eligible
from mlguide_assets.experiment.exposure import exposures_schema
from mlguide_assets.experiment.publishing import eligibility_to_publish
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.tables import EXPOSURES
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.experiment.coupons import COUPONS, offers
from mlguide_assets_tests.experiment.files import parse, text
from mlguide_assets_tests.experiment.worlds import DAY, START, started
from mlguide_assets_tests.other_tables import problem_of

CUSTOMER = {
    "entity": "customer",
    "key": "client",
    "columns": {
        "tier": "category",
        "vip": "flag",
        "note": "text",
        "spent": "number",
        "level": "integer",
        "since": "time",
        "shop": "id",
        # Also a column of coupons: a feature of it cannot have this name.
        "kind": "category",
    },
}
PROBLEM = problem_of({**COUPONS, "tables": {**COUPONS["tables"], "customers": CUSTOMER}}, Path("nowhere"))
CUSTOMERS = pa.table(
    {
        "client": ["c-1", "c-2", "c-3", "c-4"],
        "tier": ["gold", "Süd", "true", None],
        "vip": [True, False, True, None],
        "note": ["x", "a, b", "", None],
        "spent": [2.0, 0.5, -3.25, None],
        "level": pa.array([2, 3, 2**53 + 2, None], pa.int64()),
        "since": pa.array([START, START + timedelta(hours=8), START - timedelta(days=1), None], pa.timestamp("us")),
        "shop": pa.array([7, 8, 9, None], pa.int64()),
        "kind": ["food", "toys", "food", None],
    }
)

CONDITIONS = {
    "category": ("{column: tier, values: [gold, Süd]}", [1, 2]),
    "category like a flag": ("{column: tier, values: [true]}", [3]),
    "one category": ("{column: tier, values: gold}", [1]),
    "name of two tables": ("{column: kind, values: [food]}", [1, 3]),
    "flag": ("{column: vip, values: [true]}", [1, 3]),
    "flag as text": ('{column: vip, values: ["Yes"]}', [1, 3]),
    "flag as number": ("{column: vip, values: [0]}", [2]),
    "either flag": ('{column: vip, values: ["t", "off"]}', [1, 2, 3]),
    "text": ('{column: note, values: ["a, b", "no such"]}', [2]),
    "number": ('{column: spent, values: ["2"]}', [1]),
    "number with a fraction": ("{column: spent, values: [2.0, -3.25]}", [1, 3]),
    "number in a range": ("{column: spent, min: 0.5, max: 2}", [1, 2]),
    "integer": ("{column: level, values: [2]}", [1]),
    "integer as number": ('{column: level, values: ["3.0"]}', [2]),
    "integer in a range": ("{column: level, min: 2.5}", [2, 3]),
    "day": ("{column: since, values: [2024-03-01]}", [1, 2]),
    "instant": ('{column: since, values: ["2024-03-01 08:00", 2024-02-29]}', [2, 3]),
    "instant of another zone": ('{column: since, values: ["2024-03-01T09:00+01:00"]}', [2]),
    "id": ("{column: shop, values: [8]}", [2]),
    "two conditions": ("{column: vip, values: [on]}, {column: kind, values: [food]}, {column: spent, max: 0}", [3]),
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    kept = Lake(tmp_path / "lake")
    kept.write("customers", CUSTOMERS)
    kept.write("coupons", pa.table({"code": ["A10"], "kind": ["a"]}))
    kept.write("offers", offers(("c-9", "A10", START, False)))
    return kept


def begun(lake: Lake, conditions: str) -> Started:
    """An experiment of all units that meet the conditions, on record."""
    changes = {"eligibility": f"[{conditions}]", "ramp": "[{share: 1}]"}
    return started(lake, PROBLEM, **changes)


def planned(lake: Lake, which: Started) -> dict[Any, str]:
    """The arms of the plan."""
    members = members_of(tables_of_actions(lake, PROBLEM), PROBLEM)
    nobody = members.select("id").limit(0)
    exposed = lake.read(EXPOSURES) if lake.exists(EXPOSURES) else None
    rows = assigned_on(DAY, [which], members, nobody, exposed, PROBLEM)
    assert rows is not None
    return {row["unit_id"]: row["arm"] for row in rows.to_pyarrow().to_pylist()}


def answered(lake: Lake, routes: Sequence[Route], folder: Path) -> dict[Any, str]:
    """The arms of the API, by what is published: the routes, and the online store."""
    write_routes(folder, routes)
    resolved = ResolvedRequest(
        PROBLEM.decision, [Slot((unit, "A10"), 0) for unit in CUSTOMERS["client"].to_pylist()], Features(()), 1, {}, []
    )
    met = meet(resolved, read_routes(folder), published(lake, folder))
    return {unit: each.arm for unit, each in met.items()}


def published(lake: Lake, folder: Path) -> Snapshot:
    rows = eligibility_to_publish(lake, PROBLEM)
    tables, keys = ({ELIGIBLE: rows}, {ELIGIBLE: "customer_id"}) if rows is not None else ({}, {})
    store = SqliteStore(folder / "store.sqlite")
    assert store.publish(State(Publication(START, {}, keys, (), {}), tables))
    snapshot = store.current()
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize("kind", CONDITIONS)
def test_plan_and_api_find_the_units_that_meet_a_condition(kind: str, lake: Lake, tmp_path: Path) -> None:
    conditions, expected = CONDITIONS[kind]
    which = begun(lake, conditions)
    by_plan = planned(lake, which)
    assert sorted(by_plan) == [f"c-{number}" for number in expected]
    assert answered(lake, [route_of(which.experiment, 1.0)], tmp_path) == by_plan
    members = members_of(tables_of_actions(lake, PROBLEM), PROBLEM)
    sized = eligible(members, which.experiment.eligibility, PROBLEM)
    assert set(sized.to_pyarrow()["id"].to_pylist()) == set(by_plan)


def test_a_unit_that_was_exposed_stays_in_its_arm_in_plan_and_api(lake: Lake, tmp_path: Path) -> None:
    which = begun(lake, "{column: tier, values: [gold]}")
    rows = [
        {"unit_id": "c-2", "experiment": name, "version": version, "arm": "generic", "exposed_at": datetime.min}
        for name, version in [which.key, (which.key[0], 2)]
    ]
    other = {**rows[1], "unit_id": "c-3"}
    lake.append(EXPOSURES, pa.Table.from_pylist([rows[0], other], exposures_schema(pa.string())))
    by_plan = planned(lake, which)
    assert sorted(by_plan) == ["c-1", "c-2"]
    assert answered(lake, [route_of(which.experiment, 1.0)], tmp_path) == by_plan


def test_an_experiment_of_everybody_needs_nothing_published(lake: Lake, tmp_path: Path) -> None:
    assert eligibility_to_publish(lake, PROBLEM) is None
    which = begun(lake, "")
    assert eligibility_to_publish(lake, PROBLEM) is None
    by_plan = planned(lake, which)
    assert len(by_plan) == 4
    assert answered(lake, [route_of(which.experiment, 1.0)], tmp_path) == by_plan


def test_what_the_problem_file_no_longer_takes_is_met_by_nobody(lake: Lake) -> None:
    which = begun(lake, "{column: tier, values: [gold]}").experiment.eligibility[0]
    members = members_of(tables_of_actions(lake, PROBLEM), PROBLEM)
    changes: list[dict[str, Any]] = [{"column": "gone"}, {"column": "level"}, {"values": (), "min": 1.0}]
    for condition in [which.model_copy(update=each) for each in changes]:
        assert eligible(members, [condition], PROBLEM).count().to_pyarrow().as_py() == 0
    assert eligible(ibis.memtable(CUSTOMERS.drop(["tier"])), [which], PROBLEM).count().to_pyarrow().as_py() == 0


NEVER = {
    "flag": ("vip, values: [true, maybe]", "'vip' is a flag, and 'maybe' is none; write true or false"),
    "number": ("spent, values: [much]", "'spent' is a number, and 'much' is none; write one, such as 2 or 0.5"),
    "integer": ("level, values: [2.5]", "'level' is a whole number, and '2.5' is none; write one, such as 2"),
    "time": ("since, values: [soon]", "'since' is a time, and 'soon' is none; write a day or an instant in UTC"),
    "order": ("tier, min: 2", "'tier' holds no numbers"),
}


@pytest.mark.parametrize("kind", NEVER)
def test_a_value_that_the_column_can_never_have_is_refused(kind: str) -> None:
    condition, fault = NEVER[kind]
    with pytest.raises(InputError, match=r"eligibility\.0: ") as refused:
        parse(text(eligibility=f"[{{column: {condition}}}]"), PROBLEM)
    assert fault in str(refused.value)
