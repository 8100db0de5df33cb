"""Removing one entity from files: rows from Parquet, mentions (`mentions`) from text and from SQLite databases.

Text is overwritten in place by as many bytes, so a process that has the file open, to read or to append, goes on.
What declares, rather than records, is not for this: problem files, models, the lake's own manifests.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import overwrite
from mlguide_assets.prepare.forgetting.entity_pattern import EntityPattern, are_quarantined_rows
from mlguide_assets.prepare.forgetting.forget_list import Entity, Key
from mlguide_assets.prepare.forgetting.mention import Mention
from mlguide_assets.prepare.forgetting.mentions import mentions_in

_BUSY_S = 30.0
_SQLITE = b"SQLite format 3\0"
_NUMBERS = ("INT", "BIGINT", "FLOAT", "REAL", "DATETIME", "BOOL")
"""Kinds of columns of a database that hold no text."""
_FILLERS = {1: "0", 2: "-1", 3: "-1 "}
"""What stands for a value that is shorter than null: JSON stays JSON."""


@dataclass(frozen=True)
class Erasure:
    """An entity that is to be erased.

    Attributes:
        others: ids of others that contain this one, such as 'AB 12' where it is 'AB'.
    """

    entity: Entity
    key: Key
    others: frozenset[str] = frozenset()

    @cached_property
    def pattern(self) -> EntityPattern:
        return EntityPattern(self.entity, self.key, self.others)

    def blanked(self, text: str) -> str:
        """A text without mentions, of as many bytes; what was JSON still is.

        >>> Erasure(Entity("user", "user_id", "user_profiles", "id"), 12345).blanked('{"user_id": 12345}')
        '{"user_id": null }'
        """
        parts, at = list[str](), 0
        for mention in mentions_in(text, self.pattern):
            parts += [text[at : mention.start], _filler(mention, text)]
            at = mention.end
        return "".join((*parts, text[at:]))

    def blanked_bytes(self, content: bytes) -> bytes:
        """The same of text as it is stored; what is no text, such as a picture, stays as it is."""
        if b"\0" in content or not self.pattern.may_be_in(content):
            return content
        return self.blanked(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def blanked_notes(self, notes: Mapping[str, Any]) -> Mapping[str, Any]:
        """What JSON holds, without mentions."""
        blanked: Mapping[str, Any] = json.loads(self.blanked(json.dumps(notes)))
        return blanked

    def without_rows(self, table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a table that are not of the entity; where rows are of none, all of them, without mentions."""
        column = self.entity.column_in(table, batch.schema.names)
        if column is not None:
            of_entity = pc.equal(pc.cast(batch[column], pa.string()), str(self.key))
            return batch.filter(pc.invert(pc.fill_null(of_entity, False)))
        if are_quarantined_rows(batch.schema.names):
            # Quarantined rows as text: those that stay are of others, also where one of another kind has the same id.
            are_kept = [not self.pattern.is_quarantined_row(*each) for each in _pairs(batch)]
            return batch.filter(pa.array(are_kept, pa.bool_()))
        columns = [self._blanked_column(values) for values in batch.columns]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def erase_parquet(self, table: str, source: Path, target: Path) -> bool:
        """Write a Parquet file again without the entity; whether there was anything to erase, and so a new file."""
        file = pq.ParquetFile(source)
        names = [field.name for field in file.schema_arrow if _is_text(field.type)]
        column = self.entity.column_in(table, file.schema_arrow.names)
        if column is None and not names:
            return False
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
        blanked = self.blanked_bytes(content)
        if blanked == content:
            return False
        overwrite(path, blanked)
        return True

    def _blanked_column(self, values: pa.Array) -> pa.Array:
        if not _is_text(values.type):
            return values
        return pa.array([self.blanked_value(value) for value in values.to_pylist()], values.type)

    def blanked_value(self, value: Any) -> Any:
        """A text, or each of a list of texts, without mentions."""
        if isinstance(value, list):
            return [self.blanked_value(each) for each in value]
        return self.blanked(value) if value else value

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

    def _blank_table(self, database: sqlite3.Connection, table: str, columns: list[str]) -> int:
        """How many rows had mentions."""
        names, part = ", ".join(f'"{column}"' for column in columns), self.pattern.plain_part
        found = " OR ".join(f'instr("{column}", ?) > 0' for column in columns)
        query = f'SELECT rowid, {names} FROM "{table}" WHERE {found}'
        rows = {row: texts for row, *texts in database.execute(query, [part] * len(columns))}
        blanked = {
            row: [self.blanked_value(text) if isinstance(text, str) else text for text in texts]
            for row, texts in rows.items()
        }
        changed = [(*new, row) for row, new in blanked.items() if new != rows[row]]
        to = ", ".join(f'"{column}" = ?' for column in columns)
        database.executemany(f'UPDATE "{table}" SET {to} WHERE rowid = ?', changed)
        return len(changed)


def _filler(mention: Mention, text: str) -> str:
    """What stands for a mention; never the id itself, where that need not be a number of JSON."""
    written = text[mention.start : mention.end]
    length = len(written.encode(errors="surrogateescape"))
    if mention.is_row:
        return " " * length
    filler = _FILLERS.get(length) or "null".ljust(length)
    return "?" * length if filler == written and mention.in_words else filler


def _pairs(batch: pa.RecordBatch) -> Iterator[tuple[str | None, str | None]]:
    return zip(batch["table"].to_pylist(), batch["row"].to_pylist(), strict=True)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _tables(database: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """Each table of a database that holds text, and its columns that may."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%WITHOUT ROWID%'")
    for (name,) in tables.fetchall():
        described = database.execute(f'PRAGMA table_info("{name}")').fetchall()
        texts = [column for _, column, kind, *_ in described if not kind.upper().startswith(_NUMBERS)]
        if texts:
            yield name, texts
