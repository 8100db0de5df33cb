"""Measure what the design promises: `python -m mlguide_assets_tests.benchmarks [--sends 1000000 ...]`.

Every row is a process of its own, so its peak memory is its own; what is compared is taken in one run.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlguide_assets_tests.benchmarks.rows import Row
from mlguide_assets_tests.benchmarks.rows_of_experiments import error_rates, figures, off_policy, replayed
from mlguide_assets_tests.benchmarks.rows_of_homes import analyse, drift, loading, rollback, serving, whole_run
from mlguide_assets_tests.benchmarks.rows_of_problems import chance, check, problems
from mlguide_assets_tests.benchmarks.rows_of_tables import (
    engines,
    features,
    generator,
    one_more_day,
    scale,
    skewed,
    spark,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sends", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes for the features")
    parser.add_argument("--no-pandas-above", type=int, default=10_000_000, help="leave pandas out of larger sizes")
    parser.add_argument("--only", help="run the rows whose name contains this")
    parser.add_argument("--seeds", type=int, default=1, help="replays of calm; of an experiment four times as many")
    arguments = parser.parse_args()
    table = Table(
        "what", "measured", "budget", "within", title=f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    )
    with tempfile.TemporaryDirectory(prefix="mlguide-benchmarks-") as folder:
        rows = _rows(Path(folder), arguments.sends, arguments.no_pandas_above)
        if arguments.only:
            rows += _asked_for(Path(folder), arguments.sends, arguments.seeds)
        for name, measure in rows:
            if arguments.only and arguments.only not in name:
                continue
            for row in measure():
                table.add_row(*row)
                Console(stderr=True).print("  ".join(row))
    Console(width=120).print(table)


def _rows(folder: Path, sizes: list[int], no_pandas_above: int) -> list[tuple[str, Callable[[], list[Row]]]]:
    rows: list[tuple[str, Callable[[], list[Row]]]] = [
        ("import", loading),
        ("generator", lambda: generator(folder)),
    ]
    for sends in sizes:
        rows.append((f"features {sends}", lambda sends=sends: features(folder, sends, sends <= no_pandas_above)))
    for sends in sizes:
        rows.append((f"one more day {sends}", lambda sends=sends: one_more_day(folder, sends)))
    return [
        *rows,
        ("whole run", lambda: whole_run(folder)),
        ("rollback", lambda: rollback(folder)),
        ("serving", lambda: serving(folder)),
        ("drift", lambda: drift(folder)),
        ("analyse", lambda: analyse(folder)),
        ("figures", figures),
        ("off_policy", off_policy),
        ("experiments", error_rates),
        ("problems", problems),
        ("check", lambda: check(folder)),
        ("spark", lambda: spark(folder)),
    ]


def _asked_for(folder: Path, sizes: list[int], seeds: int) -> list[tuple[str, Callable[[], list[Row]]]]:
    """What is measured only by its name, since it takes many minutes."""
    return [
        ("chance", lambda: chance(folder / "chance")),
        ("replay", lambda: replayed(seeds)),
        ("scale", lambda: scale(folder, sizes)),
        ("engines", lambda: engines(folder)),
        ("skewed", lambda: skewed(folder, sizes)),
    ]


if __name__ == "__main__":
    main()
