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

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.prepare.contracts import refuse_blocked, results_table
from mlguide_assets.prepare.core import CORE, rebuilt_core_users
from mlguide_assets.prepare.features.rebuilding import FEATURES, rebuilt_send_features
from mlguide_assets.prepare.ingest import QUARANTINED, ingest
from mlguide_assets.prepare.lake import Lake, Partitions
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.sources.simulated import world_of


def write_world(folder: Path, sends: int, days: int) -> None:
    world = world_of(with_overrides(load_problem("planeswalker"), sends=sends))
    write(world, folder, until=datetime.combine(world.end, datetime.min.time()) - timedelta(days=days))


def build(source: Path, root: Path) -> None:
    start = time.perf_counter()
    problem, lake = with_overrides(load_problem("planeswalker"), source=str(source)), Lake(root)
    laps = {}
    with ingest(problem, lake, oracle=root, report=lambda _: None) as read:
        refuse_blocked(read.results, read.place)
        laps["judge"] = time.process_time()
        for name, rows in read.tables.items():
            lake.write_partitions(name, rows) if isinstance(rows, Partitions) else lake.write(name, rows)
        lake.write("contract_results", results_table(read.results))
        lake.write_partitions(QUARANTINED, read.quarantined)
    laps["ingest"] = time.process_time()
    core = rebuilt_core_users(lake)
    lake.write_partitions(CORE, core)
    laps["core"] = time.process_time()
    with rebuilt_send_features(lake, problem) as partitions:
        laps["narrow"] = time.process_time()
        lake.write_partitions(FEATURES, partitions)
    seconds = time.perf_counter() - start
    laps["features"] = seconds
    print(laps, len(core.anew), len(core.kept), len(partitions.anew), file=sys.stderr)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1024**3
    content = {name: snapshot.content_hash for name, snapshot in lake.tables().items()}
    print(json.dumps({"seconds": seconds, "gigabytes": gigabytes, "content": content}))


if __name__ == "__main__":
    if sys.argv[1] == "world":
        write_world(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        build(Path(sys.argv[2]), Path(sys.argv[3]))
