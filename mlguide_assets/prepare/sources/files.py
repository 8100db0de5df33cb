"""Tables from CSV or Parquet files: a folder, or a URL prefix below which they are found by name."""

import csv
import http.client
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import ibis

from mlguide_assets.define.tables import TableName
from mlguide_assets.define.values import without_password
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.engine import read_csv, read_parquet

SUFFIXES = (".parquet", ".csv")
TIMEOUT_SECONDS = 30


def read_files(
    names: Mapping[TableName, str], uri: str, connection: Any, *, scratch: Path, report: Callable[[str], None]
) -> dict[TableName, ibis.Table]:
    """Read `<name>.parquet` or `<name>.csv` for each table, with the file's own columns; CSV values stay text."""
    if uri.startswith(("http://", "https://")):
        paths = {table: _download(uri, name, scratch, report) for table, name in names.items()}
    else:
        paths = {table: _find(Path(uri), name) for table, name in names.items()}
    return {table: _open(path, connection) for table, path in paths.items()}


def _find(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"The source folder {folder} does not exist: check --source or source.uri.")
    for suffix in SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise InputError(
        f"{folder} has neither {name}.parquet nor {name}.csv (it has {found}): add the file, "
        f"or name another in tables of the problem file."
    )


def _download(prefix: str, name: str, scratch: Path, report: Callable[[str], None]) -> Path:
    """Fetch the file to `scratch`; CSV first, since that is what is published on the web."""
    reason, shown = "", without_password(prefix.rstrip("/"))
    for suffix in reversed(SUFFIXES):
        address = f"{prefix.rstrip('/')}/{urllib.parse.quote(name)}{suffix}"
        target = scratch / f"{name}{suffix}"
        report(f"downloading {shown}/{name}{suffix}")
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as out:
                shutil.copyfileobj(response, out)
                expected = response.headers.get("Content-Length")
            # A connection that breaks off looks like an end.
            if expected is None or int(expected) == target.stat().st_size:
                return target
            reason = f"it broke off after {target.stat().st_size:,} of {int(expected):,} bytes"
            break
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code != 404:
                break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
            reason = str(getattr(error, "reason", error))
            break
    raise InputError(
        f"{shown}/{name}.csv (or .parquet) cannot be read ({reason}): check the address and the "
        f"connection, or give a folder with --source."
    )


def _open(path: Path, connection: Any) -> ibis.Table:
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: it needs a header line and rows.")
    try:
        if path.suffix == ".parquet":
            return read_parquet(connection, path)
        # Nothing is left to detection, which takes a line that starts with a mark for a comment and drops it.
        columns = dict.fromkeys(_header(path), "VARCHAR")
        table = read_csv(connection, path, columns, delim=",", quote='"', escape='"', nullstr="")
        # The parser is lazy: count now, so that a ragged line is met here, with the file's name at hand.
        table.count().execute()
    except (duckdb.Error, OSError, UnicodeDecodeError, csv.Error) as error:
        # DuckDB goes on to advise on options of its reader, which are not the user's to set.
        reason = " ".join(str(error).partition("Possible")[0].split())[:200]
        raise InputError(
            f"{path} cannot be read as {path.suffix[1:]} ({reason}): mend the file; CSV must be UTF-8, "
            f'comma-separated, with values quoted by " and quotes in them doubled, and a header line.'
        ) from error
    return table


def _header(path: Path) -> list[str]:
    """The column names of a CSV file; a column without one is named by its place."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        names = [name or f"column{place}" for place, name in enumerate(next(csv.reader(stream), []))]
    if len(names) < 2:
        only = "".join(names)
        if other := next((mark for mark in ";\t|" if mark in only), None):
            raise InputError(f"{path} is delimited by {other!r} instead of ',': convert it to comma-separated values.")
        raise InputError(f"{path} starts with {only[:80]!r}: its first line must be a header of column names.")
    lower = [name.lower() for name in names]
    if twice := next((name for name in names if lower.count(name.lower()) > 1), None):
        raise InputError(f"{path} has several columns called {twice!r}: rename or remove all but one.")
    return names
