"""A Spark that is gone or cannot work is named; what else fails is not taken for it, and no disk is blamed."""

import socket
from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.spark.failures import naming_failures
from mlguide_assets.prepare.spark.session import VARIABLE, open_spark


def met_by(package: str, name: str, text: str) -> Exception:
    """An error as a library of Spark's raises it, where that is installed."""
    module = pytest.importorskip(package, reason="pyspark is not installed: it is in the extra spark")
    error: Exception = getattr(module, name)(text)
    return error


@pytest.mark.parametrize(
    ("package", "name", "text"),
    [
        ("builtins", "ConnectionRefusedError", "[Errno 111] Connection refused"),
        ("py4j.protocol", "Py4JNetworkError", "Answer from Java side is empty"),
        ("py4j.protocol", "Py4JError", "SparkSession does not exist in the JVM"),
        ("pyspark.errors.exceptions.connect", "SparkConnectGrpcException", "<Rendezvous StatusCode.UNAVAILABLE>"),
        ("pyspark.errors", "RetriesExceeded", "[RETRIES_EXCEEDED]"),
    ],
)  # fmt: skip
def test_a_spark_that_is_gone_is_named(package: str, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "spark://somewhere:7077")
    with (
        pytest.raises(InputError, match="Spark at spark://somewhere:7077 ended"),
        naming_failures(),
    ):
        raise met_by(package, name, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Traceback ...\nModuleNotFoundError: No module named 'pyarrow'\n", "at local.* has no package 'pyarrow'"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.13", "is of another version"),
    ],
)
def test_workers_with_other_packages_are_named(text: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with (
        pytest.raises(InputError, match=f"Python of Spark's workers .*{sentence}.*set PYSPARK_PYTHON"),
        naming_failures(),
    ):
        raise met_by("pyspark.errors", "PythonException", text)


def test_what_a_function_raises_on_workers_is_not_taken_for_their_python() -> None:
    with pytest.raises(Exception, match="division by zero"), naming_failures():
        raise met_by("pyspark.errors", "PythonException", "ZeroDivisionError: division by zero")


def test_what_spark_refuses_is_not_taken_for_its_end() -> None:
    with pytest.raises(ValueError, match="a column is missing"), naming_failures():
        raise ValueError("a column is missing")


def test_a_disk_is_not_blamed_for_a_connection(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), writing("A table", tmp_path):
        raise ConnectionResetError("reset by peer")


def test_a_server_that_does_not_listen_is_named_at_once() -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed: it is in the extra spark")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"sc://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(InputError, match=f"could not be opened at {address} .*Connection refused"):
            open_spark(address)
