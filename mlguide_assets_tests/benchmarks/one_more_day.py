"""One building of the tables from a folder of Parquet files, in a process of its own.

`one_more_day world FOLDER SENDS DAYS` writes a world as known so many days before its end; `one_more_day build FOLDER
LAKE` reads it into a lake, and prints seconds, gigabytes, and the content of the tables.
"""

import json
import resource
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from mlguide_assets.console.run import collect_garbage_rarely
from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.core import core_by_partition
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.sources.simulated import world_of
from mlguide_assets_tests.prepare.ingesting import keep


def write_world(folder: Path, sends: int, days: int) -> None:
    world = world_of(with_overrides(load_problem("planeswalker"), sends=sends))
    write(world, folder, until=datetime.combine(world.end, datetime.min.time()) - timedelta(days=days))


def build(source: Path, root: Path) -> None:
    # As the command does.
    collect_garbage_rarely()
    start = time.perf_counter()
    lake = Lake(root)
    problem = with_overrides(load_problem("planeswalker"), source=str(source))
    with ingest(problem, lake, oracle=root, report=lambda _: None) as read:
        refuse_blocked(read.results, problem.rules, read.place)
        keep(lake, read)
    with core_by_partition(lake, problem) as core:
        assert isinstance(core, Partitions)
        lake.write_partitions(problem.core_table, core)
    with features_by_partition(lake, problem) as features:
        lake.write_partitions(problem.features_table, features)
    figures = {
        "seconds": time.perf_counter() - start,
        "processor": time.process_time(),
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1024**3,
        "rebuilt": [len(features.rebuilt), len(features.rebuilt) + len(features.kept)],
        "content": {name: snapshot.content_hash for name, snapshot in lake.tables().items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1] == "world":
        write_world(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        build(Path(sys.argv[2]), Path(sys.argv[3]))
