"""Exposures: the first one counts, whoever records it how often; a unit in two arms is seen."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.experiment.exposure import (
    EXPOSURES,
    exposed_by_api,
    exposed_by_plan,
    exposures_of,
    record_exposures,
)
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.experiment.worlds import DAY, START, plan, started

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def record(lake: Lake, running: Started, rows: pa.Table) -> int:
    return record_exposures(lake, exposed_by_plan(ibis.memtable(rows), running, "user_id"))


def test_the_first_exposure_counts_and_every_unit_has_one(lake: Lake) -> None:
    running = started(lake)
    assert exposures_of(lake, running) is None
    assert record(lake, running, plan({1: "generic", 2: "personal", 3: None})) == 2
    assert record(lake, running, plan({1: "generic", 2: "personal", 4: "personal"}, NEXT, version="8")) == 1
    rows = {row["unit_id"]: row for row in lake.read_arrow(EXPOSURES).to_pylist()}
    assert {unit: (row["arm"], row["exposed_at"], row["model_version"]) for unit, row in rows.items()} == {
        1: ("generic", START, "7"),
        2: ("personal", START, "7"),
        4: ("personal", START + timedelta(days=1), "8"),
    }
    assert {(row["experiment"], row["version"], row["origin"]) for row in rows.values()} == {
        ("fewer_losses", 1, "plan")
    }


def test_a_unit_in_two_arms_has_two_rows(lake: Lake) -> None:
    running = started(lake)
    record(lake, running, plan({1: "generic"}))
    assert record(lake, running, plan({1: "personal"}, NEXT)) == 1
    assert lake.read_arrow(EXPOSURES)["arm"].to_pylist() == ["generic", "personal"]


def test_a_plan_that_was_made_when_its_day_was_over_exposes_no_unit(lake: Lake) -> None:
    late = plan({1: "generic"})
    late = late.set_column(late.column_names.index("planned_at"), "planned_at", [[START + timedelta(days=1)]])
    assert record(lake, started(lake), late) == 0


def test_two_that_record_the_same_at_once_add_it_once(tmp_path: Path) -> None:
    running = started(Lake(tmp_path))
    rows = plan(dict.fromkeys(range(50), "generic"))

    def attempt(_: int) -> int:
        # As another process would: with a DuckDB of its own.
        lake = Lake(tmp_path)
        path = tmp_path / "plan.parquet"
        return record_exposures(lake, exposed_by_plan(lake.connection.read_parquet(str(path)), running, "user_id"))

    ibis.memtable(rows).to_parquet(tmp_path / "plan.parquet")
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(attempt, range(3))) == [0, 0, 50]
    assert Lake(tmp_path).snapshot(EXPOSURES).rows == 50


def test_what_the_api_answered_is_an_exposure_where_it_came_first(lake: Lake) -> None:
    running = started(lake)
    record(lake, running, plan({1: "generic"}, NEXT))
    answers = {
        "user_id": [1, 1, 2, 3, 4, 5, 6],
        "experiment": [*["fewer_losses"] * 3, None, *["fewer_losses"] * 3],
        "experiment_version": [1, 1, 1, None, 2, 1, 1],
        "arm": ["generic", "generic", "personal", None, "generic", "generic", "generic"],
        "model_version": ["7"] * 7,
        "endpoint": [*["recommend"] * 5, "predict", "recommend"],
        # The last one got no answer.
        "variant": [*["champion"] * 6, "failed"],
        "answered_at": [START + timedelta(hours=hour) for hour in (30, 31, 9, 9, 9, 9, 9)],
    }
    schema = {"user_id": "int64", "experiment_version": "int64", "experiment": "string", "arm": "string"}
    schema |= {"model_version": "string", "endpoint": "string", "variant": "string", "answered_at": "timestamp(6)"}
    log = ibis.memtable(answers, schema=schema)
    assert record_exposures(lake, exposed_by_api(log, running, "user_id")) == 1
    assert lake.read_arrow(EXPOSURES).to_pylist()[-1] == {
        "unit_id": 2,
        "experiment": "fewer_losses",
        "version": 1,
        "arm": "personal",
        "exposed_at": datetime(2024, 3, 1, 9),
        "model_version": "7",
        "origin": "api",
    }
