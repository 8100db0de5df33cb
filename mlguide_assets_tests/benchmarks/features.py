"""One way of computing the features, in a process of its own.

`features prepare|skew|ours|sql|pandas|duckdb|spark|spark_again FOLDER SENDS`. `skew` gives every second prepared send
to one user. The next three write one file. The last three write sorted partitions of a lake, as a run does;
`spark_again` is Spark the second time in one process.
"""

import contextlib
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.computing import EngineName
from mlguide_assets.prepare.core import core_rows
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.features.building import clock_of, features_from
from mlguide_assets.prepare.lake.data_files import write_files
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.partitions.calendar import KEY, Calendar
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.sources.casting import cast_to_schema
from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets.prepare.sources.simulated import world_of

_ENGINES: dict[str, EngineName] = {"duckdb": "duckdb", "spark": "spark", "spark_again": "spark"}
"""Of the ways that write partitions."""


def accepted(problem: Problem, connection: Any, folder: Path) -> dict[str, ibis.Table]:
    return {name: connection.read_parquet(str(folder / f"{name}.accepted.parquet")) for name in problem.tables}


def main(way: str, folder: Path, sends: int) -> None:
    problem = with_overrides(load_problem("planeswalker"), sends=sends)
    core, out = folder / "core.parquet", folder / f"{way}.parquet"
    connection = connect(spill=folder / "spill")
    if way == "prepare":
        write(world_of(problem), folder)
        for name, table in problem.tables.items():
            written = connection.read_parquet(str(folder / f"{name}.parquet"))
            rows = cast_to_schema(written, name, table, place=name).drop(UNREADABLE)
            connection.to_parquet(rows, str(folder / f"{name}.accepted.parquet"))
        core_of_all = core_rows(accepted(problem, connection, folder), problem)
        connection.to_parquet(core_of_all, str(core), compression="zstd")
        return
    if way == "skew":
        _skew(connection, folder / "user_emails.accepted.parquet")
        return
    if engine := _ENGINES.get(way):
        _in_partitions(engine, problem, folder, times=2 if way == "spark_again" else 1)
        return
    start = time.perf_counter()
    if way == "ours":
        features = features_from(accepted(problem, connection, folder), problem)
        connection.to_parquet(features, str(out), compression="zstd")
    elif way == "sql":
        from mlguide_assets_tests.benchmarks.rivals import with_sql

        with_sql(core, out, connection, problem)
    else:
        from mlguide_assets_tests.benchmarks.rivals import with_pandas

        with_pandas(core, out, problem)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1024**3]))


def _skew(connection: Any, sends: Path) -> None:
    """Give every second send to the first user; `core.parquet` stays as it was."""
    rows = connection.read_parquet(str(sends))
    is_his = ibis.row_number() % 2 == 0
    connection.to_parquet(
        rows.mutate(user_id=ibis.ifelse(is_his, rows.user_id.min().over(ibis.window()), rows.user_id)),
        str(sends.with_suffix(".skewed")),
        compression="zstd",
    )
    sends.with_suffix(".skewed").replace(sends)


def _in_partitions(engine_name: EngineName, problem: Problem, folder: Path, times: int) -> None:
    """As a run writes them into a lake, whichever the engine; the last time counts. The memory is of this process and
    its children."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        lake = Lake(Path(place), engine=engine_name)
        # Spark's machine starts once per run, however many rows there are.
        engine = lake.engine
        tables = {name: engine.read(folder / f"{name}.accepted.parquet") for name in problem.tables}
        calendar = Calendar.of(clock_of(tables, problem).date(), problem.label.window)
        # A run knows them from the table of events.
        sent = tables["user_emails"].delivered_at
        keys = calendar.keys(sent).name("key").as_table().distinct().to_pyarrow()["key"].to_pylist()
        for attempt in range(times):
            start = time.perf_counter()
            features = features_from(tables, problem)
            keyed = features.mutate(**{KEY: calendar.keys(features[problem.decision.time])})
            parts = engine.sorted_partitions(keyed, keys, problem.decision.order, lake.root / f"scratch-{attempt}")
            files = write_files(lake.session, lake.root / f"features-{attempt}", parts)
            seconds = time.perf_counter() - start
        if not any(file.rows for file in files.values()):
            raise SystemExit("Nothing was computed.")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + _peak_of_children()
    print(json.dumps([seconds, peak * 1024 / 1024**3]))


def _peak_of_children() -> int:
    """Kilobytes, each at its own peak. Nobody has waited for Spark's Java, which lives as long as this process."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            facts = dict(line.split(":", 1) for line in path.read_text().splitlines())
            if int(facts["PPid"]) == os.getpid():
                found += int(facts.get("VmHWM", "0 kB").split()[0])
    return found


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
