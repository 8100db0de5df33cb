"""One CSV or Parquet file, or a folder of parts, that a command gets by its path, with the names of its columns.

It reads no problem file, maps no names and checks no contract: that is what the three tables of a problem have.
"""

import difflib
from collections.abc import Container, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from re import fullmatch
from typing import Any

import duckdb
import ibis

from mlguide_assets.define.secrets import shown_address
from mlguide_assets.define.values import FLAGS
from mlguide_assets.english import agreeing, counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.sources.files import check_lines, open_table
from mlguide_assets.prepare.sources.finding import SUFFIXES, FoundTable, as_table
from mlguide_assets.prepare.sources.parquet_faults import refusing_parquet_faults
from mlguide_assets.prepare.sources.spellings import NULL_WORDS, number_reader, without_null_words

_REST = "(rest of) "
"""Before the name of a column of numbers: the column of what is none, as text."""
_ADDRESS = r"([A-Za-z][\w+.-]+):/([^/].*)"
"""As a path, which has one slash of the two."""


def read_columns(
    path: Path,
    named: Sequence[tuple[str, str]],
    connection: Any,
    scratch: Path,
    *,
    numbers: Container[str] = (),
    decimal_comma: bool = False,
) -> ibis.Table:
    """The columns of a file that options name. Those of CSV are text, empty values null; they are parsed once.

    Args:
        named: each option, as the user wrote it, and the column that it names.
        numbers: options whose columns are read as float64: numbers and flags, also written as text. Words for no value
            are null.
        decimal_comma: numbers in text are as in `1.234,56`. It is never guessed: `1,234` may be a thousand or one.
        connection: as `engine.connect` opens it.
        scratch: an empty folder for copies. It must last as long as the table.

    Raises:
        InputError: there is no such file, it is empty or of another kind, it lacks a column, or a value that must be a
            finite number is none.
    """
    found = _found(path)
    table = open_table(found, connection, scratch, checked=False)
    _require_columns(table, path, named)
    columns = list(dict.fromkeys(column for _, column in named))
    measures = {column: option for option, column in named if option in numbers}
    for column, option in measures.items():
        _refuse_no_numbers(table[column], path, option)
    others = [column for column in columns if column not in measures]
    rows = table.select(*others, *(each for column in measures for each in _parted(table[column], decimal_comma)))
    if found.kind == "csv":
        rows = _copied(rows, found, connection, scratch)
    return _with_rest(rows, path, measures, decimal_comma).select(*columns)


def refusing_damage(path: Path) -> AbstractContextManager[None]:
    """While the columns of a file are computed: what is met only then in a Parquet file becomes one sentence.

    Raises:
        InputError: a text is not UTF-8, or the file is damaged.
    """

    def files() -> Iterable[Path]:
        found = as_table(path)
        return found.files if found and found.kind == "parquet" else ()

    return refusing_parquet_faults(files)


def refuse_null_words(table: ibis.Table, path: Path, named: Iterable[tuple[str, str]]) -> None:
    """Refuse a word for no value in columns that need one in every row; an empty value is none of a word.

    Args:
        named: each option, as the user wrote it, and the column that it names.

    Raises:
        InputError: names the option, the column and the word: it may have been meant as a value.
    """
    for option, column in named:
        if not table[column].type().is_string():
            continue
        words = table.filter(table[column].isin([word for word in NULL_WORDS if word]))
        found = words.group_by(column).agg(rows=words.count()).order_by(column).limit(1).to_pyarrow().to_pylist()
        for each in found:
            raise InputError(
                f"{option} {column}: {counted(each['rows'], 'row')} of {path} {agreeing(each['rows'], 'has')} "
                f"{each[column]!r} there, which is read as no value: write another word where it is one, or "
                f"complete or remove them."
            )


def _require_columns(table: ibis.Table, path: Path, columns: Iterable[tuple[str, str]]) -> None:
    """Refuse a column that the file lacks.

    Args:
        columns: each option, as the user wrote it, and the column that it names.

    Raises:
        InputError: names the option, the column, and the nearest column there is or all of them.
    """
    by_lower = {name.lower(): name for name in table.columns}
    for option, column in columns:
        if column in table.columns:
            continue
        close = difflib.get_close_matches(column.lower(), by_lower, n=1)
        hint = (
            f"did you mean {by_lower[close[0]]!r}?" if close else f"it has {', '.join(map(repr, table.columns[:20]))}."
        )
        raise InputError(f"{option} {column}: {path} has no column {column!r}; {hint}")


def _found(path: Path) -> FoundTable:
    if not path.exists():
        if address := fullmatch(_ADDRESS, str(path)):
            shown = shown_address("://".join(address.groups()))
            raise InputError(f"{shown} is an address, and --data takes a file: write its rows to CSV or Parquet first.")
        raise InputError(f"The file {path} does not exist: check --data.")
    found = as_table(path)
    if found is None:
        raise InputError(f"{path} is not a CSV or Parquet file: its name must end in {', '.join(SUFFIXES)}.")
    return found


def _refuse_no_numbers(values: ibis.Column, path: Path, option: str) -> None:
    given = values.type()
    if not (given.is_string() or given.is_numeric() or given.is_boolean()):
        raise InputError(
            f"{option} {values.get_name()}: {path} holds values of type {given} there, which are no numbers."
        )


def _parted(values: ibis.Column, decimal_comma: bool) -> tuple[ibis.Column, ibis.Column]:
    """The finite numbers of a column, and the rest as text: few columns have any, and a word is far more work."""
    number = number_reader(decimal_comma)(values)
    finite = (~(number.isnan() | number.isinf())).fill_null(False)
    rest = ibis.ifelse(finite, ibis.null("string"), values.cast("string"))
    name = values.get_name()
    return ibis.ifelse(finite, number, ibis.null("float64")).name(name), rest.name(_REST + name)


def _copied(rows: ibis.Table, found: FoundTable, connection: Any, scratch: Path) -> ibis.Table:
    """A Parquet file of the rows. A line that is no row of the table is met here, and named."""
    copy = scratch / "columns.parquet"
    try:
        # It is read at once and then removed, and ids, which are most of it, do not compress.
        connection.to_parquet(rows, str(copy), compression="uncompressed")
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except duckdb.Error:
        check_lines(found, connection, scratch)
        raise
    return read_parquet(connection, copy)


def _with_rest(rows: ibis.Table, path: Path, measures: dict[str, str], decimal_comma: bool) -> ibis.Table:
    """Numbers with flags as 0 and 1, where there are any.

    Raises:
        InputError: a value is no finite number.
    """
    if not measures:
        return rows
    has_rest = rows.agg({column: rows[_REST + column].count() > 0 for column in measures}).to_pyarrow().to_pylist()[0]
    for column in (column for column in measures if has_rest[column]):
        text = without_null_words(rows[_REST + column], in_text=False)
        flag = ibis.cases(*((text.lower().isin(words), float(truth)) for truth, words in FLAGS.items()))
        wrong = rows.filter(text.notnull() & flag.isnull())
        for example in wrong.limit(1).to_pyarrow()[_REST + column].to_pylist():
            hint = _about_the_comma(example, decimal_comma)
            raise InputError(
                f"{measures[column]} {column}: {path} holds {example!r} there, which is not a number{hint}."
            )
        rows = rows.mutate({column: ibis.coalesce(rows[column], flag)})
    return rows


def _about_the_comma(text: str, decimal_comma: bool) -> str:
    """What may be wrong with a number that has a comma, or a point in its place."""
    if decimal_comma:
        return " with a decimal comma, as in 1.234,56"
    return "; give --decimal-comma if a comma is before the fraction" if fullmatch(r"[+-]?[\d.' ]*,\d+", text) else ""
