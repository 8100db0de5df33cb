"""One CSV or Parquet file, or a folder of parts, that a command gets by its path, with the names of its columns.

It reads no problem file, maps no names and checks no contract: that is what the three tables of a problem have.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.files import open_table
from mlguide_assets.prepare.sources.finding import SUFFIXES, as_table
from mlguide_assets.prepare.sources.spellings import FLAGS, without_null_words


def open_data_file(path: Path, connection: Any, scratch: Path) -> ibis.Table:
    """Every column of the file; those of CSV are text, empty values null.

    Args:
        connection: as `engine.connect` opens it.
        scratch: a folder for a copy of a CSV file that is compressed or ends its lines in several ways. It must last
            as long as the table.

    Raises:
        InputError: there is no such file, it is empty, or it is of another kind.
    """
    if not path.exists():
        raise InputError(f"The file {path} does not exist: check --data.")
    found = as_table(path)
    if found is None:
        raise InputError(f"{path} is not a CSV or Parquet file: its name must end in {', '.join(SUFFIXES)}.")
    return open_table(found, connection, scratch)


def require_columns(table: ibis.Table, path: Path, columns: Iterable[tuple[str, str]]) -> None:
    """Refuse a column that the file lacks.

    Args:
        columns: each option, as the user wrote it, and the column that it names.

    Raises:
        InputError: names the option, the column, and the nearest column there is or all of them.
    """
    for option, column in columns:
        if column in table.columns:
            continue
        close = difflib.get_close_matches(column, table.columns, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, table.columns[:20]))}."
        raise InputError(f"{option} {column}: {path} has no column {column!r}; {hint}")


def as_numbers(table: ibis.Table, path: Path, option: str, column: str) -> ibis.Table:
    """The table with a column as float64: numbers and flags, also written as text. Words for no value are null.

    Raises:
        InputError: a value is no finite number.
    """
    values = table[column]
    if not (values.type().is_string() or values.type().is_numeric() or values.type().is_boolean()):
        raise InputError(f"{option} {column}: {path} holds values of type {values.type()} there, which are no numbers.")
    number = values.try_cast("float64")
    # Few columns of text hold anything but numbers, and a word is far more work to recognise than a number.
    if not values.type().is_string() or _any(table, values.notnull() & (number.isnull() | number.isnan())):
        values = without_null_words(values, in_text=False)
        number = _number_or_flag(values)
    wrong = table.filter(values.notnull() & (number.isnull() | number.isinf()))
    for example in wrong.limit(1).to_pyarrow()[column].to_pylist():
        raise InputError(f"{option} {column}: {path} holds {str(example)!r} there, which is not a number.")
    return table.mutate(**{column: number})


def _any(table: ibis.Table, condition: ibis.Value) -> bool:
    return bool(table.agg(found=condition.any()).to_pyarrow()["found"][0].as_py())


def _number_or_flag(values: ibis.Value) -> ibis.Value:
    number = values.try_cast("float64")
    if not values.type().is_string():
        return number
    flags = ibis.cases(*((values.lower().isin(words), float(truth)) for truth, words in FLAGS.items()))
    return ibis.coalesce(number, flags)
