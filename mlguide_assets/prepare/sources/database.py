"""Tables from any database that Ibis connects to, landed as Parquet so that DuckDB computes over all of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from mlguide_assets.define.tables import TableName
from mlguide_assets.define.values import without_password
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.engine import read_parquet

BATCH_ROWS = 200_000
FILE_DATABASES = ("duckdb", "sqlite")


def read_database(
    names: Mapping[TableName, str], uri: str, connection: Any, *, scratch: Path, report: Callable[[str], None]
) -> dict[TableName, ibis.Table]:
    """Read each table through Ibis in batches, so that a table larger than memory passes."""
    scheme, _, rest = uri.partition("://")
    where = without_password(f"{scheme}://{rest.rpartition('@')[2]}")
    database = _connect(uri, scheme, rest, where)
    try:
        return {table: _land(database, name, where, connection, scratch, report) for table, name in names.items()}
    finally:
        database.disconnect()


def _connect(uri: str, scheme: str, rest: str, where: str) -> Any:
    # A question mark begins options, unless it is part of the file's name.
    path = Path(rest) if Path(rest).is_file() else Path(rest.partition("?")[0])
    # Both engines would create a missing file and then report missing tables.
    if scheme in FILE_DATABASES and not path.is_file():
        raise InputError(f"The database {where} does not exist: check --source or source.uri.")
    try:
        if scheme == "duckdb":
            return ibis.duckdb.connect(str(path), read_only=True)
        if scheme == "sqlite":
            return ibis.sqlite.connect(str(path))
        return ibis.connect(uri)
    except ModuleNotFoundError as error:
        raise InputError(
            f"Reading {where} needs the package {error.name!r}: install Ibis's driver with "
            f"'uv pip install -c constraints.txt \"ibis-framework[{scheme}]\"'."
        ) from error
    # Each driver raises errors of its own; all mean that the user must look at the address.
    except Exception as error:
        # Ibis quotes the address as it was given, password and all.
        reason = _first_line(error).replace(uri, where)
        raise InputError(
            f"The database {where} cannot be reached ({reason}): check the address, the credentials and that it runs."
        ) from error


def _land(
    database: Any, name: str, where: str, connection: Any, scratch: Path, report: Callable[[str], None]
) -> ibis.Table:
    if name not in database.list_tables():
        found = ", ".join(sorted(database.list_tables())[:8]) or "none"
        raise InputError(
            f"{where} has no table {name!r} (it has {found}): create it, or name another in tables of the problem file."
        )
    report(f"reading table {name} from {where}")
    path = scratch / f"{name}.parquet"
    try:
        batches = database.table(name).to_pyarrow_batches(chunk_size=BATCH_ROWS)
        with pq.ParquetWriter(path, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    except OSError:
        # The disk that it is copied to, which the caller names.
        raise
    except Exception as error:
        raise InputError(f"Table {name!r} of {where} cannot be read ({_first_line(error)}): check it there.") from error
    return read_parquet(connection, path)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
