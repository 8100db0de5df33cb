"""A registry that was moved or copied with its home. MLflow keeps the whole address of every artifact in its database,
so that without this a copy would write into the original.
"""

import contextlib
import sqlite3
from pathlib import Path

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


def _places(connection: sqlite3.Connection) -> set[str]:
    """The addresses of the folder of all artifacts that experiments of ours were made with."""
    try:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    except sqlite3.OperationalError:
        return set()
    return {
        location.removesuffix(f"/{name}") for name, location in rows if (location or "").endswith(f"/artifacts/{name}")
    }
