"""A machine that refuses is told in one sentence, whichever library met it and however it says so."""

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy

from mlguide_assets.console.machine import refusal, sentence
from mlguide_assets.console.run import run
from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

HOME = Path("/homes/mine")

REFUSED = {
    "OSError: [Errno 28] No space left on device: '/homes/mine/lake/x'": ("/homes/mine/lake/x", "disk is full"),
    "IOException: IO Error: Could not write file: Disk quota exceeded": ("/homes/mine", "disk is full"),
    "PermissionError: [Errno 13] Permission denied: '/homes/mine/.run.lock'": (".run.lock", "permission denied"),
    "OperationalError: attempt to write a readonly database": ("/homes/mine", "read-only"),
    "IsADirectoryError: [Errno 21] Is a directory: '/homes/mine/clocks/x.json'": ("/homes/mine/clocks/x.json", "move"),
    "NotADirectoryError: [Errno 20] Not a directory: '/homes/mine/lake/t'": ("/homes/mine/lake/t", "is a file"),
    "OSError: [Errno 37] No locks available": ("/homes/mine", "local disk"),
    "OutOfMemoryException: Out of Memory Error: could not allocate block (SET memory_limit='3GB')": (
        "memory",
        "--sends",
    ),
    "_ArrayMemoryError: Unable to allocate 3.1 GiB for an array": ("memory", "history_start"),
    "InvalidInputException: Invalid Input Error: No magic bytes found at end of file '/homes/mine/lake/t/x.parquet'": (
        "/homes/mine/lake/t/x.parquet is damaged",
        "backup",
    ),
    "RuntimeError: can't start new thread": ("memory", "--sends"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_causes_are_named_with_what_to_do(text: str) -> None:
    said = sentence(text, HOME)
    assert said is not None
    assert all(words in said for words in REFUSED[text])
    assert "SET" not in said


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("dagster/history/runs/index.db", "remove it (the history of runs"), ("registry/mlflow.db", "from a backup, or")],
)
def test_a_damaged_database_is_named_with_what_is_lost_without_it(tmp_path: Path, name: str, remedy: str) -> None:
    for each in ("dagster/runs.db", name):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(tmp_path / each)) as database:
            database.execute("CREATE TABLE x (y)")
    (tmp_path / name).write_bytes(b"garbage" * 1000)
    said = str(sentence("DatabaseError: (sqlite3.DatabaseError) file is not a database", tmp_path))
    assert said.startswith(f"The database {tmp_path / name} is damaged")
    assert remedy in said


@pytest.mark.parametrize("table", ["kept", "written"])
def test_a_damaged_data_file_that_duckdb_does_not_name_is_named(tmp_path: Path, table: str) -> None:
    """Such as one with other bytes where a page begins."""
    lake = Lake(Home(tmp_path).lake("shop"))
    for name in ("kept", "written"):
        lake.write(name, pa.table({"n": range(10_000)}))
    (file,) = lake.files(table)
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])
    with pytest.raises(duckdb.Error) as caught:
        lake.read(table).to_pyarrow()
    said = str(refusal(caught.value, tmp_path))
    assert said.startswith(f"{file} is damaged: restore it from a backup, or remove it where 'mlguide run' computes")
    assert sentence("Error: TProtocolException: Invalid data", tmp_path / "other") is not None


def test_a_full_disk_of_temporary_files_is_no_fault_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = f"OSError: [Errno 28] No space left on device: '{tmp_path}/mlguide-check-x/orders.csv'"
    assert "name another folder for temporary files with TMPDIR" in str(sentence(text, HOME))
    assert "choose another home with --home" in str(sentence(text, tmp_path))


@pytest.mark.parametrize(("free", "said"), [(3 * 2**20, "disk is full"), (2**30, "check the disk")])
def test_an_error_of_a_full_disk_is_told_as_one(
    free: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: {tmp_path: usage}[place])
    assert said in str(
        sentence("OperationalError: (sqlite3.OperationalError) disk I/O error", tmp_path / "no" / "home")
    )


def test_any_other_error_is_none_of_the_machine() -> None:
    assert sentence("ValueError: y contains NaN", HOME) is None
    assert refusal(ValueError("y contains NaN"), HOME) is None
    assert refusal(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), HOME) is None


def test_the_cause_of_an_error_is_looked_at() -> None:
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = 1")
        with pytest.raises(sqlalchemy.exc.OperationalError) as met:
            connection.exec_driver_sql("CREATE TABLE t (x)")
    assert isinstance(met.value.__cause__, sqlite3.OperationalError)
    assert "read-only" in str(refusal(met.value, HOME))


def test_every_error_of_the_system_names_its_file() -> None:
    error = OSError(errno.ELOOP, os.strerror(errno.ELOOP), "/a/file/x")
    assert str(refusal(error, HOME)).startswith("/a/file/x: too many levels of symbolic links")


def test_a_world_that_there_is_no_memory_for_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.prepare.memory.available_memory", lambda: 1_500_000_000)
    problem = with_overrides(load_problem("planeswalker"), sends=3_000_000)
    with pytest.raises(InputError, match=r"Training on 3,000,000 sends in external memory, .* needs about"):
        run(Home(tmp_path / "home"), problem)
    assert not (tmp_path / "home").exists()


def test_a_home_is_not_blamed_for_a_connection(tmp_path: Path) -> None:
    said = refusal(ConnectionRefusedError(111, "Connection refused"), tmp_path)
    assert said == "A server: connection refused; what was there before is untouched."
