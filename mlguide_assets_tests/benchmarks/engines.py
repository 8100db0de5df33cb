"""One problem on DuckDB and on Spark, each run to its verdict as by a user: `engines NAME FOLDER`.

Prints as JSON what both runs say, side by side, and whether they agree. Spark runs on two cores of this machine, set
for small tables.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.gate.history import last_decision
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import model_name
from mlguide_assets_tests.benchmarks.problem_data import SHARED, AbsentError
from mlguide_assets_tests.spark import write_settings

_SMALL = {"planeswalker": "10000", "fraud": "20000"}
"""Simulated problems, and the size that both engines finish in minutes."""


@dataclass(frozen=True)
class Said:
    """What a run came to.

    Attributes:
        metrics: of the candidate: name → value, low, high.
        alarms: of leakage: name → whether it passed, and its sentence, which counts the rows that it looked at.
        rows: of the core table and of the features.
    """

    verdict: str
    candidate: str
    metrics: dict[str, tuple[float, float, float]]
    alarms: dict[str, tuple[bool, str]]
    rows: dict[str, int]


@dataclass(frozen=True)
class Compared:
    """One thing that both runs say, in words."""

    what: str
    duckdb: str
    spark: str
    agree: bool


def said_by(home: Home) -> Said:
    """What the last run on a home came to."""
    problem = current_problem(home)
    lake = Lake(home.lake(problem.key))
    name = model_name(json.loads(lake.read_arrow("candidate_model")["facts"][0].as_py()))
    evaluated = [row for row in lake.read_arrow("model_evaluation").to_pylist() if row["model"] == name]
    found = json.loads(home.leakage(problem.key).read_bytes())["findings"]
    return Said(
        verdict=str((last_decision(lake) or {}).get("verdict")),
        candidate=name,
        metrics={row["metric"]: (row["value"], row["low"], row["high"]) for row in evaluated},
        alarms={each["check"]: (each["passed"], each["message"]) for each in found},
        rows={table: lake.snapshot(table).rows for table in (problem.core_table, problem.features_table)},
    )


def compared(duckdb: Said, spark: Said) -> list[Compared]:
    """What two runs say, side by side. Verdict, candidate, rows and alarms agree where they are equal; a metric where
    each of its values lies in the other's interval."""
    found = [
        Compared(what, str(getattr(duckdb, what)), str(getattr(spark, what)), _equal(duckdb, spark, what))
        for what in ("verdict", "candidate")
    ]
    for table in sorted({*duckdb.rows, *spark.rows}):
        one, other = duckdb.rows.get(table), spark.rows.get(table)
        found.append(Compared(f"rows of {table}", f"{one:,}", f"{other:,}", one == other))
    for metric in sorted({*duckdb.metrics, *spark.metrics}):
        one, other = duckdb.metrics[metric], spark.metrics[metric]
        agree = other[1] <= one[0] <= other[2] and one[1] <= other[0] <= one[2]
        found.append(Compared(metric, _in_words(one), _in_words(other), agree))
    for alarm in sorted({*duckdb.alarms, *spark.alarms}):
        said = [each.alarms.get(alarm, (False, "not looked at")) for each in (duckdb, spark)]
        found.append(Compared(alarm, said[0][1], said[1][1], said[0] == said[1]))
    return found


def _equal(one: Said, other: Said, what: str) -> bool:
    return bool(getattr(one, what) == getattr(other, what))


def _in_words(metric: tuple[float, float, float]) -> str:
    value, low, high = metric
    return f"{value:.4f} ({low:.4f}–{high:.4f})"


def options_of(name: str) -> list[str]:
    """What `mlguide run` is given for a problem.

    Raises:
        AbsentError: its file or its data are not there.
    """
    if name in _SMALL:
        return ["--problem", name, "--sends", _SMALL[name]]
    file, data = SHARED / "problems" / f"{name}.yaml", SHARED / "data" / name.partition("_")[0]
    if missing := [str(path) for path in (file, data) if not path.exists()]:
        raise AbsentError(f"no {' and no '.join(missing)}")
    return ["--problem", str(file), "--source", str(data)]


def run_on(engine: str, name: str, folder: Path) -> tuple[Said, float]:
    """What the run of a problem on an engine came to, in a new home below a folder, and its seconds."""
    home = Home(folder / engine)
    command = [str(Path(sys.executable).with_name("mlguide")), "run", "--engine", engine, "--home", str(home.root)]
    spark = {"MLGUIDE_SPARK": "local[2]", "SPARK_CONF_DIR": str(folder)}
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *options_of(name)], capture_output=True, text=True, check=False, env={**os.environ, **spark}
    )
    if done.returncode:
        raise SystemExit(f"{name} on {engine} failed:\n{done.stderr}")
    return said_by(home), time.perf_counter() - began


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Both runs of a problem, compared."""
    folder.mkdir(parents=True, exist_ok=True)
    write_settings(folder)
    (duckdb, quick), (spark, slow) = (run_on(engine, name, folder) for engine in ("duckdb", "spark"))
    lines = compared(duckdb, spark)
    return {"seconds": [quick, slow], "lines": [asdict(each) for each in lines]}


if __name__ == "__main__":
    try:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    except AbsentError as absent:
        print(json.dumps({"absent": str(absent)}))
