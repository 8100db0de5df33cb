"""What cannot be read says why, and what to do: a database in a file, and an address that is of none."""

import importlib.util
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mlguide_assets.errors import InputError, first_line
from mlguide_assets.prepare.sources.connecting import connected

_WRITER = "import duckdb, sys; database = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"

needs_sqlite = pytest.mark.skipif(
    importlib.util.find_spec("regex") is None, reason="Ibis's SQLite driver is not installed: ibis-framework[sqlite]"
)


def test_a_duckdb_file_that_another_process_writes_is_to_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    duckdb.connect(path).close()
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(InputError) as met, connected(f"duckdb://{path}", "duckdb://shop.duckdb"):
            pass
        writer.communicate("")
    assert str(met.value) == (
        f"The database duckdb://shop.duckdb is open in another process (PID {writer.pid}), which writes it: wait until "
        f"that process ends or closes the file, then run again."
    )


@needs_sqlite
def test_a_sqlite_file_that_is_being_written_is_to_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("CREATE TABLE orders (id)")
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(
        InputError, match=r"^The database sqlite://shop\.db is open in another process, which writes it"
    ):
        _list_tables(path)
    writer.close()


@needs_sqlite
def test_a_file_that_is_no_sqlite_is_not_taken_for_a_damaged_home(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("id,name\n1,x\n" * 1000)
    with pytest.raises(InputError, match=r"shop\.db cannot be read \(file is not a database\): .* file of SQLite"):
        _list_tables(tmp_path / "shop.db")


def _list_tables(path: Path) -> None:
    with connected(f"sqlite://{path}", f"sqlite://{path.name}") as database:
        database.con.execute("PRAGMA busy_timeout = 1")
        database.list_tables()


def test_what_an_engine_says_is_cut_between_words() -> None:
    link = f"https://example.org/{'x' * 100}"
    assert first_line(f"{'word ' * 30}{link}\nmore") == f"{'word ' * 30}…"
    assert first_line(f"see {link}") == f"see {link}"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://shop/tables", "No tables are read from s3://: copy the files of s3://shop/tables to a folder"),
        ("file:///data/shop", "given as its path: write /data/shop instead of file:///data/shop"),
        ("mariadb://host/shop", "write mysql:// there"),
        ("jdbc:postgresql://host/shop", "write postgres:// there"),
        ("mysql+pymysql://host/shop", "write mysql:// there"),
        ("mongodb://host/shop", "is of no database that can be read: it may begin with athena, bigquery, clickhouse"),
    ],
)
def test_an_address_of_no_database_says_what_to_write(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said), connected(address, address):
        pass


@pytest.mark.skipif(importlib.util.find_spec("oracledb") is not None, reason="the driver is installed")
def test_a_driver_that_is_missing_is_named() -> None:
    said = r"needs the package 'oracledb': install Ibis's driver with .*\"ibis-framework\[oracle\]\""
    with pytest.raises(InputError, match=said), connected("oracle://host/shop", "oracle://host/shop"):
        pass
