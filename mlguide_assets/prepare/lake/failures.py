"""A failing disk and a lost file, as one sentence each for the user."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import disk_reason, lost_file


@contextlib.contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Turn a failing disk into one sentence; what was there before is untouched by construction.

    Args:
        what: is written, as the start of the sentence.
        folder: where.

    Raises:
        InputError: the disk refused, or a file that was to be read is gone.
    """
    try:
        with naming_lost_files(f"{what} could not be computed"):
            yield
    except ConnectionError:
        # Of whoever computes it, not of the disk.
        raise
    except _disk_failures() as error:
        remedy = "free space or fix permissions there"
        if isinstance(error, IsADirectoryError):
            remedy = f"move the folder {error.filename2 or error.filename} away, since a file belongs there"
        raise InputError(
            f"{what} could not be written to {folder} ({disk_reason(error)}): {remedy}, "
            f"then run again; what was there before is untouched."
        ) from error


@contextlib.contextmanager
def naming_lost_files(failed: str) -> Iterator[None]:
    """Turn a query over a file that is gone into one sentence; other failures of the disk rise as they are.

    Raises:
        InputError: a file is gone.
    """
    try:
        yield
    except _disk_failures() as error:
        if lost := lost_file(error):
            raise InputError(
                f"{failed}: the file {lost} is gone. Run again; if somebody removed it, restore it first."
            ) from error
        raise


def _disk_failures() -> tuple[type[Exception], ...]:
    # While DuckDB is not imported, its exception cannot have been raised.
    return OSError, getattr(sys.modules.get("duckdb"), "IOException", OSError)
