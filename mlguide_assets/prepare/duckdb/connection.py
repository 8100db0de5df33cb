"""DuckDB as everything here uses it: how it is opened, and how files are named to it.

DuckDB takes the path of a file to read for a pattern, and folders called `key=value` for columns. Here a path is a
path: `read_parquet` and `read_csv` read the files that are given and the columns that are in them, whatever the
folders above are called. DuckDB and Ibis are imported when it is opened.
"""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlguide_assets.prepare.memory import memory_for_engine

if TYPE_CHECKING:
    import ibis


FILE = "_lake_file"
"""The column that names the file of a row. A source may have a `filename`."""


def connect(spill: Path | None = None) -> Any:
    """An in-memory DuckDB that works in UTC, writes the same bytes every time, and spills to the given folder.

    It spills when it holds what `memory_for_engine` allows. Tables in memory alone, which belong to no connection, are
    from then on computed by another one like it.
    """
    import ibis

    if ibis.options.default_backend is None:
        ibis.options.default_backend = _opened({})
    return _opened({"temp_directory": str(spill)} if spill is not None else {})


def _opened(settings: Mapping[str, Any]) -> Any:
    from mlguide_assets.prepare.duckdb.backend import DuckDBBackend

    connection = DuckDBBackend().connect(
        memory_limit=f"{memory_for_engine()}B", preserve_insertion_order=True, **settings
    )
    # A source may replace its file between two readings; DuckDB would go by the time stamp, which may be the same.
    connection.raw_sql("SET enable_external_file_cache = false")
    connection.raw_sql("SET TimeZone = 'UTC'")
    # Of a query that takes two seconds it would draw one on standard output, which may be JSON.
    connection.raw_sql("SET enable_progress_bar = false")
    return connection


def read_parquet(connection: Any, *paths: Path, **options: Any) -> "ibis.Table":
    """Parquet files as one table, with DuckDB's options for them."""
    return connection.read_parquet([pattern_of(path) for path in paths], hive_partitioning=False, **options)


def read_parquet_below(connection: Any, folder: Path, pattern: str) -> "ibis.Table":
    """The Parquet files below a folder that match a pattern, with the column `FILE`."""
    return read_parquet(connection, *sorted(folder.glob(pattern)), filename=FILE)


def read_csv(connection: Any, path: Path, columns: Mapping[str, str], **options: Any) -> "ibis.Table":
    """A CSV file, with DuckDB's options for it and nothing left to its detection."""
    return connection.read_csv(pattern_of(path), columns=dict(columns), hive_partitioning=False, **options)


def parquet_sql(patterns: Sequence[str]) -> str:
    """The table of Parquet files in SQL; see `pattern_of`."""
    return f"read_parquet([{', '.join(map(quoted, patterns))}], hive_partitioning = false)"


def pattern_of(path: Path) -> str:
    """The pattern that matches a path and nothing else.

    >>> pattern_of(Path("/data [1]/x.parquet"))
    '/data [[]1]/x.parquet'
    """
    return glob.escape(str(path))


def quoted(text: Path | str) -> str:
    """A text, such as a path to write to, as a literal in SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def release_memtables(connection: Any) -> int:
    """Let go of tables in memory that no expression refers to any more; how many.

    Ibis 12 registers each with DuckDB, and lets go of them when the process ends: a process that runs for long would
    keep them all. Drop this once Ibis does it by itself.

    Args:
        connection: the backend of this process; also those that were registered with Ibis's default one are let go.
    """
    import ibis

    released = 0
    for backend in (connection, ibis.options.default_backend):
        if backend is None:
            continue
        used = {table.name for table in backend._memtables}
        views = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND contains(view_name, 'memtable')"
        for (name,) in backend.con.execute(views).fetchall():
            if name not in used:
                backend.con.unregister(name)
                released += 1
    return released
