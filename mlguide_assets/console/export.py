"""`mlguide export`: a table of the lake as one file."""

from pathlib import Path

import duckdb

from mlguide_assets.console.progress import console
from mlguide_assets.define.loading import current_problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake import Lake
from mlguide_assets.settings import Home

_WRITERS = {".parquet": "to_parquet", ".csv": "to_csv"}


def export_table(home: Home, table: str, out: Path) -> None:
    """Write the current snapshot of a table, whole or not at all."""
    lake = Lake(home.lake(current_problem(home).key))
    if out.suffix not in _WRITERS:
        raise InputError(f"--out {out} must end in .parquet or .csv.")
    rows = lake.read(table)
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        getattr(lake.connection, _WRITERS[out.suffix])(rows, str(temporary))
        temporary.replace(out)
    except (OSError, duckdb.IOException) as error:
        raise InputError(f"{out} cannot be written ({error}): choose another file with --out.") from error
    finally:
        temporary.unlink(missing_ok=True)
    console.print(f"{lake.snapshot(table).rows:,} rows of {table} in {out}")
