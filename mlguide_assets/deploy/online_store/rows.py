"""Rows and ids as every kind of store keeps them, so that all give the same answers."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.deploy.online_store.store import StoreError

_LARGEST = 2**63 - 1


def plain_rows(batch: pa.RecordBatch, table: str, key: str) -> Iterator[tuple[Any, ...]]:
    """The rows as the plain values that every kind of store gives back: int, float, text or None.

    Times are text in ISO format, truth is 1 or 0, NaN is None and -0.0 is 0.0.

    Raises:
        StoreError: a row has no key.
    """
    if batch.column(key).null_count:
        # SQLite would make one up.
        raise ambiguous(table, key)
    return zip(*(_plain(column).to_pylist() for column in batch.columns), strict=True)


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_temporal(column.type):
        return column.cast(pa.string())
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8())
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, pc.add(column, 0.0))
    return column


def ambiguous(table: str, key: str) -> StoreError:
    """Why rows cannot be looked up by their key."""
    return StoreError(
        f"Two rows of {table} have one {key}, or one has none: fix the tables that it was computed from and "
        f"publish again; what was published before still serves."
    )


def ids_that_start_with(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of ids, from short to long: 12, then 120 to 129, then 1200 to 1299."""
    if not (text.isascii() and text.isdecimal()) or (text.startswith("0") and text != "0"):
        return
    if len(text) > len(str(_LARGEST)):
        # Python refuses to convert the longest.
        return
    low, size = int(text), 1
    while low <= _LARGEST:
        yield low, min(low + size - 1, _LARGEST)
        if low == 0:
            return
        low, size = low * 10, size * 10


def texts_that_start_with(text: str) -> Iterator[tuple[str, str]]:
    """The range of ids that are texts and start with one; of an empty text, none."""
    if text:
        yield text, text + "\U0010ffff"
