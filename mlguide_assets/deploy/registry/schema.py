"""Whether the registry's own database was written by this version of MLflow; asked without importing MLflow.

MLflow refuses any other schema, but only once it is imported, and in its own words.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from mlguide_assets.errors import InputError

_REVISION = re.compile(r"^revision\b[^=\n]*=\s*[\"']([^\"']+)", re.MULTILINE)
_PARENTS = re.compile(r"^down_revision\b[^=\n]*=(.*)", re.MULTILINE)
_TABLES = "select name from sqlite_master where type = 'table'"
_FIRST = {"experiments", "registered_models"}
_NEEDED = _FIRST | {
    "experiment_tags", "runs", "metrics", "latest_metrics", "params", "tags", "model_versions", "model_version_tags",
    "registered_model_tags", "registered_model_aliases",
}  # fmt: skip
"""Tables that a registration reads or writes."""


def refuse_other_schema(database: Path) -> None:
    """Raises InputError where the database is damaged, or of an older or an unknown version of MLflow."""
    found, known = _revision_of(database), _known_revisions()
    newest = known.keys() - set(known.values())
    if found is None or found in newest or not newest:
        return
    if found in known:
        raise InputError(
            f"The registry {database} was written by an older MLflow (its schema is {found}; MLflow "
            f"{version('mlflow')} needs {', '.join(newest)}): copy the file, then bring it up to date with "
            f"'mlflow db upgrade sqlite:///{database}'. The champion is as it was."
        )
    raise InputError(
        f"The registry {database} was written by another MLflow, probably a newer one (MLflow {version('mlflow')} does "
        f"not know its schema {found}): install that version, or move {database.parent} away to begin a new registry. "
        f"The champion is as it was."
    )


def remove_half_made(database: Path) -> None:
    """Remove a database that MLflow was stopped while making: it takes seconds, and MLflow does not go on with it.

    No other process may be working on it.

    Raises:
        InputError: the database is damaged.
    """
    if not database.is_file() or not database.stat().st_size:
        return
    with _opened(database) as connection:
        tables = _tables(connection)
        # The first row of a finished one is MLflow's own experiment.
        used = any(connection.execute(f"select 1 from {name} limit 1").fetchone() for name in _FIRST & tables)
    if not used:
        for end in ("", "-journal", "-wal", "-shm"):
            database.with_name(database.name + end).unlink(missing_ok=True)


def refuse_incomplete(database: Path) -> None:
    """Raises InputError where a database that is in use lacks tables, or the revision that says which it should have.

    No other process may be making it.
    """
    if not database.is_file() or not database.stat().st_size:
        return
    with _opened(database) as connection:
        tables = _tables(connection)
    lost = sorted(_NEEDED - tables) if _revision_of(database) is not None else ["alembic_version"]
    if lost:
        what = f"it lacks what MLflow keeps in {', '.join(lost)}"
        raise InputError(f"The registry {database} is not whole: {what}. {_instead(database)}")


def _revision_of(database: Path) -> str | None:
    """The revision that a database says it has; None where it is new."""
    if database.exists() and not database.is_file():
        raise InputError(f"The registry {database} is no file, so no database. {_instead(database)}")
    if not database.is_file() or not database.stat().st_size:
        return None
    with _opened(database) as connection:
        if "alembic_version" not in _tables(connection):
            return None
        rows = connection.execute("select version_num from alembic_version").fetchall()
    return str(rows[0][0]) if rows else None


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(database)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        # Of a database that is whole. To move it away would lose it.
        if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _unreadable(database, error) from error
        raise InputError(
            f"The registry {database} is held by another program ({error}): wait until that is done, or close it, and "
            f"try again. The champion is as it was."
        ) from error
    except sqlite3.DatabaseError as error:
        raise _unreadable(database, error) from error


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute(_TABLES)}


def _unreadable(database: Path, error: sqlite3.DatabaseError) -> InputError:
    return InputError(f"The registry {database} cannot be read ({error}). {_instead(database)}")


def _instead(database: Path) -> str:
    return (
        f"Restore it from a backup, or move {database.parent} away to begin a new registry. The champion is as it was."
    )


def _known_revisions() -> Mapping[str, str]:
    """Every revision of the installed MLflow and the one before it; empty where MLflow keeps them elsewhere."""
    package = find_spec("mlflow")
    known = {}
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder, "store", "db_migrations", "versions").glob("*.py"):
            text = path.read_text(encoding="utf-8")
            own, parents = _REVISION.search(text), _PARENTS.search(text)
            if own:
                before = re.search(r"[\"']([^\"']+)", parents[1]) if parents else None
                known[own[1]] = before[1] if before else ""
    return known
