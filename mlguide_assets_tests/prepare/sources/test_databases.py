"""Databases: DuckDB and SQLite files and a real PostgreSQL give the tables that the files give."""

import importlib.util
import os
import re
import socket
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.sources.connecting import connected
from mlguide_assets.prepare.sources.database import read_database
from mlguide_assets.prepare.sources.sqlite_tables import sqlite_table, write_sqlite_table
from mlguide_assets_tests.prepare.ingesting import accepted, lake_over, refusal
from mlguide_assets_tests.samples import Tables, sample_problem, sample_tables

POSTGRES = os.environ.get("MLGUIDE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
SAMPLE = {name: table.to_pylist() for name, table in sample_tables().items()}


def write_duckdb(path: Path, tables: Tables) -> str:
    with duckdb.connect(path) as database:
        for name, rows in tables.items():
            database.register("rows", rows)
            database.execute(f"CREATE TABLE {name} AS FROM rows")
    return f"duckdb://{path}"


def write_sqlite(path: Path, tables: Tables) -> str:
    with sqlite3.connect(path) as database:
        for name, rows in tables.items():
            types = [f"{column} {_sqlite_type(str(rows.schema.field(column).type))}" for column in rows.column_names]
            database.execute(f"CREATE TABLE {name} ({', '.join(types)})")
            values = [[str(v) if hasattr(v, "year") else v for v in row.values()] for row in rows.to_pylist()]
            database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * rows.num_columns)})", values)
    database.close()
    return f"sqlite://{path}"


def _sqlite_type(arrow: str) -> str:
    return {"int64": "INTEGER", "string": "TEXT"}.get(arrow, "TIMESTAMP")


def test_a_duckdb_file_is_read_like_files(duck: Any, tmp_path: Path) -> None:
    address = write_duckdb(tmp_path / "shop #1?.duckdb", sample_tables())
    assert accepted(sample_problem(address), duck, tmp_path) == SAMPLE


def test_a_sqlite_file_is_read_like_files(duck: Any, tmp_path: Path) -> None:
    if importlib.util.find_spec("regex") is None:
        pytest.skip("Ibis's SQLite driver is not installed: ibis-framework[sqlite]")
    address = write_sqlite(tmp_path / "shop 50% #1?.sqlite", sample_tables())
    assert accepted(sample_problem(address), duck, tmp_path) == SAMPLE


def test_a_database_in_use_by_a_reader_is_read(duck: Any, tmp_path: Path) -> None:
    address = write_duckdb(tmp_path / "shop.duckdb", sample_tables())
    with duckdb.connect(tmp_path / "shop.duckdb", read_only=True):
        assert accepted(sample_problem(address), duck, tmp_path) == SAMPLE


def test_a_table_larger_than_a_batch_is_read_whole(duck: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.prepare.sources.database.BATCH_ROWS", 7)
    address = write_duckdb(tmp_path / "shop.duckdb", sample_tables())
    assert accepted(sample_problem(address), duck, tmp_path) == SAMPLE


def rows_of(table: str, uri: str, duck: Any, tmp_path: Path) -> list[dict[str, Any]]:
    """A table of a database, with all its columns."""
    everything = read_database(
        {"odd": table}, uri, duck, scratch=tmp_path, timeout=timedelta(seconds=30), report=lambda _: None,
        wanted=lambda _, columns: columns,
    )  # fmt: skip
    rows: list[dict[str, Any]] = everything["odd"].to_pyarrow().to_pylist()
    return rows


def test_types_of_duckdb_that_arrow_has_not_are_texts(duck: Any, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "odd.duckdb") as database:
        database.execute(
            "CREATE TABLE odd AS SELECT 'a'::ENUM('a', 'b') AS enum, INTERVAL 1 DAY AS span, TIME '12:00' AS time, "
            "'101'::BIT AS bits, [1, 2] AS list, {'a': 1} AS struct, UUID '6ecd8c99-4036-403d-bf84-cf8400f67836' AS id"
        )
    rows = rows_of("odd", f"duckdb://{tmp_path / 'odd.duckdb'}", duck, tmp_path)
    texts = ("a", "1 day", "12:00:00", "101", "[1, 2]", "{'a': 1}", "6ecd8c99-4036-403d-bf84-cf8400f67836")
    assert rows == [dict(zip(("enum", "span", "time", "bits", "list", "struct", "id"), texts, strict=True))]


SQLITE = {
    "whole numbers and none": ("INTEGER", [2**62 + 1, None], [2**62 + 1, None]),
    "more than a declaration holds": ("TINYINT(1)", [2**62 + 1, -(2**63)], [2**62 + 1, -(2**63)]),
    "fractions": ("INTEGER", [1, 2.5, None], [1.0, 2.5, None]),
    "fractions and large numbers": ("NUMERIC", [2**62 + 1, 2.5], ["4611686018427387905", "2.5"]),
    "decimals": ("DECIMAL(10,2)", [2**62 + 1, 7], [2**62 + 1, 7]),
    "words among numbers": ("REAL", [1, 2.5, "N/A"], ["1", "2.5", "N/A"]),
    "times of a zone": ("DATETIME", ["2024-01-05 10:30:00+02:00", None], ["2024-01-05 10:30:00+02:00", None]),
    "times in days": ("DATE", ["2024-01-05 10:30:00"], ["2024-01-05 10:30:00"]),
    "days before months": ("TIMESTAMP", ["05.01.2024"], ["05.01.2024"]),
    "seconds since 1970": ("DATETIME", [1704450600], [1704450600]),
    "flags": ("BOOLEAN", [1, 0, None], [True, False, None]),
    "flags in words": ("BOOLEAN", ["false", "Y"], ["false", "Y"]),
    "counts": ("BOOLEAN", [2, 0], [2, 0]),
    "bytes": ("BLOB", [b"a", None], [b"a", None]),
    "bytes among texts": ("TEXT", [b"a", "b"], ["a", "b"]),
    "no declaration": ("", [1, "x"], ["1", "x"]),
    "a declaration that nobody knows": ("interval", ["1 day"], ["1 day"]),
    "nothing": ("INTEGER", [None], [None]),
}
"""What a column is declared as, what it holds, and what is read."""


@pytest.fixture
def sqlite_driver() -> None:
    if importlib.util.find_spec("regex") is None:
        pytest.skip("Ibis's SQLite driver is not installed: ibis-framework[sqlite]")


@pytest.mark.usefixtures("sqlite_driver")
def test_a_column_of_sqlite_holds_what_its_values_are(
    duck: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlguide_assets.prepare.sources.database.BATCH_ROWS", 2)
    monkeypatch.setattr("mlguide_assets.prepare.sources.sqlite_tables._COLUMNS_AT_ONCE", 5)
    with sqlite3.connect(tmp_path / "odd.sqlite") as database:
        declared = ", ".join(f'"{name}" {declaration}' for name, (declaration, *_) in SQLITE.items())
        database.execute(f'CREATE TABLE "the ""odd""" ({declared})')
        for place in range(3):
            row = [given[place] if place < len(given) else None for _, given, _ in SQLITE.values()]
            database.execute(f'INSERT INTO "the ""odd""" VALUES ({", ".join("?" * len(row))})', row)
    database.close()
    rows = rows_of('main.the "odd"', f"sqlite://{tmp_path / 'odd.sqlite'}", duck, tmp_path)
    for name, (_, _, wanted) in SQLITE.items():
        assert [row[name] for row in rows][: len(wanted)] == wanted, name


@pytest.mark.usefixtures("sqlite_driver")
def test_finding_out_what_a_column_of_sqlite_holds_is_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlguide_assets.prepare.sources.sqlite_tables._STEPS", 100)
    signs: list[None] = []
    with sqlite3.connect(tmp_path / "odd.sqlite") as database:
        database.execute("CREATE TABLE odd (value)")
        database.executemany("INSERT INTO odd VALUES (?)", [(number,) for number in range(500)])
        table = sqlite_table(database, "odd")
        write_sqlite_table(table, ["value"], tmp_path / "odd.parquet", size=1000, alive=lambda: signs.append(None))
    database.close()
    assert len(signs) > 2


@pytest.mark.usefixtures("sqlite_driver")
def test_a_text_of_sqlite_that_is_not_utf8_is_named(duck: Any, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "odd.sqlite") as database:
        database.execute("CREATE TABLE odd (name text)")
        database.execute("INSERT INTO odd VALUES (CAST(x'636166e9' AS TEXT))")
    database.close()
    with pytest.raises(InputError, match=r"Table 'odd' of sqlite.* holds text that is not UTF-8 \('name' with text"):
        rows_of("odd", f"sqlite://{tmp_path / 'odd.sqlite'}", duck, tmp_path)


def no_file(path: Path) -> str:
    return f"duckdb://{path}"


def not_a_database(path: Path) -> str:
    path.write_text("id,name\n1,x\n" * 1000)
    return f"duckdb://{path}"


def no_such_table(path: Path) -> str:
    return write_duckdb(path, {"user_profiles": sample_tables()["user_profiles"]})


def no_such_column(path: Path) -> str:
    tables = sample_tables()
    return write_duckdb(path, {**tables, "user_emails": tables["user_emails"].drop_columns(["delivered_at"])})


def no_rows(path: Path) -> str:
    tables = sample_tables()
    return write_duckdb(path, {**tables, "user_emails": tables["user_emails"].slice(0, 0)})


def unset_variable(_: Path) -> str:
    return "postgresql://postgres:${MLGUIDE_NO_SUCH_VARIABLE}@127.0.0.1/test"


def wrong_port(_: Path) -> str:
    return "postgresql://user:secret@127.0.0.1:9/test"


def unencoded_slash(_: Path) -> str:
    return "postgresql://user:sec/ret@127.0.0.1/test"


def no_host(_: Path) -> str:
    return "postgresql://user:secret"


def unknown_kind(_: Path) -> str:
    return "nosuchdb://user:secret@127.0.0.1/test"


FAULTS: dict[str, tuple[Callable[[Path], str], tuple[str, ...]]] = {
    "no file": (no_file, ("shop.duckdb does not exist", "check --source or source.uri")),
    "not a database": (not_a_database, ("shop.duckdb cannot be read", "is a whole file of DuckDB")),
    "no such table": (
        no_such_table,
        ("has no table 'email_content' (it has user_profiles)", "name another with 'from: TABLE'"),
    ),
    "no such column": (no_such_column, ("user_emails of", "has no column 'delivered_at'", "map it under tables")),
    "no rows": (no_rows, ("user_emails of", "has no rows")),
    "unset variable": (unset_variable, ("names ${MLGUIDE_NO_SUCH_VARIABLE}", "is not set: set it")),
    "wrong port": (wrong_port, ("postgresql://127.0.0.1:9/test cannot be reached", "the credentials and that it runs")),
    "unencoded slash": (unencoded_slash, ("postgresql://127.0.0.1/test cannot be split", "such as %2F for a slash")),
    "no host": (no_host, ("postgresql://… cannot be split into user, password, host and port", "as ${PASSWORD}")),
    "unknown kind": (unknown_kind, ("nosuchdb://127.0.0.1/test is of no database", "it may begin with athena")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_database_is_reported_in_one_sentence_without_its_password(fault: str, duck: Any, tmp_path: Path) -> None:
    build, wanted = FAULTS[fault]
    text = refusal(sample_problem(build(tmp_path / "shop.duckdb")), duck, tmp_path)
    for words in wanted:
        assert words in text
    assert "sec" not in text


class Shop:
    """The sample in a PostgreSQL, in tables that no other test has."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.suffix = uuid.uuid4().hex[:12]
        self.tables = {name: {"from": f"{name}_{self.suffix}"} for name in SAMPLE}

    def problem(self, address: str = POSTGRES) -> Problem:
        return sample_problem(address, tables=self.tables)

    def create(self, time: str = "timestamp", number: str = "bigint") -> None:
        kinds = {"int64": number, "string": "text"}
        for name, rows in sample_tables().items():
            types = [f'"{field.name}" {kinds.get(str(field.type), time)}' for field in rows.schema]
            self.connection.execute(f"CREATE TABLE {name}_{self.suffix} ({', '.join(types)})")
            values = [tuple(row.values()) for row in rows.to_pylist()]
            with self.connection.cursor() as cursor:
                marks = ", ".join(["%s"] * rows.num_columns)
                cursor.executemany(f"INSERT INTO {name}_{self.suffix} VALUES ({marks})", values)

    def drop(self) -> None:
        for name in SAMPLE:
            self.connection.execute(f"DROP TABLE IF EXISTS {name}_{self.suffix}")


@pytest.fixture
def shop() -> Iterator[Shop]:
    psycopg = pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed: ibis-framework[postgres]")
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at MLGUIDE_TEST_POSTGRES: {str(error).splitlines()[0]}")
    with connection:
        connection.execute("SET TimeZone = 'UTC'")
        shop = Shop(connection)
        yield shop
        shop.drop()


@pytest.mark.parametrize(("time", "number"), [("timestamp", "bigint"), ("timestamptz", "numeric"), ("text", "integer")])
def test_a_postgresql_is_read_like_files(time: str, number: str, shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create(time, number)
    assert accepted(shop.problem(), duck, tmp_path) == SAMPLE


def test_a_table_in_a_schema_is_read_by_its_full_name(shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create()
    schema, table = f"crm_{shop.suffix}", f"user_emails_{shop.suffix}"
    shop.connection.execute(f"CREATE SCHEMA {schema}")
    try:
        shop.connection.execute(f"ALTER TABLE {table} SET SCHEMA {schema}")
        text = refusal(shop.problem(), duck, tmp_path)
        assert f"in its default schema, but {schema}.{table}: name it with its schema" in text
        advised = re.search(r"as in '(from: .*)', under", text)
        assert advised is not None
        shop.tables["user_emails"] = yaml.safe_load(advised[1])
        assert accepted(shop.problem(), duck, tmp_path) == SAMPLE
        shop.tables["user_emails"] = {"from": f"old.{table}"}
        assert f"has no table 'old.{table}', but {schema}.{table}: name" in refusal(shop.problem(), duck, tmp_path)
    finally:
        shop.connection.execute(f"DROP SCHEMA {schema} CASCADE")


def test_a_view_that_is_in_no_list_of_tables_is_read(shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create()
    view = f"view_{shop.suffix}"
    shop.connection.execute(f"CREATE MATERIALIZED VIEW {view} AS SELECT * FROM user_emails_{shop.suffix}")
    try:
        shop.tables["user_emails"] = {"from": view}
        assert accepted(shop.problem(), duck, tmp_path) == SAMPLE
    finally:
        shop.connection.execute(f"DROP MATERIALIZED VIEW {view}")


def test_all_tables_are_read_as_of_one_instant(shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create()

    def meanwhile(message: str) -> None:
        """The first table is read; a send is added and a user removed before the others are."""
        if "reading table email_content" in message:
            shop.connection.execute(f"DELETE FROM user_profiles_{shop.suffix}")
            shop.connection.execute(f"UPDATE user_emails_{shop.suffix} SET user_id = 7")

    with ingest(shop.problem(), lake_over(duck, tmp_path / "lake"), oracle=tmp_path, report=meanwhile) as read:
        sends = read.tables["user_emails"]
        assert {result.rule for result in read.results if not result.passed} == set()
        assert sum(notes["rows"] for notes in sends.notes["tallies"].values()) == len(SAMPLE["user_emails"])


def test_a_table_that_is_locked_is_waited_for_no_longer_than_stated(shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create()
    source = {"kind": "database", "uri": POSTGRES, "timeout": "1s"}
    problem = sample_problem("", source=source, tables=shop.tables)
    with shop.connection.transaction():
        shop.connection.execute(f"LOCK TABLE email_content_{shop.suffix} IN ACCESS EXCLUSIVE MODE")
        text = refusal(problem, duck, tmp_path)
    assert "has not answered for 1 s, so it is waited for no longer" in text
    assert "no lock holds its tables, or raise source.timeout" in text


def test_a_server_that_accepts_and_is_silent_is_waited_for_no_longer_than_stated(duck: Any, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed: ibis-framework[postgres]")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"postgresql://user:secret@127.0.0.1:{server.getsockname()[1]}/test"
        text = refusal(sample_problem("", source={"kind": "database", "uri": uri, "timeout": "1s"}), duck, tmp_path)
    assert "has not answered for 1 s" in text
    assert "secret" not in text


def test_a_password_comes_from_the_environment(
    shop: Shop, duck: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    monkeypatch.setenv("MLGUIDE_TEST_ADDRESS", POSTGRES)
    source = {"kind": "database", "uri": "${MLGUIDE_TEST_ADDRESS}"}
    assert accepted(sample_problem("", tables=shop.tables, source=source), duck, tmp_path) == SAMPLE


@pytest.mark.parametrize("secret", ["Tr0ub4dor/x+1", "ab+cd", "pa%41ss", "a#b?c@d:e [f]"])
def test_a_user_and_a_password_may_hold_any_characters(
    secret: str, shop: Shop, duck: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    role, info = f"r/{shop.suffix}@{secret[:2]}", shop.connection.info
    shop.connection.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{secret}'")
    monkeypatch.setenv("MLGUIDE_TEST_USER", role)
    monkeypatch.setenv("MLGUIDE_TEST_PASSWORD", secret)
    try:
        for name in SAMPLE:
            shop.connection.execute(f'GRANT SELECT ON {name}_{shop.suffix} TO "{role}"')
        address = (
            f"postgresql://${{MLGUIDE_TEST_USER}}:${{MLGUIDE_TEST_PASSWORD}}@{info.host}:{info.port}/{info.dbname}"
        )
        assert accepted(shop.problem(address), duck, tmp_path) == SAMPLE
    finally:
        shop.connection.execute(f'DROP OWNED BY "{role}"')
        shop.connection.execute(f'DROP ROLE "{role}"')


def test_a_postgresql_table_that_is_not_there_is_reported_by_name(shop: Shop, duck: Any, tmp_path: Path) -> None:
    text = refusal(shop.problem(), duck, tmp_path)
    assert f"has no table 'user_profiles_{shop.suffix}'" in text
    assert "create it, or name another with 'from: TABLE' under that table in tables of the problem file" in text


@pytest.mark.parametrize("part", ["user", "database"])
def test_a_postgresql_that_refuses_is_reported_without_the_password(
    part: str, shop: Shop, duck: Any, tmp_path: Path
) -> None:
    info = shop.connection.info
    user = "nobody_of_this_name" if part == "user" else info.user
    database = "nothing_of_this_name" if part == "database" else info.dbname
    address = f"postgresql://{user}:secret@{info.host}:{info.port}/{database}"
    text = refusal(shop.problem(address), duck, tmp_path)
    assert text.startswith(f"The database postgresql://{info.host}:{info.port}/{database} cannot be reached (")
    assert "of_this_name" in text
    assert "does not exist" in text
    assert "check the address, the credentials" in text
    assert "secret" not in text


VALUES = {
    "uuid": ("6ecd8c99-4036-403d-bf84-cf8400f67836", "6ecd8c99-4036-403d-bf84-cf8400f67836"),
    "inet": ("10.0.0.1/8", "10.0.0.1/8"),
    "cidr": ("10.0.0.0/8", "10.0.0.0/8"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:03"),
    "jsonb": ('{"a": 1}', '{"a": 1}'),
    "interval": ("1 mon 2 days", "1 mon 2 days"),
    "int4range": ("[1,5)", "[1,5)"),
    "point": ("(1,2)", "(1,2)"),
    "uuid[]": ("{6ecd8c99-4036-403d-bf84-cf8400f67836}", "{6ecd8c99-4036-403d-bf84-cf8400f67836}"),
    "time": ("24:00", "24:00:00"),
    "money": ("12.5", "12.5000"),
    "numeric": ("1.123456789012345", "1.123456789012345"),
    "numeric(10,3)": ("1.000", "1"),
    "numeric(12,2)": ("NaN", "NaN"),
    "timestamp": ("infinity", None),
    "timestamptz": ("-infinity", None),
    "timestamp(0)": ("9999-12-31 23:59:59", datetime(9999, 12, 31, 23, 59, 59)),
    "date": ("infinity", None),
}
"""PostgreSQL's type → a value, and what is read of it."""


def test_types_of_postgresql_that_arrow_has_not_are_texts_and_infinity_is_an_open_end(
    shop: Shop, duck: Any, tmp_path: Path
) -> None:
    schema = f"odd_{shop.suffix}"
    names = {kind: f"c{place}" for place, kind in enumerate(VALUES)}
    shop.connection.execute(f"CREATE SCHEMA {schema}")
    try:
        shop.connection.execute(f"CREATE TYPE {schema}.tier AS ENUM ('gold', 'silver')")
        columns = ", ".join(f"{names[kind]} {kind} NOT NULL" for kind in VALUES)
        shop.connection.execute(f"CREATE TABLE {schema}.odd ({columns}, tier {schema}.tier)")
        values = [value for value, _ in VALUES.values()]
        typed = ", ".join(f"'{value}'::{kind}" for kind, value in zip(VALUES, values, strict=True))
        shop.connection.execute(f"INSERT INTO {schema}.odd VALUES ({typed}, 'gold')")
        rows = rows_of(f"{schema}.odd", POSTGRES, duck, tmp_path)
    finally:
        shop.connection.execute(f"DROP SCHEMA {schema} CASCADE")
    assert rows == [{**{names[kind]: read for kind, (_, read) in VALUES.items()}, "tier": "gold"}]


def test_only_the_columns_of_the_problem_file_are_read(shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create()
    table = f"user_emails_{shop.suffix}"
    shop.connection.execute(f"ALTER TABLE {table} ADD COLUMN secret int DEFAULT 7")
    shop.connection.execute(f"ALTER TABLE {table} RENAME TO all_{table}")
    columns = ", ".join(SAMPLE["user_emails"][0])
    failing = f"CREATE VIEW {table} AS SELECT {columns}, secret / (secret - 7) AS broken FROM all_{table}"
    shop.connection.execute(failing)
    messages: list[str] = []
    try:
        with ingest(shop.problem(), lake_over(duck, tmp_path), oracle=tmp_path, report=messages.append) as read:
            assert sum(notes["rows"] for notes in read.tables["user_emails"].notes["tallies"].values()) == len(
                SAMPLE["user_emails"]
            )
        assert f"{table}: broken not read, since the problem file does not list them" in messages
        with pytest.raises(InputError, match=r"cannot be read \(division by zero\): check it there"):
            rows_of(table, POSTGRES, duck, tmp_path)
    finally:
        shop.connection.execute(f"DROP VIEW {table}")
        shop.connection.execute(f"DROP TABLE all_{table}")


def test_a_time_that_postgresql_calls_infinite_is_reported(shop: Shop, duck: Any, tmp_path: Path) -> None:
    shop.create()
    shop.connection.execute(f"UPDATE user_emails_{shop.suffix} SET delivered_at = 'infinity' WHERE user_id = 1")
    assert "user_emails" in refusal(shop.problem(), duck, tmp_path)


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_a_file_here_with_three_slashes_is_named_with_two(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere three slashes begin the path of a file in the working directory."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shop.db").touch()
    monkeypatch.chdir(tmp_path)
    address = f"{scheme}:///data/shop.db"
    said = f"begins at the root; write {scheme}://data/shop.db for the file here"
    with pytest.raises(InputError, match=said), connected(address, address):
        pass
