"""What is found in a Parquet file only once its rows are read, said in words about the file: damage, and other text."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError

_OTHER_TEXT = re.compile(r'string encoding found in Parquet file "(.+?)": value', re.DOTALL)


@contextlib.contextmanager
def refusing_parquet_faults(files: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Turn what DuckDB says of such a file into a sentence.

    Args:
        files: gives those that were read; they are searched for the damage.

    Raises:
        InputError: a text is not UTF-8 (file, column and row are named), or a file is damaged.
    """
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        found = _OTHER_TEXT.search(str(error))
        if found is None:
            for path in files():
                if _is_damaged(path):
                    raise InputError(f"{path} is damaged: some of its rows cannot be read; write it again.") from error
            raise
        path = Path(found[1])
        column, row = _first(path) or ("a column of text", 0)
        raise InputError(
            f"{path}, row {row}: the text in {column!r} is not UTF-8, as which Parquet holds text: "
            f"write the file again from text that is decoded as what it is."
        ) from error


def _is_damaged(path: Path) -> bool:
    try:
        for _ in pq.ParquetFile(path).iter_batches():
            pass
    except (pa.ArrowException, OSError):
        return True
    return False


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
