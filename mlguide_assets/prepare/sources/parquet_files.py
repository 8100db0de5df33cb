"""Parquet files as one table. Its parts may hold the same values in other types.

DuckDB reads all parts in one type, and converts in its own way: a time without a zone and one with a zone become one
that was never meant, 7.0 beside texts is the text `7.0`, and a number is no time at all. Where the types of a column
differ in more than their width, each part's values become texts here, which mean the same as the values
(`spellings.py`, `times.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as types

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.sources.csv_text import refuse_equal_names
from mlguide_assets.prepare.sources.spellings import to_text

_SMALL, _LARGE, _FLOATING, _NOTHING = "integer of 32 bits or less", "integer", "floating", "nothing"
_TOGETHER = ({_SMALL, _LARGE}, {_SMALL, _FLOATING})
"""Families that DuckDB converts to one type without a loss."""


def open_parquet(files: Sequence[Path], connection: Any, scratch: Path) -> ibis.Table:
    """Files as one table, with the columns that all of them have.

    Where a part lacks a column, the table has none, rather than one that is empty there.

    Raises:
        InputError: a file cannot be read, or has two columns of one name.
    """
    schemas = [_schema(path) for path in files]
    for path, schema in zip(files, schemas, strict=True):
        refuse_equal_names(schema.names, path)
    paths = [_readable(path, schema, scratch) for path, schema in zip(files, schemas, strict=True)]
    places = [{name.lower(): place for place, name in enumerate(schema.names)} for schema in schemas]
    names = [name for name in schemas[0].names if all(name.lower() in others for others in places)]
    families = {
        name: [_family(schema.field(each[name.lower()]).type) for schema, each in zip(schemas, places, strict=True)]
        for name in names
    }
    mixed = [name for name in names if not _go_together(set(families[name]))]
    if not mixed:
        return _read(paths, names, connection)
    alike = [name for name in names if name not in mixed]
    wanted = _read(paths, alike, connection).schema() if alike else {}
    groups: dict[tuple[str, ...], list[Path]] = {}
    for place, path in enumerate(paths):
        groups.setdefault(tuple(families[name][place] for name in mixed), []).append(path)
    return ibis.union(*(_as_texts(_read(group, names, connection), mixed, wanted) for group in groups.values()))


def columns_of_parts(files: Sequence[Path]) -> dict[str, Path | None]:
    """Every column that a file of a table has → the first file that has none of that name, whatever its case.

    Raises:
        InputError: a file cannot be read.
    """
    names = {path: _schema(path).names for path in files}
    lower = {path: {name.lower() for name in own} for path, own in names.items()}
    every = {name.lower(): name for own in names.values() for name in own}
    return {name: next((path for path in files if key not in lower[path]), None) for key, name in every.items()}


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as parquet: it is cut short, damaged or something else; write it again."
        ) from error


def _read(paths: Sequence[Path], names: Sequence[str], connection: Any) -> ibis.Table:
    rows = read_parquet(connection, *paths, union_by_name=len(paths) > 1, binary_as_string=True)
    # A part may write a name in another case.
    called = {column.lower(): column for column in rows.columns}
    return rows.select(rows[called[name.lower()]].name(name) for name in names)


def _as_texts(rows: ibis.Table, mixed: Sequence[str], wanted: Any) -> ibis.Table:
    return rows.select(
        (to_text(rows[name]) if name in mixed else rows[name].cast(wanted[name])).name(name) for name in rows.columns
    )


def _go_together(families: set[str]) -> bool:
    found = families - {_NOTHING}
    return len(found) < 2 or found in _TOGETHER


def _family(type_: pa.DataType) -> str:
    """What types of the same values have in common."""
    if types.is_dictionary(type_):
        return _family(type_.value_type)
    if types.is_null(type_):
        return _NOTHING
    if types.is_integer(type_):
        return _SMALL if type_.bit_width <= 32 else _LARGE
    if types.is_floating(type_) or types.is_duration(type_):
        return _FLOATING
    if types.is_date(type_) or (types.is_timestamp(type_) and type_.tz is None):
        return "time without a zone"
    if types.is_timestamp(type_):
        return "time with a zone"
    if any(is_text(type_) for is_text in (types.is_string, types.is_large_string, types.is_string_view)):
        return "text"
    if types.is_binary(type_) or types.is_large_binary(type_):
        return "text"
    return str(type_)


def _readable(path: Path, schema: pa.Schema, scratch: Path) -> Path:
    """The file, or a copy of what DuckDB reads as another value: decimals of more than 38 digits, of which 1.5 would be
    25165824, are texts; durations, which would be counts of whatever unit the file has, are seconds.
    """
    held = {place: _as_held(field.type) for place, field in enumerate(schema)}
    changed = {place: type_ for place, type_ in held.items() if type_ is not None}
    if not changed:
        return path
    for place, type_ in changed.items():
        schema = schema.set(place, schema.field(place).with_type(type_))
    copy = scratch / f"{len(list(scratch.iterdir()))}-{path.name}.parquet"
    with pq.ParquetWriter(copy, schema) as writer:
        for batch in pq.ParquetFile(path).iter_batches():
            columns = [_held(column, changed.get(place)) for place, column in enumerate(batch.columns)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return copy


def _as_held(type_: pa.DataType) -> pa.DataType | None:
    """What a type is copied as; None where it need not be."""
    if types.is_duration(type_):
        return pa.float64()
    return pa.string() if types.is_decimal256(type_) else None


def _held(column: pa.Array, type_: pa.DataType | None) -> pa.Array:
    if type_ is None or not types.is_duration(column.type):
        return column if type_ is None else column.cast(type_)
    in_seconds = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
    return pc.divide(column.cast(pa.int64()).cast(type_, safe=False), in_seconds)
