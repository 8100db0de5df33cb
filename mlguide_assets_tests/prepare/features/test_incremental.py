"""Any problem, read on one day and on a later one: what stays and what is computed again are together what a new lake
has."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.prepare.features.by_definition import assert_same
from mlguide_assets_tests.prepare.features.random_problems import (
    DAYS,
    START,
    Drawn,
    every_operator,
    problems,
    tables,
)
from mlguide_assets_tests.prepare.ingesting import keep, lake_over

DRAWN = settings(
    max_examples=1,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
FIRST = START + timedelta(days=DAYS - 3)
"""Until when the first reading knows."""
RECENT = START + timedelta(days=DAYS - 8)
"""From when on events are corrected afterwards."""


def problem_of(drawn: Drawn, folder: Path) -> Problem:
    """A problem file of what was drawn. Rows that break a rule are set aside, however many they are."""
    document = {key: value for key, value in drawn.document.items() if key != "ids"}
    rules = [{"rule": "set_aside", "table": name, "max_share": 1, "action": "block"} for name in document["tables"]]
    about = {"name": "drawn", "statement": "s", "hypothesis": "h", "history_start": f"{START.date()}"}
    costs = {"missed": 2, "false_alarm": 1}
    source = {"kind": "files", "uri": str(folder)}
    return Problem.model_validate({**document, **about, "costs": costs, "contracts": rules, "source": source})


def known_until(given: dict[str, pa.Table], instant: datetime) -> dict[str, pa.Table]:
    """The tables as they were then: no event of later, be it by its own time or by that of its festival."""
    days = {row["id"]: row["day"] for row in given["festivals"].to_pylist()}

    def happened(name: str, row: dict[str, Any]) -> Any:
        return {"visits": row.get("at", days.get(row.get("festival"))), "clicks": row.get("happened")}.get(name)

    return {
        name: pa.Table.from_pylist(
            [row for row in table.to_pylist() if (happened(name, row) or START) < instant], table.schema
        )
        for name, table in given.items()
    }


def corrected(given: dict[str, pa.Table], chance: random.Random) -> dict[str, pa.Table]:
    """The tables with other outcomes and amounts of some recent visits."""
    rows = given["visits"].to_pylist()
    for row in rows:
        if row.get("at") and row["at"] >= RECENT and chance.random() < 0.3:
            row |= {"outcome": chance.choice(["yes", "no", None]), "amount": chance.choice([0.1, 5.0, None])}
    return {**given, "visits": pa.Table.from_pylist(rows, given["visits"].schema)}


def follow(lake: Lake, problem: Problem, given: dict[str, pa.Table], folder: Path) -> dict[str, Any]:
    """Read the tables into a lake; the rows of features by partition."""
    folder.mkdir(exist_ok=True)
    for name, table in given.items():
        pq.write_table(table, folder / f"{name}.parquet")
    with ingest(problem, lake, oracle=lake.root / "oracle", report=lambda _: None) as read:
        keep(lake, read)
    with features_by_partition(lake, problem) as partitions:
        lake.write_partitions(problem.features_table, partitions)
    found = lake.snapshot(problem.features_table).partitions
    return {key: lake.read_arrow(problem.features_table, partitions=[key]).to_pylist() for key in found}


@DRAWN
@example(problem=every_operator(), seed=0)
@given(problem=problems(features=8), seed=st.integers(0, 2**32))
def test_a_later_reading_is_as_a_new_lake(
    duck: Any, tmp_path_factory: pytest.TempPathFactory, problem: Drawn, seed: int
) -> None:
    folder, given_tables = tmp_path_factory.mktemp("incremental"), tables(problem, seed)
    if "begun" in given_tables["people"].column_names:
        rows = [{**row, "begun": row["begun"] or START} for row in given_tables["people"].to_pylist()]
        given_tables["people"] = pa.Table.from_pylist(rows, given_tables["people"].schema)
    stated, lake = problem_of(problem, folder / "source"), lake_over(duck, folder / "lake")
    follow(lake, stated, known_until(given_tables, FIRST), folder / "source")
    later = corrected(given_tables, random.Random(seed))
    found = follow(lake, stated, later, folder / "source")
    expected = follow(lake_over(duck, folder / "new lake"), stated, later, folder / "source")
    assert found.keys() == expected.keys()
    for key, rows in expected.items():
        assert_same(found[key], rows, list(rows[0]) if rows else [])
