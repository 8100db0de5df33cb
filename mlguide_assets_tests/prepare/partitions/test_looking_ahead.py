"""Cut-offs whose cases are decided after their outcomes: a partition follows what happens until both are final."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.other_tables import ORDERS, problem_of
from mlguide_assets_tests.prepare.ingesting import keep, lake_over

FIRST = datetime(2024, 1, 1)
DAYS = 110

# Who orders within 28 days is a case; whether it was within 7 is the outcome.
LOOKS_AHEAD: dict[str, Any] = {
    **ORDERS,
    "predict": {
        "each": "customer",
        "every": "7d",
        "label": {"count": "order", "within": "7d", "at_least": 1},
        "having": {"count": "order", "within": "28d", "at_least": 1},
    },
    "features": {"declared": {"orders_14d": {"count": "order", "by": "customer", "within": "14d"}}},
}


def write_orders(folder: Path, without: range = range(0)) -> None:
    """Orders of forty customers, each about once in three weeks; those of some days are gone."""
    chance = random.Random(0)
    rows = [
        {
            "customer": customer,
            "ordered": FIRST + timedelta(days=day, hours=customer % 24),
            "amount": 5,
            "channel": "web",
        }
        for day in range(DAYS)
        for customer in range(40)
        if chance.random() < 0.05 and day not in without
    ]
    folder.mkdir(exist_ok=True)
    pa.csv.write_csv(pa.Table.from_pylist(rows), folder / "orders.csv")


def follow(lake: Lake, problem: Problem) -> dict[str, Any]:
    """Read the source and write what has changed; the features by partition, and those that were written."""
    with ingest(problem, lake, oracle=lake.root / "oracle", report=lambda _: None) as read:
        keep(lake, read)
    with features_by_partition(lake, problem) as partitions:
        lake.write_partitions(problem.features_table, partitions)
    return {
        key: lake.read_arrow(problem.features_table, partitions=[key]).to_pylist()
        for key in lake.snapshot(problem.features_table).partitions
    }


def test_orders_that_are_taken_back_end_cases_whose_outcomes_were_final_before(tmp_path: Path, duck: Any) -> None:
    problem = problem_of(LOOKS_AHEAD, tmp_path / "source")
    lake = lake_over(duck, tmp_path / "lake")
    write_orders(tmp_path / "source")
    before = follow(lake, problem)
    # After the outcomes of all cut-offs in February, within what decides whether the last of them are cases.
    write_orders(tmp_path / "source", without=range(65, 80))
    after = follow(lake, problem)
    assert sum(map(len, after.values())) < sum(map(len, before.values()))
    assert after == follow(lake_over(duck, tmp_path / "new lake"), problem)
