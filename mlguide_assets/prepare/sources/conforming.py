"""Giving any source's columns our names and types, and keeping what does not read as such in sight."""

import difflib
import re
from collections.abc import Mapping

import ibis

from mlguide_assets.define.tables import TABLES, ColumnType, TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.times import read_times, refuse_another_format

UNREADABLE = "unreadable"
"""Column of a conformed table: the values of the row that do not read as their type, or null."""

_INTEGER = r"^\s*[+-]?\d{1,18}(\.0*)?\s*$"


def conform(
    raw: ibis.Table,
    table: TableName,
    mapping: Mapping[str, str],
    *,
    place: str,
    formats: Mapping[str, str] | None = None,
) -> ibis.Table:
    """Select our columns from a source's table and cast them.

    Names match exactly as mapped, else whatever the case and with any run of other characters for an
    underscore: `delivered at` and `Delivered_At` are `delivered_at`.

    Args:
        mapping: our column to the source's, where they differ.
        formats: our column of times to how the source writes them, where that is not ISO 8601.

    Raises:
        InputError: a column is missing, is of times in a format that is not stated, or the table has no rows.
    """
    formats = formats or {}
    found = {column: _find(raw.columns, column, mapping, place) for column in TABLES[table].columns}
    if not raw.limit(1).count().execute():
        raise InputError(f"{place} has no rows: an empty table cannot be learned from; check what writes it.")
    cast = {}
    for name, source in found.items():
        type_ = TABLES[table].columns[name].type
        if type_ == "timestamp":
            if name not in formats:
                refuse_another_format(raw[source], name, table, place=place)
            cast[name] = read_times(raw[source], formats.get(name))
        else:
            cast[name] = _cast(raw[source], type_)
    complaints = [
        ibis.ifelse(
            raw[source].notnull() & cast[name].isnull() & (raw[source].cast("string").strip() != ""),
            ibis.literal(f"{name}=") + raw[source].cast("string"),
            ibis.null("string"),
        )
        for name, source in found.items()
    ]
    return raw.select(**cast, **{UNREADABLE: ibis.literal(", ").join(complaints).nullif("")})


def _find(columns: tuple[str, ...], column: str, mapping: Mapping[str, str], place: str) -> str:
    wanted = mapping.get(column, column)
    if wanted in columns:
        return wanted
    matches = [name for name in columns if _plain(name) == _plain(wanted)]
    if len(matches) == 1:
        return matches[0]
    have = ", ".join(map(repr, columns))
    if matches:
        raise InputError(
            f"{place} has several columns that could be {wanted!r} ({', '.join(matches)}): map one of them."
        )
    close = difflib.get_close_matches(_plain(wanted), [_plain(name) for name in columns], n=1)
    hint = f", perhaps now {close[0]!r}" if close else ""
    raise InputError(
        f"{place} has no column {wanted!r} (it has {have}){hint}: rename it there, or map it under tables in the "
        f"problem file."
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _cast(column: ibis.Column, type_: ColumnType) -> ibis.Column:
    """Cast, with null for what does not read as the type. Numbers are never rounded into integers."""
    given = column.type()
    if type_ == "string":
        return column.cast("string").strip().nullif("")
    if given.is_string():
        digits = column.strip().re_replace(r"\.0*$", "")
        return ibis.ifelse(column.re_search(_INTEGER), digits.try_cast("int64"), ibis.null("int64"))
    if given.is_floating() or given.is_decimal():
        return ibis.ifelse(column == column.floor(), column.try_cast("int64"), ibis.null("int64"))
    if given.is_integer():
        return column.try_cast("int64")
    return ibis.null("int64")
