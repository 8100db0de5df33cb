"""Dagster's storage in the database that hosts share. The home's `dagster.yaml` names it.

It is dagster-postgres's, by the driver that this knows to use.
"""

from typing import Any

from dagster_postgres import DagsterPostgresStorage

from mlguide_assets.prepare.hosts.database import sqlalchemy_address


class SharedStorage(DagsterPostgresStorage):
    """Runs, events and schedules; its address comes from the environment and is written nowhere."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "SharedStorage":
        return cls(sqlalchemy_address(config_value["postgres_url"]), inst_data=inst_data)
