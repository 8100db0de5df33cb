"""Dagster's storage in the database that hosts share. The home's `dagster.yaml` names it.

It is dagster-postgres's, by the driver that this knows to use.
"""

import logging
import math
import time
from typing import Any

from dagster_postgres import DagsterPostgresStorage

from mlguide_assets.console.terminal import console
from mlguide_assets.prepare.hosts.database import said_by, sqlalchemy_address

_QUIET_SECONDS = 60.0


class _Tries(logging.Filter):
    """What dagster-postgres notes of each try to reach the database, in SQLAlchemy's words: said once a minute."""

    said = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("Retrying failed database connection"):
            return True
        if (now := time.monotonic()) - self.said >= _QUIET_SECONDS:
            self.said = now
            console.print(f"The database does not answer, and is asked again: {said_by(record.getMessage())}")
        return False


tries = _Tries()
# It logs by no logger of its own.
logging.getLogger().addFilter(tries)


class SharedStorage(DagsterPostgresStorage):
    """Runs, events and schedules; its address comes from the environment and is written nowhere."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "SharedStorage":
        return cls(sqlalchemy_address(config_value["postgres_url"]), inst_data=inst_data)
