"""The PostgreSQL that hosts share where `MLGUIDE_DATABASE` names one: its address, connections, and refusals in words.

Dagster and MLflow keep their own tables in it, by connections of their own; here are those of this package.
"""

import contextlib
import functools
import os
import re
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mlguide_assets.define.secrets import reason, shown_address
from mlguide_assets.errors import InputError
from mlguide_assets.settings import DATABASE_VARIABLE

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class of a driver that names it so

RETRY_SECONDS = 20.0
"""How long a server that does not answer, or is starting, is asked again."""
_PAUSE_SECONDS = 0.2
SCHEMAS = ("mlguide", "mlflow")
"""Of our own tables and of the registry's. Dagster's are in the default one: both it and MLflow have a table `runs`."""
_KEEPALIVES = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
_ABSENT = re.compile(
    r"refused|starting up|shutting down|recovery|closed the connection|terminating connection|timeout expired"
    r"|timed out|reset by peer|no route|unreachable|too many clients|remaining connection slots|too many retries"
    r"|not currently accepting connections",
    re.IGNORECASE,
)

_MET = re.compile(r"(?:psycopg2\.[\w.]+|dagster_postgres\.[\w.]+): ")


def shared_database() -> str | None:
    """The address of the database; None where everything is in the home.

    Raises:
        InputError: it is no address of a PostgreSQL, or the driver is not installed.
    """
    address = os.environ.get(DATABASE_VARIABLE)
    if not address:
        return None
    if not address.startswith("postgresql://"):
        raise InputError(
            f"{DATABASE_VARIABLE} must be the address of a PostgreSQL, such as "
            f"postgresql://user:password@host/database; it begins otherwise."
        )
    if missing := [name for name in ("psycopg2", "dagster_postgres") if find_spec(name) is None]:
        raise InputError(
            f"{DATABASE_VARIABLE} needs what is not installed ({', '.join(missing)}): install it with "
            f"'uv pip install -c constraints.txt -e \".[hosts]\"'."
        )
    return address


def sqlalchemy_address(address: str, schema: str | None = None) -> str:
    """The address for SQLAlchemy, by which Dagster and MLflow connect.

    Args:
        schema: of tables that are named without one.

    >>> sqlalchemy_address("postgresql://host/db?sslmode=require", "mlflow")
    'postgresql+psycopg2://host/db?sslmode=require&options=-csearch_path%3Dmlflow'
    """
    # Of its two drivers, SQLAlchemy 2.1 takes the other by default, which dagster-postgres 0.29 does not know to use.
    named = address.replace("postgresql://", "postgresql+psycopg2://", 1)
    return named if schema is None else f"{named}{'&' if '?' in named else '?'}options=-csearch_path%3D{schema}"


def prepare_database() -> None:
    """Make what this package needs in the shared database, if there is one; it may be there already.

    Raises:
        InputError: the database does not answer or refuses.
    """
    if (address := shared_database()) is not None:
        _prepare(address)


@functools.cache
def _prepare(_address: str) -> None:
    """Once per process and database."""
    with connected() as connection, connection.cursor() as cursor:
        # One at a time: to make a schema twice at once is an error, whatever IF NOT EXISTS says.
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('mlguide: schemas', 0))")
        for schema in SCHEMAS:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS mlguide.events (number bigint GENERATED ALWAYS AS IDENTITY,"
            " log text NOT NULL, line text NOT NULL, PRIMARY KEY (log, number))"
        )


@contextlib.contextmanager
def connected(application: str = "mlguide") -> Iterator["Connection"]:
    """A connection, closed at the end; every statement is kept at once.

    Raises:
        InputError: the database does not answer or refuses, also in the middle of what is done with it.
    """
    import psycopg2

    connection = connect(application)
    try:
        yield connection
    except psycopg2.Error as error:
        raise database_refused(error) from None
    finally:
        connection.close()


def connect(application: str, *, patience: float | None = None) -> "Connection":
    """A new connection. A server that is not there is asked again for a while: it may be starting.

    Args:
        application: what the server calls the connection, at most 63 characters.
        patience: seconds; default: `RETRY_SECONDS`.

    Raises:
        InputError: as `connected`.
    """
    import psycopg2

    address, end = shared_database(), time.monotonic() + (RETRY_SECONDS if patience is None else patience)
    if address is None:
        raise ValueError(f"{DATABASE_VARIABLE} is not set")
    while True:
        try:
            connection = psycopg2.connect(address, connect_timeout=5, application_name=application)
            connection.autocommit = True
            with connection.cursor() as cursor:
                # So that a host that lost its power loses its locks within half a minute.
                for name, value in _KEEPALIVES.items():
                    cursor.execute(f"SET {name} = {value}")
            return connection
        except psycopg2.Error as error:
            if not _ABSENT.search(str(error)) or time.monotonic() >= end:
                raise database_refused(error) from None
        time.sleep(_PAUSE_SECONDS)


def database_refused(error: BaseException) -> InputError:
    """One sentence for what the driver raised. Its own words may quote the password."""
    address = os.environ.get(DATABASE_VARIABLE) or ""
    said = said_by(str(error)) or type(error).__name__
    remedy = (
        "check that it runs and can be reached"
        if _ABSENT.search(str(error))
        else f"check {DATABASE_VARIABLE} and what its user may do"
    )
    return InputError(
        f"The database {shown_address(address)} does not do what is asked of it ({said}): {remedy}, then run again; "
        f"what was there before is untouched."
    )


def said_by(text: str) -> str:
    """What the driver says in a text of SQLAlchemy or Dagster: in one line of bounded length, without the password."""
    lines = [line for line in reason(text, os.environ.get(DATABASE_VARIABLE) or "").splitlines() if line.strip()]
    return re.sub(r"^(?:Retrying failed database connection: )?(?:\([\w.]+\))?\s*", "", lines[0])[:160] if lines else ""


def database_refusal(text: str) -> InputError | None:
    """One sentence for an error of the shared database that Dagster, MLflow or this package met; None for any other.

    Args:
        text: its type, with the module, and its message, as Dagster's record of a run has it.
    """
    found = _MET.match(text) if os.environ.get(DATABASE_VARIABLE) else None
    return database_refused(RuntimeError(text[found.end() :])) if found else None
