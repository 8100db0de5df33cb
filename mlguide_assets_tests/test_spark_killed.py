"""Spark whose processes are killed while they write: an executor, the driver, the Java machine of a running command.

All of it real: what is killed is a process, by the signal that it cannot answer.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.define.loading import current_problem
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets_tests.commands import mlguide
from mlguide_assets_tests.homes import copied
from mlguide_assets_tests.processes import PROCESSES, is_killed
from mlguide_assets_tests.spark import write_settings

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]

PATIENCE = 180
EXECUTOR, DRIVER = "executor", "driver"


def stops(told: Path) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function of batches that says in a file which Java machine it serves, and stops there; a second time it works.

    It is sent as a whole, with what it uses.
    """

    def passed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if not told.exists():
                # The daemon of Spark's Python workers is a child of the machine.
                machine = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]
                told.with_suffix(".part").write_text(machine)
                told.with_suffix(".part").rename(told)
                time.sleep(600)

    return passed


def write_twice(folder: Path) -> None:
    """Pass a table on, on an executor that is another process than the driver; then its successor."""
    os.environ |= {"MLGUIDE_SPARK": "local-cluster[1,1,1024]", "SPARK_CONF_DIR": str(folder)}
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Of an executor that is gone Spark says more than a test is to print.
    os.dup2(os.open(folder / "said", os.O_CREAT | os.O_WRONLY), 2)
    lake = Lake(folder / "lake", engine="spark")
    for each in (EXECUTOR, DRIVER):
        rows = lake.open("t")
        more = rows.mutate(x=rows.x + 1)
        lake.write("t", lake.engine.mapped(more, stops(folder / each), rows.schema().to_pyarrow()))


def appears(told: Path, process: Any) -> int:
    """The number in a file, once it is there."""
    end = time.monotonic() + PATIENCE
    while not told.exists():
        assert process.is_alive()
        assert time.monotonic() < end, told
        time.sleep(0.02)
    return int(told.read_text())


def begun(root: Path) -> list[Path]:
    """Where Spark's tasks write what is not finished, below a folder."""
    return list(root.rglob("_temporary"))


def ends(pid: int) -> bool:
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_an_executor_that_is_killed_costs_nothing_and_a_driver_leaves_the_previous_snapshot(tmp_path: Path) -> None:
    write_settings(tmp_path, **{"spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"})
    lake = Lake(tmp_path / "lake")
    lake.write("t", pa.table({"x": [1, 2]}))
    process = PROCESSES.Process(target=write_twice, args=(tmp_path,))
    process.start()
    try:
        executor = appears(tmp_path / EXECUTOR, process)
        os.kill(executor, signal.SIGKILL)
        successor = appears(tmp_path / DRIVER, process)
        before, rows = lake.snapshot("t"), lake.read_arrow("t")
        assert begun(lake.root)
    finally:
        process.kill()
    assert is_killed(process)
    assert ends(successor)
    assert successor != executor
    assert sorted(rows["x"].to_pylist()) == [2, 3]
    assert lake.snapshot("t") == before
    # The next one, on another Spark, goes on, and nothing is left of the one before.
    again = Lake(lake.root, engine="spark")
    rows = again.open("t")
    again.write("t", rows.mutate(x=rows.x + 1))
    assert sorted(lake.read_arrow("t")["x"].to_pylist()) == [3, 4]
    assert not list(lake.root.glob(".scratch-*"))


def kill_java_of(folder: Path, lake: Path, killed: list[int]) -> None:
    """Kill the Java machine that was started in a folder, once it writes below the lake."""
    end = time.monotonic() + PATIENCE
    while not begun(lake):
        if time.monotonic() > end:
            return
        time.sleep(0.005)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, place = (process / "comm").read_text().strip(), (process / "cwd").readlink()
        except OSError:
            continue
        if name == "java" and place == folder:
            killed.append(int(process.name))
            os.kill(killed[-1], signal.SIGKILL)


@pytest.mark.slow
def test_a_run_whose_java_machine_is_killed_ends_with_a_sentence_and_changes_nothing(
    tmp_path: Path, sample_home: Path
) -> None:
    folder, settings = copied(sample_home, tmp_path / "copy"), tmp_path / "settings"
    settings.mkdir()
    write_settings(settings)
    home = Home(folder / "home")
    lake = Lake(home.lake(current_problem(home).key))
    tables = {name: lake.snapshot(name) for name in lake.tables()}
    killed: list[int] = []
    killer = threading.Thread(target=kill_java_of, args=(folder, lake.root, killed))
    killer.start()
    done = mlguide(
        "run", "--engine", "spark", "--home", "home", cwd=folder, MLGUIDE_SPARK="local[2]", SPARK_CONF_DIR=str(settings)
    )
    killer.join()
    assert killed
    assert done.code == 2, done.err
    assert "Spark at local[2] ended or no longer answers" in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert {name: lake.snapshot(name) for name in lake.tables()} == tables
    assert not list(lake.root.glob(".scratch-*"))


def test_errors_are_told_by_a_sentence_alone() -> None:
    # Whether a call is under way when Java ends, of which py4j logs the stack trace, is a matter of milliseconds.
    for name in ("py4j.java_gateway", "SQLQueryContextLogger"):
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
    gateway = pytest.importorskip("py4j.java_gateway").__file__
    said = [logging.LogRecord("root", logging.ERROR, path, 1, "?", (), None) for path in (gateway, __file__)]
    assert [bool(logging.getLogger().filter(record)) for record in said] == [False, True]
