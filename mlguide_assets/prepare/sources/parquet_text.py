"""Text in Parquet files that is not UTF-8, which is found only once it is read, said in words about the file."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError

_FOUND = re.compile(r'string encoding found in Parquet file "(.+?)": value', re.DOTALL)


@contextlib.contextmanager
def refusing_other_text() -> Iterator[None]:
    """Turn what DuckDB says of such a text into a sentence.

    Raises:
        InputError: a text is not UTF-8; file, column and row are named.
    """
    try:
        yield
    except duckdb.InvalidInputException as error:
        found = _FOUND.search(str(error))
        if found is None:
            raise
        path = Path(found[1])
        column, row = _first(path) or ("a column of text", 0)
        raise InputError(
            f"{path}, row {row}: the text in {column!r} is not UTF-8, as which Parquet holds text: "
            f"write the file again from text that is decoded as what it is."
        ) from error


def _first(path: Path) -> tuple[str, int] | None:
    """The column and the row, counted from 1, of the first such text in a file."""
    before = 0
    for batch in pq.ParquetFile(path).iter_batches():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values = column.cast(pa.binary()).to_pylist() if _is_text(column.type) else []
            for place, value in enumerate(values):
                if value is not None and not _is_utf8(value):
                    return name, before + place + 1
        before += batch.num_rows
    return None


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_binary(type_))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
