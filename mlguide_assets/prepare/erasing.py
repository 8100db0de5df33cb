"""Removing one entity from files: rows from Parquet, mentions from text and from SQLite databases.

A mention is the name of the entity's column, or of its key, followed by the value: `user_id 5`, `user_id=5`,
`"user_id": 5`, `"user_ids": [1, 5]`, `id=5`. The value alone is none: 5 may be anything.
Text is overwritten in place by as many bytes, so a process that has the file open, to read or to append, goes on.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting import Entity, Key

_BUSY_S = 30.0
_SQLITE = b"SQLite format 3\0"
_FILLERS = {1: b"0", 2: b"-1", 3: b"-1 "}
"""What stands for a value that is shorter than null: JSON stays JSON."""


@dataclass(frozen=True)
class Erasure:
    """An entity that is to be erased."""

    entity: Entity
    key: Key

    @property
    def value(self) -> bytes:
        return str(self.key).encode()

    @cached_property
    def _mention(self) -> re.Pattern[bytes]:
        value, *columns = (re.escape(part.encode()) for part in (str(self.key), *self.entity.columns))
        named = (
            rb"(?<![A-Za-z0-9])(?:"
            + rb"|".join(columns)
            + rb")s?[\\\"']*\s*[:= ]\s*(?:\[\s*(?:[^\s,\[\]]+\s*,\s*)*)?[\\\"']*"
        )
        own = rb"(?<![A-Za-z0-9_.])" + re.escape(self.entity.key.encode()) + rb"[= ]" if self.entity.key else named
        return re.compile(rb"(" + named + rb"|" + own + rb")(" + value + rb")(?!\w|\.\d)")

    def blanked(self, text: bytes) -> bytes:
        """A text without mentions, of the same length; what was JSON still is.

        >>> Erasure(Entity("user", "user_id", "user_profiles", "id"), 12345).blanked(b'{"user_id": 12345}')
        b'{"user_id": null }'
        """
        before = b""
        while text != before:
            # A list may hold the value several times, and a match reaches to one of them.
            before, text = text, self._mention.sub(lambda found: found[1] + _filler(len(found[2])), text)
        return text

    def without_rows(self, table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a table that are not of the entity; where rows are of none, all of them, without mentions."""
        column = self.entity.column_in(table, batch.schema.names)
        if column is not None:
            of_entity = pc.equal(pc.cast(batch[column], pa.string()), str(self.key))
            return batch.filter(pc.invert(pc.fill_null(of_entity, False)))
        if {"table", "row"} <= set(batch.schema.names):
            # Quarantined rows as text: those that stay are of others, also where one of another kind has the same id.
            return batch.filter(pa.array([not self._is_set_aside(*each) for each in _pairs(batch)], pa.bool_()))
        columns = [self._blanked_column(values) for values in batch.columns]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def erase_parquet(self, table: str, source: Path, target: Path) -> bool:
        """Write a Parquet file again without the entity; whether there was anything to erase, and so a new file."""
        file = pq.ParquetFile(source)
        names = [field.name for field in file.schema_arrow if _is_text(field.type)]
        column = self.entity.column_in(table, file.schema_arrow.names)
        looked_at = file.iter_batches(columns=[column] if column else names)
        if all(self.without_rows(table, batch).equals(batch) for batch in looked_at):
            return False
        with pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
            for batch in file.iter_batches():
                writer.write_batch(self.without_rows(table, batch))
        return True

    def blank_file(self, path: Path) -> bool:
        """Overwrite the mentions in a file of text, or in a SQLite database; whether there were any."""
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE)) == _SQLITE:
                return self._blank_database(path)
            stream.seek(0)
            content = stream.read()
        blanked = self.blanked(content) if self.value in content else content
        if blanked == content:
            return False
        overwrite(path, blanked)
        return True

    def _is_set_aside(self, table: str | None, row: str | None) -> bool:
        """Whether a quarantined row, as text, is of the entity."""
        entity = self.entity
        name = entity.key if table == entity.table else entity.named.get(str(table), entity.column)
        return re.search(rf"(?:^|; ){re.escape(str(name))}={re.escape(str(self.key))}(?:;|$)", row or "") is not None

    def _blanked_column(self, values: pa.Array) -> pa.Array:
        if not _is_text(values.type):
            return values
        return pa.array([self.blanked_value(value) for value in values.to_pylist()], values.type)

    def blanked_value(self, value: Any) -> Any:
        """A text, or each of a list of texts, without mentions."""
        if isinstance(value, list):
            return [self.blanked_value(each) for each in value]
        return self.blanked(value.encode()).decode() if value and str(self.key) in value else value

    def _blank_database(self, path: Path) -> bool:
        try:
            with closing(sqlite3.connect(path, timeout=_BUSY_S)) as database:
                # What is overwritten is zeroed, rather than left in a free page.
                database.execute("PRAGMA secure_delete = ON")
                changed = sum([self._blank_table(database, *found) for found in _tables(database)])
                database.commit()
                busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise InputError(
                f"{path} cannot be changed ({error}): stop what uses it, such as 'mlguide ui', then run this again."
            ) from error
        if busy and changed:
            raise InputError(f"{path} is in use by another process: stop 'mlguide ui', then run this again.")
        return changed > 0

    def _blank_table(self, database: sqlite3.Connection, table: str, column: str) -> int:
        query = f'SELECT rowid, "{column}" FROM "{table}" WHERE instr("{column}", ?) > 0'
        texts = ((row, text) for row, text in database.execute(query, [str(self.key)]) if isinstance(text, str))
        changed = [(new, row) for row, text in texts if (new := self.blanked_value(text)) != text]
        database.executemany(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', changed)
        return len(changed)


def overwrite(path: Path, content: bytes) -> None:
    """Replace the first bytes of a file in place; what others append meanwhile stays."""
    with path.open("r+b") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _filler(length: int) -> bytes:
    return _FILLERS.get(length) or b"null".ljust(length)


def _pairs(batch: pa.RecordBatch) -> Iterator[tuple[str | None, str | None]]:
    return zip(batch["table"].to_pylist(), batch["row"].to_pylist(), strict=True)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _tables(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Table and column of all text of a database."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%WITHOUT ROWID%'")
    return [
        (name, column)
        for (name,) in tables.fetchall()
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{name}")').fetchall()
        if not kind.upper().startswith(("INT", "BIGINT", "FLOAT", "REAL", "DATETIME", "BOOL"))
    ]
