"""Cutting a column into slices: values of a text, bands of a number, and a slice of its own for what is missing."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.statistics.arrays import Floats, Integers

MISSING = "(missing)"
OTHER = "(other)"

BANDS = 4
MOST_VALUES = 12
"""Values of a text that are slices of their own, the commonest; the rest are one together."""


@dataclass(frozen=True, eq=False)
class Slicing:
    """A column cut into slices: their names in order, and to which of them each row belongs (n,)."""

    column: str
    names: tuple[str, ...]
    codes: Integers


def slicing(name: str, values: pa.ChunkedArray) -> Slicing:
    """Cut a column of text, booleans or numbers into slices; no value (null or NaN) is a slice of its own, the last.

    Numbers are cut into at most `BANDS` bands of about equal count, equal numbers together, named after the lowest
    and highest number in each. Of texts the `MOST_VALUES` commonest are kept, commonest first. An ordered dictionary
    is cut already (`already_cut`).

    Raises:
        ValueError: values of another type.
    """
    kind = values.type
    if pa.types.is_dictionary(kind) and kind.ordered:
        cut = values.combine_chunks()
        return Slicing(name, tuple(cut.dictionary.to_pylist()), cut.indices.to_numpy())
    if pa.types.is_dictionary(kind):
        return slicing(name, values.cast(kind.value_type))
    if pa.types.is_null(kind):
        return _slices_of(name, [], np.full(len(values), -1, dtype=np.int64))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _slices_of(name, *_bands(values))
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _slices_of(name, *_texts(values.cast(pa.string())))
    raise ValueError(f"cannot slice by {name!r}: text, booleans and numbers can be, {kind} cannot")


def already_cut(rows: pa.Table, columns: Iterable[str]) -> pa.Table:
    """Rows with the names of their slices in place of the values of some columns: any part of them is sliced alike."""
    for name in columns:
        cut = slicing(name, rows[name])
        names = pa.DictionaryArray.from_arrays(cut.codes, pa.array(cut.names, pa.string()), ordered=True)
        rows = rows.set_column(rows.column_names.index(name), name, names)
    return rows


def _slices_of(name: str, names: list[str], codes: Integers) -> Slicing:
    """Code -1 means no value."""
    missing = codes < 0
    if missing.any():
        names, codes = [*names, MISSING], np.where(missing, len(names), codes)
    return Slicing(name, tuple(names), codes)


def _texts(values: pa.ChunkedArray) -> tuple[list[str], Integers]:
    encoded = pc.dictionary_encode(pc.if_else(pc.equal(values, MISSING), None, values)).combine_chunks()
    names = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    order = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))
    few = len(order) <= MOST_VALUES + 1
    kept = order if few else [code for code in order if names[code] != OTHER][:MOST_VALUES]
    # One place more than there are values, so that -1 finds -1.
    place = np.full(len(names) + 1, len(kept), dtype=np.int64)
    place[kept], place[-1] = np.arange(len(kept)), -1
    shown = [names[code] or "(empty)" for code in kept] + [OTHER] * (len(kept) < len(order))
    return shown, place[codes]


def _bands(values: pa.ChunkedArray) -> tuple[list[str], Integers]:
    numbers = pc.cast(values, pa.float64(), safe=False).to_numpy()
    known = ~np.isnan(numbers)
    distinct, counts = np.unique(numbers[known], return_counts=True)
    starts = _starts(counts)
    ends = [following - 1 for following in [*starts, len(distinct)][1:]]
    codes = np.full(len(numbers), -1, dtype=np.int64)
    codes[known] = np.searchsorted(distinct[starts], numbers[known], side="right") - 1
    return _band_names(distinct[starts], distinct[ends], whole=pa.types.is_integer(values.type)), codes


def _starts(counts: Integers) -> list[int]:
    """Where bands of distinct numbers begin, given how many rows have each.

    Each takes numbers until it has its share of the rows that are left, so one number that most rows have, such
    as 0, is a band by itself and the others stay separate.
    """
    starts: list[int] = []
    at = 0
    while at < len(counts):
        starts.append(at)
        left = np.cumsum(counts[at:])
        share = left[-1] / (BANDS + 1 - len(starts))
        at += min(int(np.searchsorted(left, share)), len(left) - 1) + 1
    return starts


def _band_names(lows: Floats, highs: Floats, *, whole: bool) -> list[str]:
    """Such as 18–27, with as few digits as distinguish the bands, three at least."""
    between = " to " if (lows < 0).any() else "–"
    names: list[str] = []
    for digits in range(3, 18):
        ends = [[_shown(number, digits, whole) for number in numbers] for numbers in (lows, highs)]
        names = [low if low == high else f"{low}{between}{high}" for low, high in zip(*ends, strict=True)]
        if len(set(names)) == len(names):
            break
    return names


def _shown(number: float, digits: int, whole: bool) -> str:
    if whole:
        return f"{number:.0f}"
    if number and not 1e-5 <= abs(number) < 1e15:
        return f"{number:.{digits}g}"
    return np.format_float_positional(number, precision=digits, unique=False, fractional=False, trim="-")
