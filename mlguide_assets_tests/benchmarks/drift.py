"""False alarms and the delay of a true one, on replayed days of a simulated world: `drift FOLDER`; prints JSON."""

import json
import sys
import time
from datetime import date
from pathlib import Path

from mlguide_assets.observe.drift.data_drift import DayDrift
from mlguide_assets.observe.drift.table import TOGETHER
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.observe.replaying import Replay


def main(folder: Path) -> dict[str, float | int | None]:
    replay = Replay(World(sends=250_000, days=365), folder)
    start = time.perf_counter()
    quiet = list(replay.days(replay.world, together=True))
    seconds = (time.perf_counter() - start) / len(quiet)
    later = [(day, drift) for day, drift in replay.days(replay.shifted, together=True) if day >= replay.shift]
    alone = [(day, level_of(drift, TOGETHER)) for day, drift in later]

    def delay(levels: list[tuple[date, str]], *wanted: str) -> int | None:
        return next(((day - replay.shift).days + 1 for day, level in levels if level in wanted), None)

    whole = [(day, drift.level) for day, drift in later]

    return {
        "windows": len(quiet),
        "false_acts": sum(drift.level == "act" for _, drift in quiet),
        "false_warnings": sum(drift.level == "warn" for _, drift in quiet),
        "days_to_warning": delay(whole, "warn", "act"),
        "days_to_act": delay(whole, "act"),
        "false_warnings_of_classifier": sum(level_of(drift, TOGETHER) == "warn" for _, drift in quiet),
        "days_to_warning_of_classifier": delay(alone, "warn"),
        "share_of_shifted_days_that_classifier_warns_of": sum(level == "warn" for _, level in alone) / len(alone),
        "seconds": seconds,
    }


def level_of(drift: DayDrift, column: str) -> str:
    """The level of one row of a day's verdicts."""
    return next((row["level"] for row in drift.table.to_pylist() if row["column"] == column), "none")


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
