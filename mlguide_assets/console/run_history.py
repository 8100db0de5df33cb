"""Dagster's record of a run, written by the process that makes it, through connections that stay open.

Dagster's own storage opens a connection for each of the seven hundred events of a run, and each that closes moves
SQLite's write-ahead log into the file: a fifth of the time of `mlguide run`. The files are the same.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy
from dagster._core.instance.types import _EventListenerLogHandler
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

from mlguide_assets.console.dagster_files import refusing_settings
from mlguide_assets.prepare.files import plain_path
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import dagster as dg


class OpenEventLog(SqliteEventLogStorage):
    """Dagster's default event log, which keeps its connections until it is disposed of.

    A machine that loses its power loses the last events of the run that it interrupts: the log is on disk when the
    run ends. A process that is killed loses none.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, sqlalchemy.Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "OpenEventLog":
        return cls(inst_data=inst_data, **config_value)

    def run_connection(self, run_id: str | None = None) -> Any:
        return super().run_connection(run_id) if run_id is None else self._open(run_id)

    def index_connection(self) -> Any:
        return self._open(INDEX_SHARD_NAME)

    def dispose(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()

    @contextlib.contextmanager
    def _open(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        if shard not in self._engines:
            # Makes the file and its tables where there are none.
            with super().run_connection(shard):
                self._engines[shard] = self._engine(shard)
        with self._engines[shard].begin() as connection:
            yield connection

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        engine = sqlalchemy.create_engine(
            self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )
        sqlalchemy.event.listen(engine, "connect", _wait_for_the_disk_at_checkpoints_only)
        return engine


def _wait_for_the_disk_at_checkpoints_only(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


class EventHandler(logging.Handler):
    """Records what a run logs. Dagster's own handler also prints what keeps it from that, past the command's words."""

    def __init__(self, instance: "dg.DagsterInstance") -> None:
        super().__init__(logging.DEBUG)
        self._recorder = _Recorder(instance)
        self._handler = _EventListenerLogHandler(self._recorder)  # type: ignore[arg-type]

    def emit(self, record: logging.LogRecord) -> None:
        self._handler.emit(record)
        failure, self._recorder.failure = self._recorder.failure, None
        if failure is not None:
            raise failure


class _Recorder:
    """Takes the place of the instance in Dagster's handler, which prints what is raised; here it is kept."""

    def __init__(self, instance: "dg.DagsterInstance") -> None:
        self._instance = instance
        self.failure: Exception | None = None

    def handle_new_event(self, event: "dg.EventLogEntry", **options: Any) -> None:
        try:
            self._instance.handle_new_event(event, **options)
        except Exception as error:
            # As with Dagster's own, a run goes on without a line that an asset reports.
            self.failure = error if event.is_dagster_event else None


@contextlib.contextmanager
def recording(home: Home) -> Iterator["dg.DagsterInstance"]:
    """Dagster's record of runs in a home, for a run in this process. A storage that `dagster.yaml` names is used."""
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    folder = str(plain_path(home.dagster))
    with refusing_settings(home):
        ref, default = InstanceRef.from_dir(folder), InstanceRef.config_defaults(folder)
        events = default["event_log_storage"]
        if ref.storage_data == default["storage"] and events is not None:
            storage = {"module": __name__, "class": OpenEventLog.__name__, "config": events.config_dict}
            ref = InstanceRef.from_dir(folder, overrides={"event_log_storage": storage})
        found = dg.DagsterInstance.from_ref(ref)
    with found as instance:
        instance.get_event_log_handler = lambda: EventHandler(instance)  # type: ignore[assignment,method-assign,return-value]
        yield instance
