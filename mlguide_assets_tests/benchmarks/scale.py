"""What one machine does with more rows than its memory holds: `scale train|batch FOLDER SENDS USERS`.

On the tables and features that the benchmark of features left in the folder. Each way is a process of its own, which
prints its seconds, its peak memory in GB and what it did as JSON.
"""

import json
import resource
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.batch import Scorer, candidates, choices, ids_of, score
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.candidate import train_candidate
from mlguide_assets.train.lineage import Lineage
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.storage import save_candidate
from mlguide_assets_tests.benchmarks.features import accepted

DAY = date(2026, 1, 1)


def train(folder: Path, problem: Problem) -> dict[str, Any]:
    """A whole training in external memory: choice, baselines, holdout model, and the model that would ship."""
    features = connect(spill=folder / "spill").read_parquet(str(folder / "ours.parquet"))
    start = time.perf_counter()
    candidate = train_candidate(features, problem, contenders=(XGBOOST,), trainer="external_memory", scratch=folder)
    seconds = time.perf_counter() - start
    save_candidate(candidate, problem, Lineage({}, "", "", "", ""), folder / "candidate")
    facts = candidate.facts
    return {"seconds": seconds, "rows": facts["rows_learned_by_xgboost"], "rounds": facts["rounds"]}


def batch(folder: Path, problem: Problem, users: int) -> dict[str, Any]:
    """Scores of so many users with every candidate, written to a lake; the states of users are repeated."""
    connection = connect(spill=folder / "spill")
    tables, as_of = accepted(problem, connection, folder), datetime.combine(DAY, datetime.min.time())
    connection.to_parquet(entity_state(tables, problem, "user", as_of), str(folder / "states.parquet"))
    states = connection.read_parquet(str(folder / "states.parquet")).mutate(place=ibis.row_number())
    once = int(states.count().to_pyarrow().as_py())
    repeated = states.cross_join(ibis.memtable({"time": list(range(-(-users // once)))}))
    repeated = repeated.mutate(user_id=repeated.time * once + repeated.place).drop("time", "place").limit(users)
    connection.to_parquet(repeated, str(folder / "users.parquet"))
    units = connection.read_parquet(str(folder / "users.parquet"))
    offered = candidates(entity_state(tables, problem, "email", as_of), problem)
    features = connection.read_parquet(str(folder / "ours.parquet"))
    start = time.perf_counter()
    scored = score(
        choices(units, offered, problem),
        Scorer(folder / "candidate", problem.costs.threshold, "1"),
        problem,
        ids=ids_of(features, problem),
        day=DAY,
        run_id="benchmark",
    )
    snapshot = Lake(folder / "lake").write_partition("batch_predictions", DAY.isoformat(), scored)
    return {"seconds": time.perf_counter() - start, "rows": snapshot.rows}


def main(way: str, folder: Path, sends: int, users: int) -> None:
    problem = with_overrides(load_problem("planeswalker"), sends=sends)
    done = train(folder, problem) if way == "train" else batch(folder, problem, users)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1024**3
    print(json.dumps({**done, "gigabytes": gigabytes}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
