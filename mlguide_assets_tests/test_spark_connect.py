"""Spark Connect: a server that is another process, and a client that has no Java."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import clock_of, declarations_of, features_of_all, resolved, tables_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.spark import shared_parts
from mlguide_assets_tests.other_tables import ORDERS, problem_of, write_orders
from mlguide_assets_tests.processes import PROCESSES, free_port
from mlguide_assets_tests.spark import write_settings
from mlguide_assets_tests.test_spark import assert_equal

PATIENCE = 300


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, as `start-connect-server.sh` starts it, on two cores."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: it is in the extra spark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed: on Debian it is openjdk-17-jre-headless")
    folder, port = tmp_path_factory.mktemp("connect"), free_port()
    listens = {"address": "127.0.0.1", "port": str(port)}
    write_settings(folder, **{f"spark.connect.grpc.binding.{key}": value for key, value in listens.items()})
    command = [
        *(str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local[2]"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"),
    ]
    environment = {**os.environ, "SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(server, port, folder / "log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)


def computed(lake: Lake, problem: Problem) -> pa.Table:
    """The features of every decision."""
    tables = tables_of(lake, problem)
    features = features_of_all(tables, problem, clock=clock_of(tables, problem))
    return features.order_by(*problem.decision.order).to_pyarrow()


def compute_remotely(folder: Path, problem: Problem, address: str) -> None:
    os.environ["MLGUIDE_SPARK"] = address
    # Some of what is read twice is kept, as it is where a query would grow otherwise.
    shared_parts.MOST_COPIED = 100
    pq.write_table(computed(Lake(folder / "lake", engine="spark"), problem), folder / "features.parquet")


@pytest.mark.spark
@pytest.mark.slow
def test_a_server_computes_what_duckdb_does(tmp_path: Path, address: str) -> None:
    write_orders(tmp_path / "orders", customers=40)
    problem = problem_of({**ORDERS, "features": {"automatic": {"windows": ["14d"], "max": 2}}}, tmp_path)
    lake, orders = Lake(tmp_path / "lake"), pyarrow.csv.read_csv(tmp_path / "orders" / "orders.csv")
    lake.write("orders", orders.set_column(1, "ordered", orders["ordered"].cast(pa.timestamp("us"))))
    asked = resolved(problem, declarations_of(lake, problem))
    # A process has one Spark, and that of the tests is none that is far away.
    process = PROCESSES.Process(target=compute_remotely, args=(tmp_path, asked, address))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert_equal(computed(lake, asked), pq.read_table(tmp_path / "features.parquet"), "features")
