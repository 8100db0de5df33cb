"""Connections to databases of sources, and what keeps them from opening, in one sentence. Tables are read elsewhere."""

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ibis

from mlguide_assets.define.secrets import reason, splits
from mlguide_assets.define.sources import FILE_DATABASES
from mlguide_assets.errors import InputError, first_line

_LOCKED = re.compile(r"could not set lock|conflicting lock|(?:database|table|schema)(?: \S+)? is locked", re.IGNORECASE)
_ELSEWHERE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "wasbs", "hdfs", "dbfs", "ftp", "sftp")
"""Places that hold files, from which no table is read."""
_NO_DATABASES = {"datafusion", "flink", "polars", "pyspark"}
"""What Ibis computes with, and has no address of its own."""
_SAME = {"mariadb": "mysql", "sqlserver": "mssql", "postgresql": "postgres"}
"""What else a kind of database is called, and what Ibis calls it."""
_BUILT = {"mysql": ", on Debian and Ubuntu after 'apt install gcc pkg-config libmariadb-dev', with which it is built"}
_HOLDER = re.compile(r"\(PID (\d+)\)")


@contextlib.contextmanager
def connected(uri: str, where: str) -> Iterator[Any]:
    """A connection of Ibis, closed at the end.

    Args:
        uri: with the password.
        where: the same, as it may be shown.

    Raises:
        InputError: the database cannot be reached; or it is a file that cannot be read, also in the middle of what is
            done with it, since SQLite looks at its file late.
    """
    scheme, _, rest = uri.partition("://")
    refuse_no_database(scheme, rest, where)
    is_file = scheme in FILE_DATABASES
    with _about_files(scheme, where) if is_file else contextlib.nullcontext():
        database = _opened(scheme, rest, where) if is_file else _reached(uri, where)
        try:
            yield database
        finally:
            database.disconnect()


def refuse_no_database(scheme: str, rest: str, where: str) -> None:
    """Raise InputError where an address is not one of a database that Ibis knows, and say which it may be."""
    if scheme in _ELSEWHERE:
        raise InputError(
            f"No tables are read from {scheme}://: copy the files of {where} to a folder on this machine, and give it."
        )
    if scheme == "file":
        raise InputError(f"A folder is given as its path: write {rest} instead of {where}.")
    known = {entry.name for entry in ibis.util.backend_entry_points()} - _NO_DATABASES
    if scheme in known or scheme == "postgresql":
        return
    # As in Java and in SQLAlchemy, with what drives it.
    plain = scheme.removeprefix("jdbc:").partition("+")[0]
    plain = _SAME.get(plain, plain)
    if plain not in known:
        raise InputError(
            f"The address {where} is of no database that can be read: it may begin with {', '.join(sorted(known))}."
        )
    raise InputError(f"The address {where} begins with what Ibis does not know: write {plain}:// there.")


@contextlib.contextmanager
def _about_files(scheme: str, where: str) -> Iterator[None]:
    """What a database in a file raises, as one sentence; an error of anything else stays."""
    try:
        yield
    except (OSError, MemoryError):
        # The disk that tables are copied to, which the caller names.
        raise
    except Exception as error:
        if _LOCKED.search(str(error)):
            raise _in_use(where, str(error)) from error
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The database {where} cannot be read ({first_line(error)}): check that it is a whole file of "
            f"{'DuckDB' if scheme == 'duckdb' else 'SQLite'}, and that this user may read it."
        ) from error


def _in_use(where: str, said: str) -> InputError:
    holder = _HOLDER.search(said)
    return InputError(
        f"The database {where} is open in another process{f' (PID {holder[1]})' if holder else ''}, which writes it: "
        f"wait until that process ends or closes the file, then run again."
    )


def _opened(scheme: str, rest: str, where: str) -> Any:
    # A question mark begins options, unless it is part of the file's name.
    path = Path(rest) if Path(rest).is_file() else Path(rest.partition("?")[0])
    # Both engines would create a missing file and then report missing tables.
    if not path.is_file():
        # As SQLAlchemy writes the address of one that is not from the root.
        here = Path(str(path).lstrip("/"))
        hint = f"{where} begins at the root; write {scheme}://{here} for the file here" if here.is_file() else ""
        raise InputError(f"The database {where} does not exist: {hint or 'check --source or source.uri'}.")
    with _driver(scheme, where):
        return ibis.duckdb.connect(str(path), read_only=True) if scheme == "duckdb" else ibis.sqlite.connect(str(path))


def _reached(uri: str, where: str) -> Any:
    try:
        scheme = uri.partition("://")[0]
        with _driver(scheme, where), warnings.catch_warnings():
            # Ibis sets the zone by its name, and goes on where the server knows no names.
            warnings.filterwarnings("ignore", "Unable to set session timezone")
            database = ibis.connect(uri, **_decoded_user(uri))
        if scheme == "mysql":
            database.raw_sql("SET time_zone = '+00:00'").close()
        return database
    except InputError:
        raise
    # Each driver raises errors of its own; all mean that the user must look at the address.
    except Exception as error:
        if not splits(uri):
            # Not chained: what a parser says of an address may be a piece of the password.
            raise _unsplit(uri, where) from None
        # Ibis quotes the address as it was given, password and all.
        said = first_line(reason(str(error).replace(uri, where), uri))
        raise InputError(
            f"The database {where} cannot be reached ({said}): check the address, the credentials and that it runs."
        ) from error


@contextlib.contextmanager
def _driver(scheme: str, where: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        # Ibis says it in words of its own, in which the package is not named.
        cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        needs = f"the package {cause.name!r}" if cause.name else "a package"
        extra = f'"ibis-framework[{_SAME.get(scheme, scheme)}]"'
        raise InputError(
            f"Reading {where} needs {needs}: install Ibis's driver with 'uv pip install -c constraints.txt {extra}'"
            f"{_BUILT.get(scheme, '')}."
        ) from error


def _decoded_user(uri: str) -> dict[str, str]:
    """The user as a URL means it. Ibis decodes the password alone."""
    user = urlsplit(uri).username
    return {"user": unquote(user)} if user and "%" in user else {}


def _unsplit(uri: str, where: str) -> InputError:
    # Without an @, what stands where a port should may be anything.
    shown = where if "@" in uri else f"{uri.partition('://')[0]}://…"
    return InputError(
        f"The address of the database {shown} cannot be split into user, password, host and port: write what is no "
        f"letter or digit in the password as in a URL, such as %2F for a slash, or write the password as ${{PASSWORD}} "
        f"and set that variable in the environment, where it stands as it is."
    )
