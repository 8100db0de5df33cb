"""Connections to databases of sources, and what keeps them from opening, in one sentence. Tables are read elsewhere."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ibis

from mlguide_assets.define.secrets import reason, splits
from mlguide_assets.define.sources import FILE_DATABASES
from mlguide_assets.errors import InputError, first_line

_LOCKED = re.compile(r"could not set lock|conflicting lock|(?:database|table|schema)(?: \S+)? is locked", re.IGNORECASE)
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
    is_file = scheme in FILE_DATABASES
    with _about_files(scheme, where) if is_file else contextlib.nullcontext():
        database = _opened(scheme, rest, where) if is_file else _reached(uri, where)
        try:
            yield database
        finally:
            database.disconnect()


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
        raise InputError(f"The database {where} does not exist: check --source or source.uri.")
    with _driver(scheme, where):
        return ibis.duckdb.connect(str(path), read_only=True) if scheme == "duckdb" else ibis.sqlite.connect(str(path))


def _reached(uri: str, where: str) -> Any:
    try:
        with _driver(uri.partition("://")[0], where):
            return ibis.connect(uri, **_decoded_user(uri))
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
    except ModuleNotFoundError as error:
        raise InputError(
            f"Reading {where} needs the package {error.name!r}: install Ibis's driver with "
            f"'uv pip install -c constraints.txt \"ibis-framework[{scheme}]\"'."
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
