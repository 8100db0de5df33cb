"""Any problem under any contract, read again and again while its source changes: what stays and what is computed again
are together what a new lake has."""

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.core import core_by_partition
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.prepare.features.by_definition import assert_same
from mlguide_assets_tests.prepare.features.naive import Row, Rows
from mlguide_assets_tests.prepare.features.random_problems import (
    DAYS,
    START,
    Drawn,
    as_rows,
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
FIRST = START + timedelta(days=DAYS - 6)
"""Until when the first reading knows."""
TIMES = {"visits": "at", "clicks": "happened"}

NEEDED = [
    {"rule": "unique", "table": "people", "columns": ["id"]},
    {"rule": "unique", "table": "shops", "columns": ["shop"]},
    {"rule": "unique", "table": "festivals", "columns": ["id"]},
    {"rule": "unique", "table": "visits", "columns": ["number"]},
    {"rule": "present", "table": "people", "column": "id"},
    {"rule": "present", "table": "shops", "column": "shop"},
    {"rule": "present", "table": "festivals", "column": "id"},
    {"rule": "present", "table": "visits", "column": "number"},
    {"rule": "present", "table": "clicks", "column": "happened"},
    {"rule": "present", "table": "clicks", "column": "person"},
]
"""What would block a source that is changed at random; without a history and with a time of visits, also these."""
OF_HISTORIES = [
    {"rule": "unique", "table": "people", "columns": ["id", "begun"]},
    {"rule": "present", "table": "people", "column": "begun"},
    {"rule": "not_overlapping", "table": "people"},
]
OF_OWN_TIMES = [{"rule": "present", "table": "visits", "column": "at"}]
MAYBE = [
    {"rule": "references", "table": "visits", "column": "who", "target": "people"},
    {"rule": "references", "table": "visits", "column": "shop", "target": "shops"},
    {"rule": "unique", "table": "visits", "columns": ["who", "shop"]},
    {"rule": "unique", "table": "clicks", "columns": ["person", "happened"]},
    {"rule": "unique", "table": "clicks", "columns": ["person", "weight"]},
    {"rule": "range", "table": "visits", "column": "amount", "min": 0, "max": 10},
    {"rule": "one_of", "table": "visits", "column": "kind", "values": ["a", "b"]},
    {"rule": "range", "table": "people", "column": "size", "max": 1.5},
    {"rule": "one_of", "table": "shops", "column": "kind", "values": ["x"]},
    # A table that is no entity of clicks.
    {
        **{"rule": "not_before", "table": "clicks", "column": "happened"},
        **{"key": "person", "target": "shops", "target_column": "opened"},
    },
]


def problem_of(drawn: Drawn, folder: Path, chance: random.Random) -> Problem:
    """A problem file of what was drawn, under some rules. Rows that break one are set aside, however many they are."""
    document = {key: value for key, value in drawn.document.items() if key != "ids"}
    declared = document["tables"]
    rules = [rule for rule in NEEDED if "history" not in declared["people"] or rule["table"] != "people"]
    rules += OF_HISTORIES if "history" in declared["people"] else []
    rules += OF_OWN_TIMES if declared["visits"]["at"] == "at" else []
    rules += [rule for rule in MAYBE if chance.random() < 0.4]
    contracts = [{**rule, "action": "quarantine"} for rule in rules]
    contracts += [{"rule": "set_aside", "table": name, "max_share": 1, "action": "block"} for name in declared]
    about = {"name": "drawn", "statement": "s", "hypothesis": "h", "history_start": f"{START.date()}"}
    costs = {"missed": 2, "false_alarm": 1}
    source = {"kind": "files", "uri": str(folder)}
    return Problem.model_validate({**document, **about, "costs": costs, "contracts": contracts, "source": source})


def days_land(rows: Rows, all_rows: Rows, chance: random.Random) -> None:
    """The days after the newest one, be it of visits or of clicks."""
    days = timedelta(days=chance.choice([1, 2, 5]))
    for name, column in TIMES.items():
        until = max((row[column] for row in rows[name] if row.get(column)), default=START) + days
        missing = [row for row in all_rows[name] if row not in rows[name]]
        rows[name] += [row for row in missing if (row.get(column) or until) <= until]


def lost(rows: Rows, _: Rows, chance: random.Random) -> None:
    some = rows[chance.choice(list(rows))]
    del some[chance.randrange(len(some))]


def doubled(rows: Rows, _: Rows, chance: random.Random) -> None:
    some = rows[chance.choice(list(rows))]
    some.append(dict(chance.choice(some)))


def corrected(rows: Rows, all_rows: Rows, chance: random.Random) -> None:
    """A value is another one, or none."""
    name = chance.choice(list(rows))
    row: Row = chance.choice(rows[name])
    column = chance.choice(list(row))
    row[column] = chance.choice([None, chance.choice(all_rows[name])[column]])


def moved(rows: Rows, _: Rows, chance: random.Random) -> None:
    """An event happened on another day."""
    name, column = chance.choice(list(TIMES.items()))
    timed = [row for row in rows[name] if row.get(column)]
    if timed:
        chance.choice(timed)[column] += timedelta(days=chance.choice([-20, -1, 1, 20]))


CHANGES: list[Callable[[Rows, Rows, random.Random], None]] = [days_land, lost, doubled, corrected, moved]


def follow(lake: Lake, problem: Problem, rows: Rows, types: dict[str, pa.Table]) -> dict[str, Any]:
    """Read the source into a lake, as the assets do; the content of all tables, and the features by partition."""
    folder = Path(str(problem.source.uri))  # type: ignore[union-attr]
    folder.mkdir(exist_ok=True)
    for name, some in rows.items():
        pq.write_table(pa.Table.from_pylist(some, types[name].schema), folder / f"{name}.parquet")
    with ingest(problem, lake, oracle=lake.root / "oracle", report=lambda _: None) as read:
        refuse_blocked(read.results, problem.rules, read.place)
        keep(lake, read)
    with core_by_partition(lake, problem) as core:
        if isinstance(core, Partitions):
            lake.write_partitions(problem.core_table, core)
        else:
            lake.write(problem.core_table, core)
    with features_by_partition(lake, problem) as partitions:
        lake.write_partitions(problem.features_table, partitions)
    return {name: snapshot.content_hash for name, snapshot in lake.tables().items()}


def features(lake: Lake, problem: Problem) -> dict[str, list[Row]]:
    found = lake.snapshot(problem.features_table).partitions
    return {key: lake.read_arrow(problem.features_table, partitions=[key]).to_pylist() for key in found}


@DRAWN
@example(problem=every_operator(), seed=0)
@given(problem=problems(features=5), seed=st.integers(0, 2**32))
def test_every_reading_is_as_a_new_lake(
    duck: Any, tmp_path_factory: pytest.TempPathFactory, problem: Drawn, seed: int
) -> None:
    folder, types = tmp_path_factory.mktemp("incremental"), tables(problem, seed)
    chance, all_rows = random.Random(seed), as_rows(types)
    for row in all_rows["people"] if "begun" in types["people"].column_names else []:
        row["begun"] = row["begun"] or START
    stated, lake = problem_of(problem, folder / "source", chance), lake_over(duck, folder / "lake")
    for row in all_rows["visits"]:
        # Eighths, whose sums are exact: of others the order in which they are added shows, and threads decide it.
        row["amount"] = row["amount"] and round(row["amount"] * 8) / 8
    rows = {
        name: [dict(row) for row in some if (row.get(TIMES.get(name, "")) or START) < FIRST]
        for name, some in all_rows.items()
    }
    follow(lake, stated, rows, types)
    for reading in range(2):
        for change in [days_land, *chance.choices(CHANGES, k=2)]:
            change(rows, all_rows, chance)
        followed = follow(lake, stated, rows, types)
        new = lake_over(duck, folder / f"new lake {reading}")
        afresh = follow(new, stated, rows, types)
        if followed != afresh:
            # The first row that differs says more than a hash.
            expected, found = features(new, stated), features(lake, stated)
            for key, some in expected.items():
                assert_same(found[key], some, list(some[0]) if some else [])
        assert followed == afresh
