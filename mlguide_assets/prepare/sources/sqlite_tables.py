"""Tables of SQLite, read by what their values are.

A column of SQLite holds values of any type, whatever it was declared as: `DATETIME` may hold texts in any format or
numbers, `BOOLEAN` the text `false`, and any integer has 64 bits. Nothing is read from a declaration, but that 0 and 1
of a `BOOLEAN` are truth values.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ibis.common.exceptions import TableNotFound

from mlguide_assets.prepare.sources.spellings import EXACT

_COLUMNS_AT_ONCE = 100
"""Of one query: SQLite has a limit on the columns of a result."""


@dataclass(frozen=True)
class SqliteTable:
    """A table or view, without its rows.

    Attributes:
        declared: column → its declared type.
        most_rows: of a longer table, the first so many are read.
    """

    connection: sqlite3.Connection
    name: str
    declared: dict[str, str]
    most_rows: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.declared)

    def limit(self, most_rows: int) -> "SqliteTable":
        return replace(self, most_rows=most_rows)

    def batches(self, wanted: Collection[str], size: int) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow. Columns that are not wanted are there, but empty."""
        read = [column for column in self.declared if column in wanted]
        types = self._types(read)
        schema = pa.schema([(column, types.get(column, pa.string())) for column in self.declared])
        cursor = self._execute(f"SELECT {', '.join(map(_quoted, read)) or '1'} FROM {self._rows}")
        while rows := cursor.fetchmany(size):
            values = dict(zip(read, zip(*rows, strict=True), strict=True)) if read else {}
            arrays = [
                _array(values[field.name], field.type) if field.name in values else pa.nulls(len(rows), field.type)
                for field in schema
            ]
            yield pa.record_batch(arrays, schema=schema)

    @property
    def _rows(self) -> str:
        name = _quoted(self.name)
        return name if self.most_rows is None else f"(SELECT * FROM {name} LIMIT {self.most_rows})"

    def _types(self, columns: list[str]) -> dict[str, pa.DataType]:
        """The type of each column that holds all of its values, exactly."""
        found: dict[str, pa.DataType] = {}
        for start in range(0, len(columns), _COLUMNS_AT_ONCE):
            some = columns[start : start + _COLUMNS_AT_ONCE]
            asked = ", ".join(f"max({has})" for column in some for has in _questions(_quoted(column)))
            (answers,) = self._execute(f"SELECT {asked} FROM {self._rows}").fetchall()
            each = len(answers) // len(some)
            for place, column in enumerate(some):
                has = map(bool, answers[place * each : (place + 1) * each])
                found[column] = _type_of(*has, boolean=self.declared[column].upper().startswith("BOOL"))
        return found

    def _execute(self, query: str) -> sqlite3.Cursor:
        self.connection.text_factory = _as_utf8
        return self.connection.execute(query)


def sqlite_table(connection: sqlite3.Connection, name: str, schema: str | None = None) -> SqliteTable:
    """A table or view by its name. The one schema of a file is `main`.

    Raises:
        TableNotFound: there is none.
    """
    rows = connection.execute("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1", (name,)).fetchall()
    if not rows or schema not in (None, "main"):
        raise TableNotFound(name)
    return SqliteTable(connection, name, dict(rows))


def write_sqlite_table(
    table: SqliteTable, wanted: Collection[str], path: Path, *, size: int, alive: Callable[[], None]
) -> None:
    """Write a table to a Parquet file, in batches.

    Raises:
        UnicodeDecodeError: a text is not UTF-8.
    """
    writer = None
    try:
        for batch in table.batches(wanted, size):
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
            alive()
        if writer is None:
            pq.write_table(pa.table({column: pa.array([], pa.string()) for column in table.columns}), path)
    finally:
        if writer is not None:
            writer.close()


def _questions(column: str) -> tuple[str, ...]:
    """Conditions about a value, in the order of the arguments of `_type_of`."""
    kind = f"typeof({column})"
    return (
        f"{kind} = 'integer'",
        f"{kind} = 'integer' AND {column} NOT IN (0, 1)",
        f"{kind} = 'integer' AND {column} NOT BETWEEN {-EXACT} AND {EXACT}",
        f"{kind} = 'real'",
        f"{kind} = 'text'",
        f"{kind} = 'blob'",
    )


def _type_of(
    integers: bool, counts: bool, large: bool, fractions: bool, texts: bool, blobs: bool, *, boolean: bool
) -> pa.DataType:
    if texts or (blobs and (integers or fractions)) or (large and fractions):
        return pa.string()
    if blobs:
        return pa.binary()
    if fractions:
        return pa.float64()
    if integers:
        return pa.bool_() if boolean and not counts else pa.int64()
    return pa.string()


def _array(values: tuple[Any, ...], type_: pa.DataType) -> pa.Array:
    if type_ == pa.string():
        return pa.array([value if value is None or isinstance(value, str) else _text(value) for value in values], type_)
    if type_ == pa.bool_():
        return pa.array(values, pa.int64()).cast(type_)
    if type_ == pa.float64():
        return pa.array([None if value is None else float(value) for value in values], type_)
    return pa.array(values, type_)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return _as_utf8(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _as_utf8(text: bytes) -> str:
    return text.decode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
