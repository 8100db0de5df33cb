"""A source's file that is written while it is read: whatever that leads to, the file is named, and what to do."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from mlguide_assets.errors import InputError

_Stamp = tuple[int, int, int] | None


@contextmanager
def refusing_changed_files(files: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Say of an error that a file was changed meanwhile, where one was: half a line or half a footer is no fault of it.

    A file that grew and was read without an error is none of it: what was read is whole.

    Args:
        files: gives those that are read.

    Raises:
        InputError: names the file.
    """
    before = {path: _stamp(path) for path in files()}
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.InterruptException, MemoryError):
        raise
    except Exception as error:
        changed = next((path for path, stamp in before.items() if _stamp(path) != stamp), None)
        if changed is None:
            raise
        raise InputError(
            f"{changed} was changed while it was read: wait until what writes it is done, or let it write under "
            f"another name and rename the file, then try again."
        ) from error


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
