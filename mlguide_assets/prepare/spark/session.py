"""Opening Spark: where it runs is said by `MLGUIDE_SPARK`, and what it must hold to is set here.

Times are without a zone and in UTC, as everywhere in this package; ANSI mode, so that what cannot be computed is an
error rather than a null.
"""

import logging
import os
import shutil
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlguide_assets.define.secrets import nothing_secret_raised, reason, shown_address
from mlguide_assets.errors import InputError

VARIABLE = "MLGUIDE_SPARK"
DEFAULT = "local[*]"
_CONNECT_PORT, _PATIENCE = 15002, 10
"""Where Spark Connect listens by default, and the seconds within which somebody must."""
_RETRIES = 5
"""Of a call that a server does not answer: the waits between them are 17 s in all. Several are made once it is gone."""
_SEMANTICS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Keys of partitions are texts, also 2025.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}
_OWN_PROCESS = {
    # Nobody else is to see the tables of this machine, or a port of it.
    "spark.ui.enabled": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


def spark_session() -> Any:
    """The Spark of this process, opened by the first who asks.

    Raises:
        InputError: pyspark or Java is missing, or nobody answers at the address.
    """
    return _session(os.environ.get(VARIABLE) or DEFAULT)


@cache
def _session(address: str) -> Any:
    return open_spark(address)


def open_spark(address: str) -> Any:
    """A Spark session at an address; errors as of `spark_session`."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise InputError(
            "The engine spark needs pyspark, which is not installed: "
            'run uv pip install -c constraints.txt -e ".[spark]", or use the engine duckdb.'
        ) from error
    _say_errors_once()
    builder: Any = SparkSession.builder.appName("mlguide")
    for key, value in _SEMANTICS.items():
        builder = builder.config(key, value)
    if address.startswith("sc://"):
        return _connected(builder, address)
    _require_java()
    if address.startswith("local"):
        # Its workers are to find what this process finds.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for key, value in (_OWN_PROCESS | _local(address)).items():
        builder = builder.config(key, value)
    return _opened(builder.master(address), address)


def _say_errors_once() -> None:
    """What Spark raises is told in a sentence: its clients also log it, as stack traces and as JSON."""
    from pyspark.logger import PySparkLogger

    # A call that is under way when Java ends: py4j logs its stack trace, some of it by the root logger.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_of_py4j)
    for context in ("SQL", "DataFrame"):
        PySparkLogger.getLogger(f"{context}QueryContextLogger").setLevel(logging.CRITICAL)


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent.name != "py4j"


def _connected(builder: Any, address: str) -> Any:
    """Spark Connect: nobody who does not answer is waited for as long as by default, which is ten minutes."""
    # Its client also logs each error that it raises, as JSON with a stack trace; it looks at this when imported.
    os.environ.setdefault("SPARK_CONNECT_LOG_LEVEL", "CRITICAL")
    from pyspark.sql.connect.client.retries import DefaultPolicy

    try:
        server = urlsplit(address)
        socket.create_connection((server.hostname, server.port or _CONNECT_PORT), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        raise _not_opened(address, error) from error
    session = _opened(builder.remote(address), address)
    session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
    return session


def _local(address: str) -> dict[str, str]:
    if not address.startswith("local"):
        return {}
    return {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}


def _opened(builder: Any, address: str) -> Any:
    with nothing_secret_raised(address):
        try:
            return builder.getOrCreate()
        except Exception as error:
            raise _not_opened(address, error) from error


def _not_opened(address: str, error: Exception) -> InputError:
    said = reason((str(error).splitlines() or [""])[0][:200], address)
    return InputError(
        f"Spark could not be opened at {shown_address(address)} ({type(error).__name__}: {said}): "
        f"set {VARIABLE} to local[2], spark://host:7077 or sc://host:15002."
    )


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if (home and (Path(home) / "bin" / "java").exists()) or shutil.which("java"):
        return
    raise InputError(
        "The engine spark needs Java 17 or newer, which is not installed: install it, on Debian with "
        "apt-get install openjdk-17-jre-headless, or use the engine duckdb."
    )
