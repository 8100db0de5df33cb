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

_COLUMNS_AT_ONCE = 10
"""Whose kinds of values are found together: all combinations of them are looked at."""

_STEPS = 10_000_000
"""Of SQLite's machine, between signs of life: less than a second."""


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
        held: dict[str, set[str]] = {}
        for start in range(0, len(columns), _COLUMNS_AT_ONCE):
            some = columns[start : start + _COLUMNS_AT_ONCE]
            kinds = ", ".join(f"typeof({_quoted(column)})" for column in some)
            found = self._execute(f"SELECT DISTINCT {kinds} FROM {self._rows}").fetchall()
            held |= {column: {row[place] for row in found} - {"null"} for place, column in enumerate(some)}
        return {column: self._type_of(column, kinds) for column, kinds in held.items()}

    def _type_of(self, column: str, kinds: set[str]) -> pa.DataType:
        if kinds == {"blob"}:
            return pa.binary()
        if kinds == {"real"} or (kinds == {"integer", "real"} and not self._has_integers_beyond(column, -EXACT, EXACT)):
            return pa.float64()
        if kinds == {"integer"}:
            is_flag = self.declared[column].upper().startswith("BOOL") and not self._has_integers_beyond(column, 0, 1)
            return pa.bool_() if is_flag else pa.int64()
        return pa.string()

    def _has_integers_beyond(self, column: str, low: int, high: int) -> bool:
        name = _quoted(column)
        condition = f"typeof({name}) = 'integer' AND {name} NOT BETWEEN {low} AND {high}"
        return bool(self._execute(f"SELECT EXISTS (SELECT 1 FROM {self._rows} WHERE {condition})").fetchone()[0])

    def _execute(self, query: str) -> sqlite3.Cursor:
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
        UnicodeError: a text is not UTF-8.
    """
    writer = None
    # The kinds of all values are found before there is a first batch.
    table.connection.set_progress_handler(alive, _STEPS)
    try:
        for batch in table.batches(wanted, size):
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
            alive()
        if writer is None:
            pq.write_table(pa.table({column: pa.array([], pa.string()) for column in table.columns}), path)
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" in str(error):
            raise UnicodeError(str(error).partition("column ")[2]) from error
        raise
    finally:
        table.connection.set_progress_handler(None, 0)
        if writer is not None:
            writer.close()


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
        return value.decode()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
