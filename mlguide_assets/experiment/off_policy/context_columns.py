"""What was known of each decision, from columns of anyone's file, as an outcome model takes it.

A column is read by what its values say, not by its type: a CSV file has nothing but text, and gives the same model as
Parquet.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.errors import InputError
from mlguide_assets.experiment.off_policy.outcome_model import Context
from mlguide_assets.experiment.spelled_names import UNKNOWN
from mlguide_assets.prepare.sources.spellings import number_reader
from mlguide_assets.prepare.sources.times import read_times
from mlguide_assets.statistics.arrays import Integers

_LARGEST = float(np.finfo(np.float32).max)
"""Of the numbers that XGBoost takes."""


def context_columns(table: ibis.Table, names: Sequence[str], decimal_comma: bool) -> dict[str, ibis.Column]:
    """The columns of context by their place: numbers, flags and times as float64, all else as text."""
    texts = [name for name in names if table[name].type().is_string()]
    whole = _read_by(table, texts, number_reader(decimal_comma))
    return {
        f"context{place}": whole[name] if name in whole else _typed(table[name]) for place, name in enumerate(names)
    }


def _read_by(table: ibis.Table, texts: Sequence[str], read_numbers: Callable[[Any], Any]) -> dict[str, ibis.Column]:
    """Of the columns of text, those that are numbers, flags or times throughout, as these."""
    readings = {(name, kind): read for name in texts for kind, read in enumerate(_readings(table[name], read_numbers))}
    if not readings:
        return {}
    lost = {f"{name}:{kind}": (table[name].notnull() & read.isnull()).any() for (name, kind), read in readings.items()}
    found = table.aggregate(lost).to_pyarrow().to_pylist()[0]
    whole = [(name, kind) for name, kind in readings if not found[f"{name}:{kind}"]]
    # The first that reads all of it.
    return {name: readings[name, kind] for name, kind in reversed(whole)}


def _readings(text: Any, read_numbers: Callable[[Any], Any]) -> list[Any]:
    # Not all spellings of flags: a text of letters may hold t and y.
    flag = ibis.cases((text.lower() == "true", 1.0), (text.lower() == "false", 0.0), else_=ibis.null("float64"))
    return [read_numbers(text), flag, _seconds(read_times(text))]


def _typed(column: Any) -> Any:
    kind = column.type()
    if kind.is_date() or kind.is_timestamp():
        return _seconds(column.cast("timestamp"))
    return column.cast("float64" if kind.is_numeric() or kind.is_boolean() else "string")


def _seconds(time: Any) -> Any:
    return time.epoch_seconds().cast("float64")


def context_of(columns: pa.Table, names: Sequence[str], path: Path) -> Context:
    """Numbers as they are, texts as categories; missing values are NaN.

    Args:
        columns: as `context_columns` names them.
        path: named in errors.

    Raises:
        InputError: a number is infinite, or too large for the model.
    """
    parts: list[npt.NDArray[np.float32]] = []
    for place, name in enumerate(names):
        column = columns[f"context{place}"]
        if pa.types.is_floating(column.type):
            _refuse_too_large(column, name, path)
            parts.append(column.to_numpy().astype(np.float32))
        else:
            codes = codes_of(column).astype(np.float32)
            parts.append(np.where(codes == UNKNOWN, np.float32(np.nan), codes))
    empty = np.empty((columns.num_rows, 0), np.float32)
    categorical = tuple(not pa.types.is_floating(columns[f"context{place}"].type) for place in range(len(names)))
    return Context(np.column_stack(parts) if parts else empty, categorical)


def _refuse_too_large(column: pa.ChunkedArray, name: str, path: Path) -> None:
    large = column.filter(pc.greater(pc.abs(column), _LARGEST))
    large = large.filter(pc.invert(pc.is_nan(large)))
    for value in large[:1].to_pylist():
        raise InputError(
            f"--context {name}: {path} holds {value:g} there; the model takes numbers up to {_LARGEST:.2g}: correct "
            f"it, or leave it empty."
        )


def codes_of(column: pa.ChunkedArray) -> Integers:
    """The place of each value of a column of text among all of them in order, (n,); `UNKNOWN` where it is missing."""
    values = pc.unique(column).drop_null()
    places = pc.index_in(column, values.take(pc.sort_indices(values)))
    codes: Integers = pc.fill_null(places, UNKNOWN).to_numpy().astype(np.int64)
    return codes
