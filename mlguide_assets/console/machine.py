"""What the machine refuses (a disk, permissions, memory, locks), as one sentence, whichever library met it.

Each library words these in its own way. They are recognised by their text, since a step of a run leaves no more.
"""

import contextlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlguide_assets.define.loading import readable_problems
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.database import database_refusal
from mlguide_assets.prepare.lake.data_files import WITHOUT_DATA_FILE
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

_ANOTHER_HOME = "choose another home with --home"
FULL_BYTES = 16 * 2**20
"""A disk with less than this is full: what failed on it has removed its own files by the time that it is asked."""
_FULL = (
    r"no space left|disk is full|quota exceeded",
    "{place} cannot be written, since the disk is full",
    f"free space there, or {_ANOTHER_HOME}",
)
_BROKEN = (
    r"input/output error|disk i/o error|stale file handle",
    "{place} could not be read or written ({words})",
    "check the disk or the connection to it",
)
_DAMAGED = (
    r"file is not a database|database disk image is malformed",
    "A database of {place} is damaged ({words})",
    f"restore it from a backup, or {_ANOTHER_HOME}",
)
_DAMAGED_FILE = (
    r"no magic bytes found at end of file|too small to be a parquet file|parquet file is likely corrupted"
    r"|payload value bigger than allowed|decompression failure|could not read enough bytes from file"
    r"|tprotocolexception|don't know what type|invalid ttype|no more data to read",
    "{place} is damaged",
    WITHOUT_DATA_FILE,
)
_HISTORY = "restore it from a backup, or remove it (the history of runs goes with it; tables and models stay)"
_CAUSES: tuple[tuple[str, str, str], ...] = (
    _FULL,
    (
        r"read-only file system|readonly database",
        "{place} cannot be written, since it is read-only",
        f"make it writable for this user, or {_ANOTHER_HOME}",
    ),
    (
        r"permission denied|operation not permitted|unable to open database file",
        "{place} cannot be read or written by this user (permission denied)",
        "run as the user who owns it, or change its owner or mode",
    ),
    (r"is a directory", "{place} is a folder, where a file is expected", "move it away"),
    (r"not a directory", "{place}, or what should be a folder above it, is a file", "move that file away"),
    (
        r"no locks available|function not implemented|operation not supported",
        "The file system of {place} lacks something that is needed ({words})",
        "choose a home on a local disk with --home",
    ),
    _BROKEN,
    (
        r"database is locked",
        "A database of {place} is locked by another process",
        "wait until it ends, or stop it",
    ),
    _DAMAGED,
    _DAMAGED_FILE,
    (r"too many open files", "This process may not open more files", "raise the limit, such as with 'ulimit -n 4096'"),
    (
        r"memoryerror|out ?of ?memory|cannot allocate memory|unable to allocate|failed to allocate|bad_?alloc"
        r"|can't start new thread|could not allocate",
        "There is not enough memory for this",
        "give the process more, or let it read less: a source of fewer rows or columns, a later history_start in the "
        "problem file, or fewer simulated --sends",
    ),
)
_DATABASES = ("*.db", "*.sqlite")
_PATH = re.compile(r"['\"](/[^'\"\n]+)['\"]")


def sentence(text: str, place: Path) -> str | None:
    """What the machine refused, and what to do; None where the text is about something else.

    Args:
        text: name and message of an error, such as "PermissionError: [Errno 13] Permission denied: '/home/x'".
        place: named where the text names no path.
    """
    for cause in _CAUSES:
        if found := re.search(cause[0], text, re.IGNORECASE):
            named = _PATH.search(text)
            where = Path(named[1]) if named else place
            # SQLite calls it that, too, when it finds no room to share memory with other processes.
            _, refused, remedy = _FULL if cause is _BROKEN and _is_full(where) else cause
            if cause is _DAMAGED and (
                damaged := damaged_database(sorted(path for kind in _DATABASES for path in where.rglob(kind)))
            ):
                where, refused = damaged, "The database {place} is damaged ({words})"
                remedy = _HISTORY if place / "dagster" in damaged.parents else remedy
            if cause is _DAMAGED_FILE and not named:
                where = _damaged_data_file(place) or where
            said = refused.format(place=where, words=found[0].lower())
            if place not in (where, *where.parents) and Path(tempfile.gettempdir()) in where.parents:
                remedy = remedy.replace(_ANOTHER_HOME, "name another folder for temporary files with TMPDIR")
            return f"{said}: {remedy}, then run again; what was there before is untouched."
    return None


def history_damaged(database: Path) -> str:
    """What to do about a damaged database of Dagster's."""
    return f"The database {database} is damaged: {_HISTORY}, then run again; what was there before is untouched."


def damaged_database(paths: Iterable[Path]) -> Path | None:
    """The first database that SQLite does not read, which its own error does not name."""
    for path in paths:
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    return path
        except sqlite3.OperationalError:
            # Such as one that is locked: another process reads it.
            continue
        except sqlite3.DatabaseError:
            return path
    return None


def _damaged_data_file(home: Path) -> Path | None:
    """The data file of a home's lakes that DuckDB does not read, which most of its errors do not name."""
    of_folders = (path.name for path in (home / "lake").glob("[!.]*"))
    for problem in sorted({*of_folders, *readable_problems(Home(home))}):
        # What else is damaged there is said where it is met.
        with contextlib.suppress(InputError, OSError):
            if found := Lake(Home(home).lake(problem)).damaged_file():
                return found
    return None


def _is_full(place: Path) -> bool:
    there = next((each for each in (place, *place.parents) if each.exists()), None)
    return there is not None and shutil.disk_usage(there).free < FULL_BYTES


def refusal(error: BaseException, place: Path) -> str | None:
    """The sentence for an error of this process, or for what it was raised from; None for any other error."""
    for each in _chain(error):
        if isinstance(each, BrokenPipeError):
            return None
        if refused := database_refusal(f"{type(each).__module__}.{type(each).__qualname__}: {each}"):
            return str(refused)
        if found := sentence(f"{type(each).__name__}: {each}", place):
            return found
        if isinstance(each, OSError) and each.strerror:
            # A connection is no fault of the home.
            where = "A server" if isinstance(each, ConnectionError) else each.filename or place
            return f"{where}: {each.strerror.lower()}; what was there before is untouched."
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
