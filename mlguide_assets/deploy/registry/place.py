"""A registry that was moved or copied with its home, or with the store that hosts share. MLflow keeps the whole address
of every artifact in its database, so that without this a copy would write into the original.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from mlguide_assets.prepare.hosts.database import connected

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_move(database: Path, artifacts: Path) -> None:
    """Let addresses of artifacts begin with where they are now, where they begin with where they were.

    Args:
        database: MLflow's SQLite file; nothing happens where there is none yet.
        artifacts: the folder of all artifacts, which has one folder per experiment.
    """
    if not database.is_file():
        return
    now = artifacts.as_uri()
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        for before in _places(connection) - {now}:
            with connection:
                for table, column in _ADDRESSES:
                    # An older MLflow has fewer of them.
                    with contextlib.suppress(sqlite3.OperationalError):
                        connection.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                            [now, len(before) + 1, len(before) + 1, f"{before}/"],
                        )


def follow_move_of_hosts(artifacts: Callable[[str], str], is_there: Callable[[str], bool]) -> None:
    """The same of a registry in the database that hosts share, experiment by experiment.

    Only what is found where it should be now follows: a host that names another place by mistake moves nothing.

    Args:
        artifacts: gives the address at which artifacts of an experiment should be now.
        is_there: whether there are any.

    Raises:
        InputError: the database does not answer or refuses.
    """
    with connected() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'mlflow'"
            " AND (table_name, column_name) IN %s",
            [_ADDRESSES],
        )
        # A database in which MLflow has made no tables yet has none.
        if not (addresses := cursor.fetchall()):
            return
        cursor.execute("SELECT name, artifact_location FROM mlflow.experiments")
        for name, before in cursor.fetchall():
            now = artifacts(name)
            if before in (None, now) or not before.endswith(f"/artifacts/{name}") or not is_there(name):
                continue
            # All or none: by the address of the experiment it is known where the others are.
            cursor.execute("BEGIN")
            for table, column in addresses:
                cursor.execute(
                    f"UPDATE mlflow.{table} SET {column} = %s || substr({column}, %s)"
                    f" WHERE {column} = %s OR substr({column}, 1, %s) = %s",
                    [now, len(before) + 1, before, len(before) + 1, f"{before}/"],
                )
            cursor.execute("COMMIT")


def _places(connection: sqlite3.Connection) -> set[str]:
    """The addresses of the folder of all artifacts that experiments of ours were made with."""
    try:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    except sqlite3.OperationalError:
        return set()
    return {
        location.removesuffix(f"/{name}") for name, location in rows if (location or "").endswith(f"/artifacts/{name}")
    }
