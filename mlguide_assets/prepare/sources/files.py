"""Tables from CSV or Parquet files: a folder, or a URL prefix below which they are found by name."""

import csv
import re
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import ibis

from mlguide_assets.define.schema import TableName
from mlguide_assets.define.secrets import shown_address
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import read_csv, read_parquet
from mlguide_assets.prepare.sources.connecting import refuse_no_database
from mlguide_assets.prepare.sources.csv_text import Header, header, readable_csv, too_long_a_line
from mlguide_assets.prepare.sources.fetching import download_table
from mlguide_assets.prepare.sources.finding import COMPRESSED, FoundTable, find_table
from mlguide_assets.prepare.sources.newest import ORDER
from mlguide_assets.prepare.sources.parquet_files import columns_of_parts, open_parquet
from mlguide_assets.progress import Report


def read_files(
    names: Mapping[TableName, str],
    uri: str,
    connection: Any,
    *,
    scratch: Path,
    timeout: timedelta,
    report: Report,
    wanted: Callable[[TableName, tuple[str, ...]], Collection[str]],
    in_order: Container[TableName] = (),
) -> dict[TableName, ibis.Table]:
    """Read the file or the folder of parts of each table, with its own columns; CSV values stay text.

    Args:
        wanted: of the columns that a table has there, those that are needed.
        in_order: tables whose rows are counted in the column `ORDER`, where they are in one file.

    Raises:
        InputError: a file cannot be read, or lacks a column that is needed.
    """
    if uri.startswith(("http://", "https://")):
        found = {
            table: download_table(uri, name, scratch=scratch, timeout=timeout, report=report)
            for table, name in names.items()
        }
    else:
        _require_folder(uri)
        found = {table: find_table(Path(uri), name) for table, name in names.items()}
    for table, where in found.items():
        _require_in_all_parts(where, partial(wanted, table))
    return {
        table: _counted(open_table(where, connection, scratch), connection, scratch / f"{table}.in_order.parquet")
        if table in in_order and len(where.files) == 1
        else open_table(where, connection, scratch)
        for table, where in found.items()
    }


def _require_folder(uri: str) -> None:
    """Raise InputError where files are asked for at an address that is none of the web, such as that of a bucket."""
    scheme, mark, rest = uri.partition("://")
    if mark:
        where = shown_address(uri)
        refuse_no_database(scheme, rest, where)
        raise InputError(f"{where} is the address of a database: write kind: database under source, instead of files.")


def _require_in_all_parts(found: FoundTable, wanted: Callable[[tuple[str, ...]], Collection[str]]) -> None:
    """Raise InputError where one of several Parquet files lacks a column that others have: the table has none then."""
    columns = columns_of_parts(found.files) if found.kind == "parquet" and len(found.files) > 1 else {}
    if not any(columns.values()):
        return
    for column in wanted(tuple(columns)):
        if part := columns[column]:
            raise InputError(
                f"{part} has no column {column!r}, which other parts of the table have: write it there, too, empty "
                f"where it is not known."
            )


def _counted(rows: ibis.Table, connection: Any, path: Path) -> ibis.Table:
    """The rows with their place in the file: a copy of them, since Parquet alone counts its rows."""
    # DuckDB counts in a column that the source may have, too.
    columns = {f"column {place}": name for place, name in enumerate(rows.columns)}
    connection.to_parquet(rows.rename(columns), str(path))
    counted_rows = read_parquet(connection, path, file_row_number=True)
    return counted_rows.rename({name: column for column, name in columns.items()} | {ORDER: "file_row_number"})


def open_table(found: FoundTable, connection: Any, scratch: Path, *, checked: bool = True) -> ibis.Table:
    """What was found as one table, with its own columns; CSV values stay text.

    Args:
        checked: read every line of CSV once, so that an error names the file and the line.

    Raises:
        InputError: a file is empty, cannot be read, or has other columns than the first.
    """
    if empty := next((path for path in found.files if not path.stat().st_size), None):
        raise InputError(f"{empty} is empty: it needs a header line and rows.")
    if found.kind == "csv":
        parts = _csv_parts(found, scratch)
        if checked:
            _check_lines(parts, connection)
        tables = [part.opened(connection) for part in parts]
        return tables[0] if len(tables) == 1 else ibis.union(*tables)
    return open_parquet(found.files, connection, scratch)


def check_lines(found: FoundTable, connection: Any, scratch: Path) -> None:
    """Read every line of CSV files.

    Raises:
        InputError: names the file and the line that is no row of the table.
    """
    _check_lines(_csv_parts(found, scratch), connection)


@dataclass(frozen=True)
class _CsvPart:
    """A file as it was given, as it can be read, and its header."""

    given: Path
    path: Path
    header: Header

    def opened(self, connection: Any) -> ibis.Table:
        # Nothing is left to detection, which takes a line that starts with a mark for a comment and drops it.
        columns = dict.fromkeys(self.header.names, "VARCHAR")
        own = {"delim": self.header.delimiter, "skip": self.header.above}
        return read_csv(connection, self.path, columns, quote='"', escape='"', nullstr="", **own)


def _csv_parts(found: FoundTable, scratch: Path) -> list[_CsvPart]:
    parts: list[_CsvPart] = []
    for given in found.files:
        try:
            path = readable_csv(given, scratch)
            parts.append(_CsvPart(given, path, header(path, given)))
        except (OSError, csv.Error) as error:
            # The disk that a copy is written to, which the caller names.
            if getattr(error, "filename", None) not in (None, str(given)):
                raise
            raise InputError(f"{given} cannot be read: check that it is a CSV file and may be read.") from error
        if parts[-1].header.names != parts[0].header.names:
            raise InputError(
                f"{given} and {found.files[0].name} have different headers: all parts of a table need the same one."
            )
    return parts


def _check_lines(parts: list[_CsvPart], connection: Any) -> None:
    for part in parts:
        try:
            part.opened(connection).count().execute()
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InterruptException, MemoryError):
            raise
        except duckdb.Error as error:
            fault = _too_long_a_line(str(error), part.path) or _csv_fault(str(error), part.header)
            raise InputError(f"{part.given} cannot be read as CSV: {fault}{_on_returns(part)}.") from error


def _on_returns(part: _CsvPart) -> str:
    """What to do where carriage returns alone end some lines of a file: they may have been part of a value."""
    if part.path == part.given or part.given.name.lower().endswith(COMPRESSED):
        return ""
    return (
        "; some of its lines end with a carriage return alone: quote the values that hold one, or write a space there"
    )


def _too_long_a_line(text: str, path: Path) -> str | None:
    """Of a line that is longer than DuckDB reads. A quote that is not closed makes one of many, which are short."""
    found = re.search(r"Line: (\d+)\s.*Maximum line size of (\d+) bytes", text, re.DOTALL)
    if found is None:
        return None
    number, most = int(found[1]), int(found[2])
    with path.open("rb") as stream:
        length = len(next(islice(stream, number - 1, None), b""))
    return too_long_a_line(number, most, length) if length > most else None


def _csv_fault(text: str, header: Header) -> str:
    """What DuckDB's parser stumbled over, in words about the file."""
    place = re.search(r"Line: (\d+)", text)
    line = f"line {place[1]}" if place else "one of its lines"
    ragged = re.search(r"Columns: (\d+) Found: (\d+)", text)
    if ragged:
        return (
            f"{line} has {ragged[2]} values, where its header has {counted(len(header.names), 'column')}; correct "
            "that line"
        )
    if "quote" in text.lower() or "line size" in text.lower():
        return f"{line} has a quote that is not closed, or one within a value that is not doubled; correct that line"
    between = f"with {header.delimiter!r} between them"
    return f'{line} is not values {between}, quoted by " where they hold it or line ends; correct that line'
