"""MLflow's tables in new homes: migrated once per session, which takes seconds, then copied.

And the migrations of MLflow and Dagster, which are read once per process.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

PLACE = "EMPTY_REGISTRY_OF_TESTS"
"""An environment variable: the folder of the session where the empty database is kept."""


def copy_tables() -> None:
    """Let MLflow copy the tables of a new SQLite database in this process; the first process of a session makes them.

    Without `PLACE` nothing changes.
    """
    if not (place := os.environ.get(PLACE)):
        return
    read_migrations_once()
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    migrate, kept = utils._initialize_tables, Path(place) / "mlflow.db"

    def initialize(engine: Any) -> None:
        if engine.dialect.name != "sqlite":
            migrate(engine)
            return
        with FileLock(kept.with_suffix(".lock")):
            if not kept.exists():
                making = kept.with_suffix(".making")
                made = create_engine(f"sqlite:///{making}")
                migrate(made)
                made.dispose()
                making.rename(kept)
        engine.dispose()
        shutil.copyfile(kept, engine.url.database)

    utils._initialize_tables = initialize


def read_migrations_once() -> None:
    """Let Alembic keep the migrations that it has read in this process.

    For each database that a library opens, it reads all of that library's, dozens of files, to know which is the last:
    up to half of the time that opening a registry or making the history of a run takes.
    """
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    read, known = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def read_once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = staticmethod(read_once)  # type: ignore[method-assign]
