"""All tables of a source without a description: a folder or a database.

A table that cannot be read does not keep the others from being read: the reason is kept. Nothing is guessed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import ibis

from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.oracle import FILE as TRUTH
from mlguide_assets.prepare.sources.addresses import expand_variables
from mlguide_assets.prepare.sources.database import read_every_table
from mlguide_assets.prepare.sources.files import open_table
from mlguide_assets.prepare.sources.finding import as_table, split_name, why_no_table
from mlguide_assets.prepare.sources.names import plain
from mlguide_assets.prepare.sources.parquet_files import columns_of_parts
from mlguide_assets.prepare.sources.spellings import without_null_words
from mlguide_assets.progress import Report

MOST_ROWS = 2_000_000
"""Of a table with more rows, a sample of about so many is looked at."""
TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True)
class ListedTable:
    """A table of a source, and where its rows are in the DuckDB of this process.

    Attributes:
        name: as the source calls it: file name without ending, folder, or database table.
        rows: how many there are in `view`.
        view: the DuckDB table that holds them; texts without the words that mean no value.
        sampled: whether these are only some of the rows.
        types: Ibis' type of each column.
        lacking: columns that only some of its files have, and one that has not.
        file: that of its rows, where another one is called alike.
    """

    name: str
    rows: int
    view: str
    sampled: bool
    types: dict[str, Any]
    lacking: dict[str, str] = field(default_factory=dict)
    file: str | None = None

    @property
    def from_(self) -> str:
        """What a problem file calls it, so that it is found."""
        return self.file or self.name

    @property
    def of_rows(self) -> str:
        """On how many rows a statement rests."""
        return f"a sample of {counted(self.rows, 'row')}" if self.sampled else counted(self.rows, "row")


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    Attributes:
        tables: those with rows.
        unread: what else there is, and why it is no table that can be used.
    """

    tables: tuple[ListedTable, ...]
    unread: dict[str, str] = field(default_factory=dict)


def list_tables(uri: str, connection: Any, scratch: Path, report: Report) -> Listing:
    """Read every table of a folder or database.

    Args:
        uri: a folder, or the URI of a database, with `${NAME}` for values of the environment.
        connection: the DuckDB of this process, which afterwards holds the rows.
        scratch: a folder for copies; it must last as long as the rows are looked at.

    Raises:
        InputError: there is no such source, or no table in it can be used.
    """
    if uri.startswith(("http://", "https://")):
        raise InputError(
            "A web address cannot be searched for tables: download the files, and give their folder with --source."
        )
    lacking: dict[str, dict[str, str]] = {}
    files: dict[str, str] = {}
    if "://" in uri:
        address = expand_variables(uri)
        found = read_every_table(
            address, connection, scratch=scratch, timeout=TIMEOUT, report=report, most_rows=MOST_ROWS
        )
    else:
        found, lacking, files = _in_folder(Path(uri).expanduser(), connection, scratch, report)
    tables: list[ListedTable] = []
    unread: dict[str, str] = {}
    for name, rows in found.items():
        listed = rows if isinstance(rows, str) else _loaded(name, rows, f"listed_{len(tables)}", connection)
        if isinstance(listed, str):
            unread[name] = listed
        else:
            tables.append(replace(listed, lacking=lacking.get(name, {}), file=files.get(name)))
    if not tables:
        raise InputError(_nothing(uri, unread))
    return Listing(tuple(tables), unread)


def _in_folder(
    folder: Path, connection: Any, scratch: Path, report: Report
) -> tuple[dict[str, ibis.Table | str], dict[str, dict[str, str]], dict[str, str]]:
    """Per table its rows, or why it is not read; the columns that some of its files lack, with one that does; and its
    file, where another one is called alike."""
    if folder.is_file():
        raise InputError(f"The source {folder} is a file: give the folder that holds the tables.")
    if not folder.is_dir():
        raise InputError(f"The source folder {folder} does not exist: check --source.")
    found: dict[str, ibis.Table | str] = {}
    lacking: dict[str, dict[str, str]] = {}
    files: dict[str, str] = {}
    seen: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        stem = split_name(path.name)[0]
        try:
            table = as_table(path)
            if table is None:
                if why := why_no_table(path.name):
                    found[path.name] = why
                continue
            if plain(stem) in seen:
                first = seen[plain(stem)]
                # A problem file has no name for a folder that is not also one for the file.
                remedy = ", and is read" if first.is_file() else "; remove one of them"
                found[path.name] = f"{first.name} has the same name{remedy}"
                files |= {split_name(first.name)[0]: first.name} if first.is_file() else {}
                continue
            seen[plain(stem)] = path
            if path.name == TRUTH:
                found[stem] = "it is the truth of a simulated world, which no model may see"
                continue
            report(f"reading {path.name}")
            found[stem] = open_table(table, connection, scratch)
            if table.kind == "parquet":
                parts = columns_of_parts(table.files)
                lacking[stem] = {name: str(part.relative_to(folder)) for name, part in parts.items() if part}
        except InputError as error:
            found[stem] = str(error)
    return found, lacking, files


def _loaded(name: str, rows: ibis.Table, view: str, connection: Any) -> ListedTable | str:
    """The rows in memory, or the reason why not."""
    try:
        count = int(rows.count().execute())
        if not count:
            return "it has no rows"
        sampled = count > MOST_ROWS
        if sampled:
            rows = rows.sample(MOST_ROWS / count, method="row", seed=7)
        cleaned = {column: without_null_words(rows[column], in_text=True) for column in rows.columns}
        table = connection.create_table(view, rows.select(cleaned), temp=True)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return "it cannot be read: a file of it is damaged, or holds text that is not UTF-8; write it again"
    kept = int(table.count().execute()) if sampled else count
    return ListedTable(name, kept, view, sampled or count == MOST_ROWS, dict(table.schema().items()))


def reasons(unused: Mapping[str, str]) -> str:
    """Why tables are not used: all of them, those with the same reason together."""
    names: dict[str, list[str]] = {}
    for name, reason in unused.items():
        names.setdefault(reason.rstrip("."), []).append(name)
    return "; ".join(f"{', '.join(each)}: {reason}" for reason, each in names.items())


def _nothing(uri: str, unread: dict[str, str]) -> str:
    if unread:
        return f"No table of the source can be used: {reasons(unread)}."
    if "://" in uri:
        return "The database has no tables: check its name, and that this user may see them."
    inside = sorted(Path(uri).expanduser().iterdir())
    below = [path.name for path in inside if path.is_dir()]
    hint = f"; perhaps they are in {Path(uri) / below[0]}" if below else ""
    others = ", ".join([path.name for path in inside if path.is_file()][:8]) or "nothing"
    has = "" if below else f" (it has {others})"
    return (
        f"The folder {uri} has no CSV or Parquet files, also compressed as .csv.gz, .csv.zst{has}{hint}: "
        "give the folder that has them."
    )
