"""Whether the registry's own database was written by this version of MLflow; asked without importing MLflow.

MLflow refuses any other schema, but only once it is imported, and in its own words.
"""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from mlguide_assets.errors import InputError

_REVISION = re.compile(r"^revision\b[^=\n]*=\s*[\"']([^\"']+)", re.MULTILINE)
_PARENTS = re.compile(r"^down_revision\b[^=\n]*=(.*)", re.MULTILINE)
_TABLES = "select name from sqlite_master where type = 'table'"
_FIRST = {"experiments", "registered_models"}


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
    _revision_of(database)
    with closing(sqlite3.connect(database)) as connection:
        tables = {name for (name,) in connection.execute(_TABLES)}
        # The first row of a finished one is MLflow's own experiment.
        used = any(connection.execute(f"select 1 from {name} limit 1").fetchone() for name in _FIRST & tables)
    if not used:
        for end in ("", "-journal", "-wal", "-shm"):
            database.with_name(database.name + end).unlink(missing_ok=True)


def _revision_of(database: Path) -> str | None:
    """The revision that a database says it has; None where it is new."""
    if not database.is_file() or not database.stat().st_size:
        return None
    try:
        with closing(sqlite3.connect(database)) as connection:
            tables = {name for (name,) in connection.execute(_TABLES)}
            if "alembic_version" not in tables:
                return None
            rows = connection.execute("select version_num from alembic_version").fetchall()
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"The registry {database} cannot be read ({error}): restore it from a backup, or move {database.parent} "
            f"away to begin a new registry. The champion is as it was."
        ) from error
    return str(rows[0][0]) if rows else None


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
