"""Dagster's daemon in this process: evaluates every sensor and executes the requested runs, until there are no more.

For a world whose clock is set by hand, as a replay does: what the daemon of `mlguide ui` would do on a day is then
done at once, one run after the other, and recorded in memory.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from mlguide_assets.console.run import collect_garbage_rarely, refuse_failure
from mlguide_assets.console.short_memory import short_memory
from mlguide_assets.errors import RunFailedError
from mlguide_assets.prepare.duckdb.connection import release_memtables
from mlguide_assets.settings import Home

_MOST_ROUNDS = 20
"""Sensors that still request runs after so many rounds of one day would never stop."""


class Daemon:
    """The sensors and jobs of a code location, with an instance that forgets everything at the end."""

    def __init__(self, home: Home, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        from mlguide_assets.defs.workspace import Workspace

        self._home, self._instance, self._resources = home, instance, {"workspace": Workspace()}
        self._cursors: dict[str, str | None] = {}
        repository = definitions.get_repository_def()
        # In the order of their definition. Those of runs look at runs, and here a run that fails ends everything.
        self._sensors = [each for each in repository.sensor_defs if type(each) is dg.SensorDefinition]
        self._jobs = {job.name: definitions.resolve_job_def(job.name) for job in repository.get_all_jobs()}
        self._graph = definitions.resolve_asset_graph()

    def settle(self) -> Iterator[str]:
        """Do all that is due now; the name of each job before it runs.

        Raises:
            InputError: an asset refused its input.
            RunFailedError: a run failed otherwise, or the sensors never come to rest.
        """
        for _ in range(_MOST_ROUNDS):
            requested = 0
            for sensor in self._sensors:
                for request in self._ask(sensor):
                    requested += 1
                    name = request.job_name or sensor.job_name
                    yield str(name)
                    self.run(str(name), tags=request.tags, partition_key=request.partition_key)
            if not requested:
                self._let_go()
                return
        raise RunFailedError(f"After {_MOST_ROUNDS} rounds the sensors still request runs.")

    def run(self, name: str, *, tags: Any = None, partition_key: str | None = None) -> None:
        """Do one run of a job; the same errors as `settle`."""
        job = self._jobs[name]
        result = job.execute_in_process(
            instance=self._instance,
            tags=dict(tags or {}),
            partition_key=partition_key,
            raise_on_error=False,
            run_config={**(job.run_config or {}), "loggers": {"quiet": {}}},
            asset_selection=self._without_search(job, partitioned=bool(partition_key or tags)),
        )
        refuse_failure(result, self._home)

    def _let_go(self) -> None:
        """Free the tables of a day: expressions refer to themselves, and rare collections keep many days of them."""
        gc.collect()
        release_memtables(self._resources["workspace"].lake.connection)
        if not gc.get_freeze_count():
            # Libraries and definitions, which the first run has loaded: to look through them again takes half a second.
            gc.freeze()

    def _without_search(self, job: dg.JobDefinition, *, partitioned: bool) -> list[dg.AssetKey]:
        """The assets of a job but those that look for a better recipe; without a partition, what has none."""
        from mlguide_assets.defs.train import THOROUGH

        keys = job.asset_layer.selected_asset_keys
        known = {key: self._graph.get(key) for key in keys}
        return [
            key
            for key, node in known.items()
            if not THOROUGH.items() <= node.tags.items() and (partitioned or not node.partitions_def)
        ]

    def _ask(self, sensor: dg.SensorDefinition) -> list[dg.RunRequest]:
        cursor = self._cursors.get(sensor.name)
        with dg.build_sensor_context(self._instance, cursor=cursor, resources=self._resources) as context:
            answer = sensor(context)
            answers = [answer] if isinstance(answer, dg.RunRequest | dg.SkipReason) else list(answer or ())
            self._cursors[sensor.name] = context.cursor
        return [each for each in answers if isinstance(each, dg.RunRequest)]


def quiet_logger(_: object) -> logging.Logger:
    """A Dagster logger that says nothing: Dagster's own writes a line per event, two hundred a day."""
    logger = logging.Logger("mlguide.quiet", logging.CRITICAL)
    logger.addHandler(logging.NullHandler())
    return logger


@contextmanager
def daemon_of(home: Home) -> Iterator[Daemon]:
    """The daemon of the home that this process has entered, with its problem (`environment.enter`)."""
    # Of every check that a reading leaves to the training, Dagster warns at every reading.
    logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)
    collect_garbage_rarely()
    # The instance comes first: what definitions know of partitions refers to it.
    with short_memory() as instance:
        from mlguide_assets.definitions import defs

        definitions = dg.Definitions.merge(defs(), dg.Definitions(loggers={"quiet": dg.logger(quiet_logger)}))
        yield Daemon(home, definitions, instance)
