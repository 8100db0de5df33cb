"""Tables from any database that Ibis connects to, landed as Parquet so that DuckDB computes over all of them."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq
from ibis.common.exceptions import TableNotFound

from mlguide_assets.define.schema import TableName
from mlguide_assets.define.secrets import nothing_secret_raised, shown_address
from mlguide_assets.errors import InputError, first_line
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.sources.arrow_types import as_arrow_holds
from mlguide_assets.prepare.sources.connecting import connected
from mlguide_assets.prepare.sources.names import plain
from mlguide_assets.prepare.sources.sqlite_tables import SqliteTable, sqlite_table, write_sqlite_table
from mlguide_assets.prepare.sources.waiting import SilentSourceError, answered
from mlguide_assets.progress import Report

BATCH_ROWS = 200_000


def read_database(
    names: Mapping[TableName, str],
    uri: str,
    connection: Any,
    *,
    scratch: Path,
    timeout: timedelta,
    wanted: Callable[[TableName, tuple[str, ...]], Collection[str]],
    report: Report,
) -> dict[TableName, ibis.Table]:
    """Read each table through Ibis in batches, so that a table larger than memory passes; all as of one instant.

    Args:
        timeout: how long the database may take to connect, or to give the next batch.
        wanted: a table of the problem and the columns that it has → those to read; the others are there, but empty.

    Raises:
        InputError: the database cannot be reached or is silent, a table is missing or cannot be read, or what
            `wanted` raises.
    """
    scheme, _, rest = uri.partition("://")
    where = shown_address(f"{scheme}://{rest.rpartition('@')[2]}")

    def land(alive: Callable[[], None]) -> dict[TableName, Path]:
        landed = {}
        with connected(uri, where) as database:
            alive()
            with _one_snapshot(database, scheme):
                for table, name in names.items():
                    found = _find(database, name, where)
                    path = scratch / f"{name}.parquet"
                    landed[table] = _land(found, wanted(table, found.columns), path, name, where, report, alive)
        return landed

    try:
        with nothing_secret_raised(uri):
            landed = answered(land, timeout=timeout)
    except SilentSourceError as error:
        raise InputError(
            f"The database {where} has not answered for {timeout.total_seconds():g} s, so it is waited for no longer: "
            f"check that it runs and that no lock holds its tables, or raise source.timeout in the problem file."
        ) from error
    return {table: read_parquet(connection, path) for table, path in landed.items()}


@contextlib.contextmanager
def _one_snapshot(database: Any, scheme: str) -> Iterator[None]:
    """Show all tables as of one instant: a send that commits meanwhile is in all of them, or in none.

    A DuckDB file has no writer while it is read.
    """
    if scheme in ("postgres", "postgresql"):
        import psycopg

        database.con.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        database.con.read_only = True
        # What Ibis opens within it are savepoints.
        with database.con.transaction():
            yield
        return
    if scheme == "sqlite":
        database.con.execute("BEGIN")
    elif scheme == "mysql":
        database.raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").close()
    yield


def _land(
    table: Any,
    wanted: Collection[str],
    path: Path,
    name: str,
    where: str,
    report: Report,
    alive: Callable[[], None],
) -> Path:
    """Write the wanted columns of a table to a file; the others are there, but empty."""
    report(f"reading table {name} from {where}")
    try:
        if isinstance(table, SqliteTable):
            write_sqlite_table(table, wanted, path, size=BATCH_ROWS, alive=alive)
        else:
            _write_batches(as_arrow_holds(table, wanted), path, alive)
    except OSError:
        # The disk that it is copied to, which the caller names.
        raise
    except UnicodeError as error:
        raise InputError(
            f"Table {name!r} of {where} holds text that is not UTF-8 ({first_line(error)}): write it there again from "
            f"text that is decoded as what it is."
        ) from error
    except Exception as error:
        raise _unreadable(name, where, _first_of(error)) from error
    return path


def _write_batches(rows: ibis.Table, path: Path, alive: Callable[[], None]) -> None:
    batches = rows.to_pyarrow_batches(chunk_size=BATCH_ROWS)
    with pq.ParquetWriter(path, batches.schema) as writer:
        for batch in batches:
            # DuckDB's enums and times come in types of their own.
            writer.write_batch(batch.cast(batches.schema))
            alive()


def _unreadable(name: str, where: str, error: BaseException) -> InputError:
    return InputError(f"Table {name!r} of {where} cannot be read ({first_line(error)}): check it there.")


def _first_of(error: BaseException) -> BaseException:
    """What failed first: closing what it had opened fails next, in words that say nothing of it."""
    return _first_of(error.__context__) if error.__context__ else error


def _find(database: Any, name: str, where: str) -> Any:
    """A table or view by its name, with its schema before a dot where that is not the default one."""
    for table, schema in ((name, None), _split(name)):
        # Materialised views are in no list of tables, but they are there.
        with contextlib.suppress(TableNotFound):
            return _table(database, table, schema, where)
    bare, schema = _split(name)
    listed = database.list_tables(database=schema) if schema in (None, *_schemas(database)) else []
    close = [table for table in listed if plain(table) == plain(bare)]
    if len(close) == 1:
        return _table(database, close[0], schema, where)
    if close:
        raise InputError(
            f"{where} has {' and '.join(map(repr, sorted(close)))}, each of which could be table {name!r}: name the "
            f"one that is meant, as in 'from: {_full(min(close), schema)}', under that table in tables of the problem "
            f"file."
        )
    elsewhere = [
        f"{each}.{table}"
        for each in _schemas(database)
        for table in database.list_tables(database=each)
        if plain(table) == plain(bare)
    ]
    if elsewhere:
        place = "" if schema else " in its default schema"
        raise InputError(
            f"{where} has no table {name!r}{place}, but {' and '.join(elsewhere)}: name it with its schema, as in "
            f"'from: {elsewhere[0]}', under that table in tables of the problem file."
        )
    found = ", ".join(sorted(listed)[:8]) or "none"
    raise InputError(
        f"{where} has no table {name!r} (it has {found}): create it, or name another with 'from: TABLE' under that "
        f"table in tables of the problem file."
    )


def _table(database: Any, name: str, schema: str | None, where: str) -> Any:
    try:
        if database.name == "sqlite":
            return sqlite_table(database.con, name, schema)
        return database.table(name, database=schema)
    except TableNotFound:
        raise
    # A column has a type that Ibis cannot parse, or the table has just been dropped.
    except Exception as error:
        raise _unreadable(name, where, error) from error


def _split(name: str) -> tuple[str, str | None]:
    """A table's own name, and its schema."""
    schema, _, table = name.rpartition(".")
    return table, schema or None


def _full(table: str, schema: str | None) -> str:
    return f"{schema}.{table}" if schema else table


def _schemas(database: Any) -> list[str]:
    """The schemas that can hold tables of users; none where the engine has none."""
    try:
        known = database.list_databases()
    except (AttributeError, NotImplementedError):
        return []
    return [name for name in known if not name.startswith("pg_") and name not in ("information_schema", "sys")]


def read_every_table(
    uri: str, connection: Any, *, scratch: Path, timeout: timedelta, report: Report, most_rows: int
) -> dict[str, ibis.Table | str]:
    """All tables and views of a database by their names, with their schema where that is not the default one.

    Args:
        most_rows: of a longer table, the first so many are read.

    Returns:
        Per table its rows, or the reason why they cannot be read.
    """
    scheme, _, rest = uri.partition("://")
    where = shown_address(f"{scheme}://{rest.rpartition('@')[2]}")

    def land(alive: Callable[[], None]) -> dict[str, Path | str]:
        landed: dict[str, Path | str] = {}
        with connected(uri, where) as database:
            alive()
            for place, name in enumerate(_names_of_all(database)):
                try:
                    table = _find(database, name, where)
                    path = scratch / f"{place}.parquet"
                    landed[name] = _land(table.limit(most_rows), table.columns, path, name, where, report, alive)
                except InputError as error:
                    landed[name] = str(error)
        return landed

    try:
        with nothing_secret_raised(uri):
            found = answered(land, timeout=timeout)
    except SilentSourceError as error:
        raise InputError(
            f"The database {where} has not answered for {timeout.total_seconds():g} s: check that it runs and that no "
            f"lock holds its tables."
        ) from error
    return {name: read_parquet(connection, each) if isinstance(each, Path) else each for name, each in found.items()}


def _names_of_all(database: Any) -> list[str]:
    """Tables of the default schema by their names, of the others with the schema before a dot."""
    here = str(getattr(database, "current_database", ""))
    others = [schema for schema in _schemas(database) if schema not in (here, "temp", "performance_schema", "mysql")]
    elsewhere = [f"{schema}.{table}" for schema in others for table in database.list_tables(database=schema)]
    return [*sorted(database.list_tables()), *sorted(elsewhere)]
