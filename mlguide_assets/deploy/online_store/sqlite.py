"""The online store as one SQLite file per problem, for one host.

A new state is written beside the file and renamed over it. A reader keeps the file that it opened, so it has the old
state or the new one, whole, and never waits.
"""

import glob
import json
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from mlguide_assets.deploy.online_store.rows import ambiguous, ids_that_start_with, plain_rows, texts_that_start_with
from mlguide_assets.deploy.online_store.store import Id, OnlineStore, Publication, Row, Snapshot, State, StoreError
from mlguide_assets.prepare.hosts.file_lock import locked

BATCH_ROWS = 100_000
_ABANDONED_S = 2 * 60 * 60


class SqliteStore(OnlineStore):
    """States in a file; `current` opens it once, and again when another was renamed over it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: tuple[tuple[int, int], SqliteSnapshot] | None = None

    def publish(self, state: State, *, over_newer: bool = False, batch_rows: int = BATCH_ROWS) -> bool:
        if not over_newer and self._is_ahead_of(state):
            return False
        temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.path)
            _write(temporary, state, batch_rows)
            with _publishing(self.path):
                # Checked again: another process may have published a later state while this one was written.
                if not over_newer and self._is_ahead_of(state):
                    return False
                temporary.replace(self.path)
        except (OSError, sqlite3.OperationalError) as error:
            raise StoreError(
                f"The online store {self.path} could not be written ({error}): free space or fix permissions there; "
                f"what was published before still serves."
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink()
        return True

    def forget(self, column: str, key: Id) -> int:
        if not self.path.exists():
            return 0
        temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with _publishing(self.path):
                # What killed publishers left is a copy of the rows too.
                for left in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
                    left.unlink(missing_ok=True)
                shutil.copyfile(self.path, temporary)
                removed = _without(temporary, column, key)
                if removed:
                    temporary.replace(self.path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"The online store {self.path} could not be written ({error}): free space or fix permissions there; "
                f"what was published before still serves."
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink()
        return removed

    def current(self) -> "SqliteSnapshot | None":
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        # A file that was renamed over this one is another inode; one restored from a copy has another time.
        version = (found.st_ino, found.st_mtime_ns)
        if self._open is None or self._open[0] != version:
            self._open = (version, SqliteSnapshot(self.path))
        return self._open[1]

    def _is_ahead_of(self, state: State) -> bool:
        try:
            current = self.current()
        except StoreError:
            # A damaged state is worth replacing.
            return False
        return current is not None and current.publication.as_of > state.publication.as_of


class SqliteSnapshot(Snapshot):
    """A state in an open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            # Never written once it has its name, so neither locks nor a journal need be looked for. The thread
            # that uses a store may not be the one that opened it.
            self._database = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            stored = self._database.execute("SELECT publication FROM published").fetchone()
            self.publication = Publication.from_json(json.loads(stored[0]))

    def look_up(self, table: str, keys: Sequence[Id]) -> dict[Id, Row]:
        key = self.publication.keys[table]
        try:
            with self._told():
                if len(keys) == 1:
                    # Most requests are about one: without the list it takes half the time.
                    found = self._database.execute(f"SELECT * FROM {_name(table)} WHERE {_name(key)} = ?", keys)
                else:
                    query = f"SELECT * FROM {_name(table)} WHERE {_name(key)} IN (SELECT value FROM json_each(?))"
                    found = self._database.execute(query, [json.dumps(list(keys))])
                names = [column[0] for column in found.description]
                rows = (dict(zip(names, values, strict=True)) for values in found)
                return {row[key]: row for row in rows}
        except OverflowError:
            # A key beyond 64 bits, which no row has.
            return {}

    def search(self, table: str, text: str, limit: int) -> list[Row]:
        found: list[Row] = []
        key = self.publication.keys[table]
        with self._told():
            query = f"SELECT * FROM {_name(table)} WHERE {_name(key)} BETWEEN ? AND ? ORDER BY {_name(key)} LIMIT ?"
            are_texts = self._database.execute(
                f"SELECT typeof({_name(key)}) FROM {_name(table)} LIMIT 1"
            ).fetchone() == ("text",)
            for low, high in texts_that_start_with(text) if are_texts else ids_that_start_with(text):
                cursor = self._database.execute(query, [low, high, limit - len(found)])
                names = [column[0] for column in cursor.description]
                found += [dict(zip(names, values, strict=True)) for values in cursor]
                if len(found) >= limit:
                    break
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"The online store {self._path} is damaged or of another version ({error}): materialize "
                f"online_store, or 'mlguide run', to publish it again."
            ) from error


def _write(path: Path, state: State, batch_rows: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        # The file is not seen before it is complete: no journal is needed to undo a part of it.
        database.execute("PRAGMA journal_mode = OFF")
        for name, rows in state.tables.items():
            _fill(database, name, state.publication.keys[name], rows.to_pyarrow_batches(chunk_size=batch_rows))
        database.execute("CREATE TABLE published (publication TEXT)")
        database.execute("INSERT INTO published VALUES (?)", [json.dumps(state.publication.to_json())])
        database.commit()


def _without(path: Path, column: str, key: Id) -> int:
    """Remove the rows of a key from a file that no process reads yet; how many."""
    with closing(sqlite3.connect(path)) as database:
        stored = database.execute("SELECT publication FROM published").fetchone()[0]
        publication = Publication.from_json(json.loads(stored))
        removed = sum(
            database.execute(f"DELETE FROM {_name(table)} WHERE {_name(column)} = ?", [key]).rowcount
            for table in publication.tables_by(column)
        )
        publication = publication.without(column, key)
        database.execute("UPDATE published SET publication = ?", [json.dumps(publication.to_json())])
        database.commit()
        # What was deleted is still in free pages.
        database.execute("VACUUM")
    return removed


def _remove_abandoned(path: Path) -> None:
    """What publishers left that were killed; one that still writes has touched its file lately."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - temporary.stat().st_mtime > _ABANDONED_S:
                temporary.unlink()


def _publishing(path: Path) -> AbstractContextManager[object]:
    """Publishers take turns; readers never wait."""
    return locked(path.with_name(f".{path.name}.lock"))


def _fill(database: sqlite3.Connection, table: str, key: str, batches: pa.RecordBatchReader) -> None:
    columns = [
        f"{_name(field.name)} {_type(field.type)}{' PRIMARY KEY' if field.name == key else ''}"
        for field in batches.schema
    ]
    database.execute(f"CREATE TABLE {_name(table)} ({', '.join(columns)})")
    marks = ", ".join("?" * len(columns))
    for batch in batches:
        try:
            database.executemany(f"INSERT INTO {_name(table)} VALUES ({marks})", plain_rows(batch, table, key))
        except sqlite3.IntegrityError as error:
            raise ambiguous(table, key) from error


def _name(text: str) -> str:
    """The name of a table or column in SQL: columns have the names that the data give them."""
    return '"' + text.replace('"', '""') + '"'


def _type(column: pa.DataType) -> str:
    if pa.types.is_integer(column) or pa.types.is_boolean(column):
        return "INTEGER"
    return "REAL" if pa.types.is_floating(column) else "TEXT"
