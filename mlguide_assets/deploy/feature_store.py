"""The online feature store: the state of every user and email at one instant, looked up by key.

It is one SQLite file per problem. A new state is written beside it and renamed over it, so a reader
has the old state or the new one, whole.
"""

import fcntl
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa


def publish(path: Path, *, as_of: datetime, users: ibis.Table, emails: ibis.Table, batch_rows: int = 100_000) -> bool:
    """Replace the online state, unless the one published is of a later instant.

    Args:
        users: one row per user, key user_id; times become text in ISO format.
        emails: one row per email, key email_id.

    Returns:
        Whether the state was published.
    """
    current = published_as_of(path)
    if current is not None and current > as_of:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with closing(sqlite3.connect(temporary)) as database:
            # The file is not seen before it is complete: no journal is needed to undo a part of it.
            database.execute("PRAGMA journal_mode = OFF")
            for name, key, rows in (("users", "user_id", users), ("emails", "email_id", emails)):
                _fill(database, name, key, rows.to_pyarrow_batches(chunk_size=batch_rows))
            database.execute("CREATE TABLE published (as_of TEXT)")
            database.execute("INSERT INTO published VALUES (?)", [as_of.isoformat()])
            database.commit()
        with _publishing(path):
            # Asked again: another process may have published a later state while this one was written.
            current = published_as_of(path)
            if current is not None and current > as_of:
                return False
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def published_as_of(path: Path) -> datetime | None:
    """The instant of the published state, or None where nothing was published."""
    if not path.is_file():
        return None
    with closing(_connect(path)) as database:
        return datetime.fromisoformat(database.execute("SELECT as_of FROM published").fetchone()[0])


def look_up(path: Path, table: str, key: int) -> dict[str, Any] | None:
    """The state of one user (`users`) or email (`emails`), or None for an unknown one."""
    column = {"users": "user_id", "emails": "email_id"}[table]
    with closing(_connect(path)) as database:
        database.row_factory = sqlite3.Row
        row = database.execute(f"SELECT * FROM {table} WHERE {column} = ?", [key]).fetchone()
    return dict(row) if row else None


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


@contextmanager
def _publishing(path: Path) -> Iterator[None]:
    """Publishers take turns; readers never wait."""
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fill(database: sqlite3.Connection, name: str, key: str, batches: pa.RecordBatchReader) -> None:
    columns = [
        f'"{field.name}" {_type(field.type)}{" PRIMARY KEY" if field.name == key else ""}' for field in batches.schema
    ]
    database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    marks = ", ".join("?" * len(columns))
    for batch in batches:
        database.executemany(f"INSERT INTO {name} VALUES ({marks})", _rows(batch))


def _type(column: pa.DataType) -> str:
    if pa.types.is_integer(column):
        return "INTEGER"
    return "REAL" if pa.types.is_floating(column) else "TEXT"


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = [column.cast(pa.string()) if pa.types.is_temporal(column.type) else column for column in batch.columns]
    return zip(*(column.to_pylist() for column in columns), strict=True)
