"""`mlguide export --format`: a table of the lake as a folder, for any other engine, without holding it in memory."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from mlguide_assets.console.out import check_parent
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake

DELTA_LOG = "_delta_log"
FILE_SUFFIXES = (".parquet", ".csv")
"""Of what is written as one file."""


Format = Literal["delta", "parquet"]


def export_folder(lake: Lake, table: str, partitions: Sequence[str], out: Path, format_: Format) -> None:
    """Write partitions of a table as a folder, whole or not at all.

    Args:
        out: new or empty; a Delta table, if one is written, which then has one more version.

    Raises:
        InputError: it is another folder, is called like a file, or cannot be written, or what Delta needs is not
            installed.
    """
    check_parent(out)
    _refuse_file_name(out, format_)
    _FORMATS[format_](lake, table, partitions, out)


def _write_parquet(lake: Lake, table: str, partitions: Sequence[str], out: Path) -> None:
    """The data files as they are, one per partition and named by it."""
    _refuse_used(out, holds="nothing")
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        # One snapshot for all, and one file at a time, since those of a lake on object storage are fetched.
        snapshot = lake.snapshot(table)
        for key in partitions:
            (path,) = lake.files(table, partitions=[key], snapshot_id=snapshot.id)
            shutil.copyfile(path, temporary / f"{key}.parquet")
        if out.exists():
            out.rmdir()
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_delta(lake: Lake, table: str, partitions: Sequence[str], out: Path) -> None:
    """A Delta table, or a new version of the one that is there: its readers see the version before, or this one."""
    try:
        import deltalake
    except ImportError:
        raise InputError(
            "--format delta needs the package deltalake, which is not installed: 'uv pip install -c constraints.txt -e "
            "\".[delta]\"' in the project's folder installs it; or use --format parquet."
        ) from None
    if not (out / DELTA_LOG).is_dir():
        _refuse_used(out, holds="nothing, or a Delta table")
    rows = lake.read(table, partitions=list(partitions), by_name=True).to_pyarrow_batches()
    try:
        deltalake.write_deltalake(out, rows, mode="overwrite", schema_mode="overwrite")
    except (KeyboardInterrupt, SystemExit):
        raise
    # For a type that Delta does not have it is an exception of no class of its own; for a folder with brackets in its
    # name a panic of Rust, which is no Exception at all.
    except BaseException as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{out} cannot be written as a Delta table ({reason}): choose another folder, or --format parquet."
        ) from error


def _refuse_file_name(out: Path, format_: Format) -> None:
    """A folder called `plan.csv` is what nobody wants: the name asks for one file. One that is there is meant."""
    if out.suffix.lower() in FILE_SUFFIXES and not out.is_dir():
        raise InputError(
            f"--out {out} is the name of a file, and --format {format_} writes a folder: leave --format out, or name a "
            f"folder, such as {out.stem}."
        )


def _refuse_used(out: Path, *, holds: str) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"--out {out} must be a folder that does not exist or holds {holds}: choose another.")


_FORMATS: dict[Format, Callable[[Lake, str, Sequence[str], Path], None]] = {
    "delta": _write_delta,
    "parquet": _write_parquet,
}
