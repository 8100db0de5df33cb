"""Casts a source's columns to the names and types of the problem file; values that cannot be read are kept apart."""

import difflib
from collections.abc import Mapping
from uuid import uuid4

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.prediction import ColumnLabel
from mlguide_assets.define.schema import DECIMAL_COMMA, Column, EntityTable, EventTable, TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.sources.names import UNREADABLE, plain
from mlguide_assets.prepare.sources.newest import ORDER
from mlguide_assets.prepare.sources.spellings import (
    read_decimal_comma,
    read_flags,
    read_fractions,
    read_labels,
    read_numbers,
    read_outcomes,
    read_texts,
    to_text,
    without_null_words,
)
from mlguide_assets.prepare.sources.times import read_times, refuse_another_format, without_infinity

IdColumn = tuple[TableName, str]
"""A table and its column of ids."""


def cast_to_schema(
    raw: ibis.Table,
    name: TableName,
    table: EntityTable | EventTable,
    *,
    place: str,
    text_ids: frozenset[str] = frozenset(),
    label: ColumnLabel | None = None,
) -> ibis.Table:
    """Select the columns of the problem file from a source's table and read their values as their kinds.

    Names match exactly as the file has them, else whatever the case and with any run of other characters for an
    underscore: `delivered at` and `Delivered_At` are `delivered_at`.

    Args:
        place: the table of the source in words.
        text_ids: columns of ids that are texts; other ids are whole numbers.
        label: its column holds texts as the problem file writes them, whatever their spelling in the source.

    Raises:
        InputError: a column is missing, is of times in a format that is not stated, or the table has no rows.
    """
    columns = table.columns
    found = find_columns(raw.columns, table, place)
    if not raw.limit(1).count().execute():
        raise InputError(f"{place} has no rows: an empty table cannot be learned from; check what writes it.")
    order = {ORDER: raw[ORDER]} if ORDER in raw.columns else {}
    texts = {each for each, column in columns.items() if column.kind in ("category", "text")} | text_ids
    cleaned = {each: without_null_words(raw[source], in_text=each in texts) for each, source in found.items()}
    times = {each: without_infinity(cleaned[each]) for each, column in columns.items() if column.kind == "time"}
    given = as_view(raw.select(*named({**cleaned, **times}), *order))
    for each, column in columns.items():
        if column.kind == "time" and column.format is None:
            refuse_another_format(given[each], each, name, place=place)
    read = {
        each: _read_outcome(given[each], column, label)
        if label and each == label.column
        else _read(given[each], column, each in text_ids, table.timezone)
        for each, column in columns.items()
    }
    as_given = {_as_given(each): given[each] for each in found}
    both = as_view(given.select(*named(read), *named(as_given), *order))
    unread = {
        each: both[_as_given(each)].notnull() & both[each].isnull()
        for each in found
        if not _always_reads(given[each].type(), read[each].type())
    }
    complaints = [
        ibis.ifelse(fault, ibis.literal(f"{each}=") + both[_as_given(each)].cast("string"), ibis.null("string"))
        for each, fault in unread.items()
    ]
    unreadable: ibis.Value = ibis.null("string")
    if complaints:
        # Few rows have one, and joining texts takes as long as reading values.
        unreadable = ibis.ifelse(ibis.or_(*unread.values()), ibis.literal(", ").join(complaints), unreadable)
    return both.select(*found, *order, unreadable.name(UNREADABLE))


def find_columns(given: tuple[str, ...], table: EntityTable | EventTable, place: str) -> dict[str, str]:
    """Column of the problem file → column of the source.

    Raises:
        InputError: one is missing, or could be several.
    """
    return {name: _find(given, name, column, place) for name, column in table.columns.items()}


def as_view(rows: ibis.Table) -> ibis.Table:
    """The same rows under a name: what follows refers to each column, where Ibis would repeat how it is read."""
    return rows.get_backend().create_view(f"cast_{uuid4().hex}", rows)


def _as_given(name: str) -> str:
    return f"{name}, as the source has it"


def _read(values: ibis.Column, column: Column, is_text_id: bool, timezone: str) -> ibis.Column:
    match column.kind:
        case "time":
            return read_times(values, column.format, timezone)
        case "number":
            return read_decimal_comma(values) if column.format == DECIMAL_COMMA else read_fractions(values)
        case "integer":
            return read_numbers(values)
        case "flag":
            return read_flags(values)
        case "id" if not is_text_id:
            return read_numbers(values)
        case "id":
            return to_text(values)
        case _:
            return read_texts(values)


def _read_outcome(values: ibis.Column, column: Column, label: ColumnLabel) -> ibis.Column:
    if label.limit is None:
        return read_labels(values, label)
    return read_outcomes(values, _read(values, column, False, "UTC"), label.limit)


def _always_reads(given: dt.DataType, wanted: dt.DataType) -> bool:
    """Whether no value of a type can be unreadable, so that none need be looked for."""
    return wanted.is_string() or (wanted == given and given in (dt.int64, dt.boolean))


def _find(columns: tuple[str, ...], name: str, column: Column, place: str) -> str:
    wanted = column.name or name
    if wanted in columns:
        return wanted
    matches = [each for each in columns if plain(each) == plain(wanted)]
    if len(matches) == 1:
        return matches[0]
    have = ", ".join(map(repr, columns))
    if matches:
        raise InputError(
            f"{place} has several columns that could be {wanted!r} ({', '.join(map(repr, matches))}): map one of "
            f"them under tables in the problem file."
        )
    close = difflib.get_close_matches(plain(wanted), [plain(each) for each in columns], n=1)
    hint = f", perhaps now {close[0]!r}" if close else ""
    raise InputError(
        f"{place} has no column {wanted!r} (it has {have}){hint}: rename it there, or map it under tables in the "
        f"problem file, as {name}: {{kind: {column.kind}, name: <its name there>}}."
    )


def text_ids_of(
    tables: Mapping[TableName, EntityTable | EventTable], whole: Mapping[IdColumn, bool]
) -> dict[TableName, frozenset[str]]:
    """Per table the columns of ids that are texts. The ids of one entity have one type in all tables.

    Args:
        whole: whether ids are whole numbers, as `spellings.are_whole_numbers` finds.
    """
    of_noun: dict[str, bool] = {}
    for name, table in tables.items():
        for column, noun in nouns_of(table).items():
            if noun is not None:
                of_noun[noun] = of_noun.get(noun, True) and whole[name, column]
    return {
        name: frozenset(
            column
            for column, noun in nouns_of(table).items()
            if not (whole[name, column] if noun is None else of_noun[noun])
        )
        for name, table in tables.items()
    }


def nouns_of(table: EntityTable | EventTable) -> dict[str, str | None]:
    """Columns of ids → the entity that they are ids of; None for ids that only identify rows."""
    ids: dict[str, str | None] = dict.fromkeys(table.of_kind("id"))
    if isinstance(table, EntityTable):
        return {**ids, **({table.key: table.entity} if table.key in ids else {})}
    return {**ids, **{column: noun for noun, column in table.of.items() if column in ids}}
