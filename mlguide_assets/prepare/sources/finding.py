"""Which files of a folder hold a table: one file, compressed or not, or a folder of parts as Spark writes it.

There must be one match; where there are several, the error lists them all. None is chosen silently.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.names import plain

Kind = Literal["parquet", "csv"]

COMPRESSED = (".gz", ".zst", ".bz2")
SUFFIXES: dict[str, Kind] = {
    ".parquet": "parquet",
    **{f"{text}{ending}": "csv" for text in (".csv", ".tsv") for ending in ("", *COMPRESSED)},
}
"""Endings of files, in any case, and what is in them."""


_OTHER_TABLES = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), "a spreadsheet: save each sheet of it as CSV in UTF-8"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "JSON: write it as Parquet or CSV, with a column for each value"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "a database: give it by itself, as --source sqlite:///PATH"),
    ".duckdb": "a database: give it by itself, as --source duckdb:///PATH",
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "an archive: unpack it"),
    **dict.fromkeys((".feather", ".arrow", ".orc", ".avro"), "in a format that is not read: write it as Parquet"),
    **dict.fromkeys((".sas7bdat", ".dta", ".sav", ".rds", ".rdata", ".mdb", ".accdb"), "not read: write it as CSV"),
}
"""Endings of files that hold tables which are not read, and what to do with them."""


@dataclass(frozen=True)
class FoundTable:
    """Where a table is: a file, or a folder and the files in it."""

    path: Path
    kind: Kind
    files: tuple[Path, ...]


def split_name(name: str) -> tuple[str, str]:
    """The stem of a file name and its ending, which is empty where it is none that is read.

    >>> split_name("sends.CSV.gz")
    ('sends', '.csv.gz')
    """
    ending = max((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), key=len, default="")
    return (name[: -len(ending)], ending) if ending else (name, "")


def find_table(folder: Path, name: str) -> FoundTable:
    """Find a table by its name, whatever the case and punctuation, or by the name of its file.

    Raises:
        InputError: there is no such table, or several.
    """
    if folder.is_file():
        raise InputError(
            f"The source {folder} is a file: give the folder that holds the tables, and name this one with "
            f"'from: FILE' under its table in tables of the problem file if it is called otherwise."
        )
    if not folder.is_dir():
        raise InputError(f"The source folder {folder} does not exist: check --source or source.uri.")
    exact = folder / name
    candidates = [exact] if split_name(name)[1] and exact.exists() else _candidates(folder, name)
    tables = [found for path in candidates if (found := as_table(path))]
    if len(tables) == 1:
        return tables[0]
    if tables:
        raise InputError(
            f"{folder} has {' and '.join(sorted(table.path.name for table in tables))}, each of which could be table "
            f"{name!r}: remove all but one, or name the one that is meant, as in "
            f"'from: {next(each.path.name for each in tables if each.path != exact)}', under that table in tables of "
            "the problem file."
        )
    raise InputError(_not_found(folder, name))


def _candidates(folder: Path, name: str) -> list[Path]:
    stem, ending = split_name(name)
    return sorted(
        path
        for path in folder.iterdir()
        if not _is_hidden(path.name)
        and plain(split_name(path.name)[0]) == plain(stem)
        and (not ending or split_name(path.name)[1] == ending)
    )


def as_table(path: Path) -> FoundTable | None:
    """A file by its ending, or a folder of parts; None where it is neither."""
    if path.is_dir():
        return _folder_of_parts(path)
    ending = split_name(path.name)[1]
    return FoundTable(path, SUFFIXES[ending], (path,)) if ending and path.is_file() else None


def why_no_table(name: str) -> str | None:
    """Why a file that holds tables by its ending is not read; None for a file that holds none.

    >>> why_no_table("Orders.XLSX"), why_no_table("README.md")
    ('it is a spreadsheet: save each sheet of it as CSV in UTF-8', None)
    """
    why = _OTHER_TABLES.get(Path(name).suffix.lower())
    return f"it is {why}" if why else None


def _folder_of_parts(folder: Path) -> FoundTable | None:
    """A table in many files; a folder without any is none."""
    if (folder / "_delta_log").is_dir() or list(folder.glob("metadata/*.metadata.json")):
        raise InputError(
            f"{folder} is a table of Delta Lake or Iceberg, whose files hold rows that were deleted, too: export it as "
            f"Parquet or CSV first."
        )
    if (folder / "_temporary").exists():
        raise InputError(f"{folder} is still being written (it holds _temporary): wait until that is done.")
    below = [path for path in _files_below(folder) if path.stat().st_size]
    parts = sorted(path for path in below if split_name(path.name)[1])
    other = next((path for path in sorted(below) if parts and _may_be_a_part(path)), None)
    if other:
        raise InputError(
            f"{folder} holds {other.relative_to(folder)}, which is not read, beside {parts[0].relative_to(folder)}: "
            f"write it as {split_name(parts[0].name)[1]} if it is a part of the table, else move it elsewhere."
        )
    kinds = {SUFFIXES[split_name(path.name)[1]] for path in parts}
    if len(kinds) > 1:
        raise InputError(f"{folder} holds parts in CSV and in Parquet: keep those that are the table, and only these.")
    return FoundTable(folder, kinds.pop(), tuple(parts)) if parts else None


def _files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and of those in it that are not hidden, through links, too; each folder once.

    Raises:
        InputError: a folder cannot be looked into: what it holds would be left out in silence.
    """
    seen = set[Path]()

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: check who may read it.") from error

    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        here = Path(place)
        if here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        folders[:] = sorted(each for each in folders if not _is_hidden(each))
        yield from (here / name for name in names if not _is_hidden(name) and (here / name).is_file())


def _may_be_a_part(path: Path) -> bool:
    """Whether a file among parts may hold rows, though its ending is none that is read."""
    is_prose = path.name.lower().startswith(("readme", "license", "licence"))
    is_text = path.suffix.lower() in (".txt", ".dat", ".gz")
    return not is_prose and not split_name(path.name)[1] and (is_text or why_no_table(path.name) is not None)


def _is_hidden(name: str) -> bool:
    """As Spark and Hive have it: markers, checksums and files on their way."""
    return name.startswith(("_", "."))


def _not_found(folder: Path, name: str) -> str:
    stem = plain(split_name(name)[0])
    other = [path.name for path in sorted(folder.iterdir()) if plain(path.name.partition(".")[0]) == stem]
    if other:
        return (
            f"{folder} has {' and '.join(other)}, which cannot be read as table {name!r}: write it as {stem}.parquet "
            f"or {stem}.csv (also compressed: .csv.gz, .csv.zst), or as a folder of such files."
        )
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    return (
        f"{folder} has neither {name}.parquet nor {name}.csv (it has {found}): add the file, "
        f"or name another with 'from: FILE' under that table in tables of the problem file."
    )
