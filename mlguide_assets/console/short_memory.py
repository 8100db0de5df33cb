"""Dagster's record of runs in memory, as small as runs and sensors need it.

An ephemeral instance keeps every event, and opens a connection for each: of the two hundred events of a day of a replay
nothing reads more of it than the materialisations. Runs, their ends and partitions are recorded as usual.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.instance.types import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import TemporaryLocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage

_KEPT = frozenset({dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION})
"""From these a later run knows which version of its inputs it reads."""


class ShortEventLog(InMemoryEventLogStorage):
    """Keeps what became of assets, through one connection."""

    def store_event(self, event: dg.EventLogEntry) -> None:
        if event.is_dagster_event and event.dagster_event_type in _KEPT:
            super().store_event(event)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _connect(self) -> Iterator[Any]:
        with self._db_lock, self._held_conn.begin():
            yield self._held_conn


class ShortRunStorage(InMemoryRunStorage):
    """Dagster's own, through one connection."""

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        if self._held_conn.in_transaction():
            yield self._held_conn
            return
        with self._held_conn.begin():
            yield self._held_conn


def short_memory() -> dg.DagsterInstance:
    """An ephemeral instance that keeps little; to be used as a context."""
    return dg.DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=TemporaryLocalArtifactStorage(),  # type: ignore[no-untyped-call]
        run_storage=ShortRunStorage(),
        event_storage=ShortEventLog(),
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=DefaultRunCoordinator(),
        run_launcher=SyncInMemoryRunLauncher(),
    )
