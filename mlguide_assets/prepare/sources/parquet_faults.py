"""What is found in a Parquet file only once its rows are read, said in words about the file: damage, and other text."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
        column, row, is_text = _first(path) or ("a column of text", 0, True)
        if is_text:
            raise InputError(
                f"{path}, row {row}: the text in {column!r} is not UTF-8, as which Parquet holds text: "
                f"write the file again from text that is decoded as what it is."
            ) from error
        raise InputError(
            f"{path}, row {row}: {column!r} holds bytes that are no text: write them as text, such as a UUID in "
            f"hexadecimal digits."
        ) from error


def _is_damaged(path: Path) -> bool:
    try:
        for _ in pq.ParquetFile(path).iter_batches():
            pass
    except (pa.ArrowException, OSError):
        return True
    return False


def _first(path: Path) -> tuple[str, int, bool] | None:
    """The column and the row, counted from 1, of the first value that is no UTF-8, and whether it is meant as text."""
    before = 0
    for batch in pq.ParquetFile(path).iter_batches():
        for kinds in (_TEXTS, _BYTES):
            for name in _those(batch, kinds):
                for place, value in enumerate(batch[name].cast(pa.binary()).to_pylist()):
                    if value is not None and not _is_utf8(value):
                        return name, before + place + 1, kinds is _TEXTS
        before += batch.num_rows
    return None


_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
"""Older writers, and those of Latin-1, do not say of a text that it is one."""

_BYTES = (pa.types.is_fixed_size_binary,)


def _those(batch: pa.RecordBatch, kinds: Sequence[Callable[[pa.DataType], bool]]) -> list[str]:
    """The columns of some kinds."""
    return [field.name for field in batch.schema if any(is_kind(field.type) for is_kind in kinds)]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
