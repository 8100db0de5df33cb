"""Spark in tests: one per process, set for tables of a few rows; tests of it skip where Java or pyspark is missing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_SETTINGS = {
    "spark.driver.memory": "1g",
    # To compile code for sixty rows, and to plan anew after every stage, takes longer than all the rest.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    # Each broadcast, and each task that sorts or counts, fills blocks of that size with zeros first.
    "spark.broadcast.blockSize": "64k",
    "spark.buffer.pageSize": "256k",
    "spark.driver.extraJavaOptions": (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmn300m -Xms900m -Xshare:auto -XX:-UsePerfData"
        # Room for its code and classes: else the code is swept, and the heap collected, to make some.
        " -XX:ReservedCodeCacheSize=240m -XX:MetaspaceSize=256m"
        # Nobody doubts the classes of Spark.
        " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
    ),
}


def write_settings(folder: Path, **more: str) -> None:
    """Set a Spark whose `SPARK_CONF_DIR` is a folder for small tables."""
    lines = "\n".join(f"{key} {value}" for key, value in {**_SETTINGS, **more}.items())
    (folder / "spark-defaults.conf").write_text(lines)


@contextmanager
def small_spark(folder: Path) -> Iterator[Any]:
    """Spark on two cores of this machine, as `MLGUIDE_SPARK` opens it.

    Args:
        folder: for its settings, which a user keeps in `SPARK_CONF_DIR` as well.
    """
    pytest.importorskip("pyspark", reason="pyspark is not installed: it is in the extra spark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed: on Debian it is openjdk-17-jre-headless")
    from mlguide_assets.prepare.spark.session import VARIABLE, spark_session

    write_settings(folder)
    os.environ |= {VARIABLE: "local[2]", "SPARK_CONF_DIR": str(folder)}
    session = spark_session()
    yield session
    session.stop()
    del os.environ[VARIABLE], os.environ["SPARK_CONF_DIR"]
