"""Giving any source's columns our names and types, and keeping what does not read as such in sight."""

import difflib
from collections.abc import Mapping
from uuid import uuid4

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.problem import Label
from mlguide_assets.define.tables import TABLES, ColumnType, TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.names import UNREADABLE, plain
from mlguide_assets.prepare.sources.newest import KNOWN_AT, ORDER
from mlguide_assets.prepare.sources.spellings import read_labels, read_numbers, read_texts, without_null_words
from mlguide_assets.prepare.sources.times import read_times, refuse_another_format


def conform(
    raw: ibis.Table,
    table: TableName,
    mapping: Mapping[str, str],
    *,
    place: str,
    formats: Mapping[str, str] | None = None,
    label: Label | None = None,
    known_at: str | None = None,
) -> ibis.Table:
    """Select our columns from a source's table and read their values as our types.

    Names match exactly as mapped, else whatever the case and with any run of other characters for an
    underscore: `delivered at` and `Delivered_At` are `delivered_at`.

    Args:
        mapping: our column to the source's, where they differ.
        formats: our column of times to how the source writes them, where that is not ISO 8601.
        place: the table of the source in words.
        label: its column holds texts as the problem file writes them, whatever their spelling in the source.
        known_at: the source's column that says when a row was written; it becomes `KNOWN_AT`. A column `ORDER` stays.

    Raises:
        InputError: a column is missing, is of times in a format that is not stated, or the table has no rows.
    """
    formats = formats or {}
    found = {column: _find(raw.columns, column, mapping, place) for column in TABLES[table].columns}
    types = {name: column.type for name, column in TABLES[table].columns.items()}
    if known_at is not None:
        found[KNOWN_AT] = _find(raw.columns, known_at, {known_at: known_at}, place)
        types[KNOWN_AT] = "timestamp"
    if not raw.limit(1).count().execute():
        raise InputError(f"{place} has no rows: an empty table cannot be learned from; check what writes it.")
    order = {ORDER: raw[ORDER]} if ORDER in raw.columns else {}
    texts = {name for name, type_ in types.items() if type_ == "string"}
    cleaned = {name: without_null_words(raw[source], in_text=name in texts) for name, source in found.items()}
    given = _view(raw.select(**cleaned, **order))
    for name in found:
        if types[name] == "timestamp" and name not in formats:
            refuse_another_format(given[name], name, table, place=place)
    read = {
        name: read_labels(given[name], label)
        if label and name == label.column
        else _read(given[name], types[name], formats.get(name))
        for name in found
    }
    as_given = {_as_given(name): given[name] for name in found}
    both = _view(given.select(**read, **as_given, **{name: given[name] for name in order}))
    complaints = [
        ibis.ifelse(
            both[_as_given(name)].notnull() & both[name].isnull(),
            ibis.literal(f"{name}=") + both[_as_given(name)].cast("string"),
            ibis.null("string"),
        )
        for name in found
        if not _always_reads(given[name].type(), types[name])
    ]
    unreadable = ibis.literal(", ").join(complaints).nullif("") if complaints else ibis.null("string")
    return both.select(*found, *order, **{UNREADABLE: unreadable})


def _view(rows: ibis.Table) -> ibis.Table:
    """The same rows under a name: what follows refers to each column, where Ibis would repeat how it is read."""
    return rows.get_backend().create_view(f"conforming_{uuid4().hex}", rows)


def _as_given(name: str) -> str:
    return f"{name} as given"


def _read(column: ibis.Column, type_: ColumnType, format: str | None) -> ibis.Column:
    if type_ == "timestamp":
        return read_times(column, format)
    return read_numbers(column) if type_ == "int64" else read_texts(column)


def _always_reads(given: dt.DataType, wanted: ColumnType) -> bool:
    """Whether no value of a type can be unreadable, so that none need be looked for."""
    return wanted == "string" or (wanted == "int64" and given == dt.int64)


def _find(columns: tuple[str, ...], column: str, mapping: Mapping[str, str], place: str) -> str:
    wanted = mapping.get(column, column)
    if column in mapping and wanted in columns:
        return wanted
    matches = [name for name in columns if plain(name) == plain(wanted)]
    if len(matches) == 1:
        return matches[0]
    have = ", ".join(map(repr, columns))
    if matches:
        raise InputError(
            f"{place} has several columns that could be {wanted!r} ({', '.join(map(repr, matches))}): map one of "
            f"them under tables in the problem file."
        )
    close = difflib.get_close_matches(plain(wanted), [plain(name) for name in columns], n=1)
    hint = f", perhaps now {close[0]!r}" if close else ""
    raise InputError(
        f"{place} has no column {wanted!r} (it has {have}){hint}: rename it there, or map it under tables in the "
        f"problem file."
    )
