"""False alarms and the delay of a true one, on replayed days of a simulated world: `drift FOLDER`; prints JSON."""

import json
import sys
import time
from pathlib import Path

from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.observe.replaying import Replay


def main(folder: Path) -> dict[str, float | int | None]:
    replay = Replay(World(sends=250_000, days=365), folder)
    start = time.perf_counter()
    quiet = list(replay.days(replay.world))
    seconds = (time.perf_counter() - start) / len(quiet)
    later = [(day, drift.level) for day, drift in replay.days(replay.shifted) if day >= replay.shift]

    def delay(*levels: str) -> int | None:
        return next(((day - replay.shift).days + 1 for day, level in later if level in levels), None)

    return {
        "windows": len(quiet),
        "false_acts": sum(drift.level == "act" for _, drift in quiet),
        "false_warnings": sum(drift.level == "warn" for _, drift in quiet),
        "days_to_warning": delay("warn", "act"),
        "days_to_act": delay("act"),
        "seconds": seconds,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
