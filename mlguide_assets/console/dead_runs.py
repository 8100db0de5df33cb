"""Ending runs whose process is gone. Dagster would take them for running, and let all others wait for them.

A run of `mlguide run` has a process only while that process holds the home's run lock, so the lock shows it. Runs that
the daemon started take the lock once they have begun. Their code server puts them on record where they are killed, but
stops looking for ever where it cannot write that down, as while the database is away or the disk is full; so a run
during which nobody has held the lock for a minute is dead, too, and at once where no daemon lives.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlguide_assets.console.dagster_files import refusing_settings
from mlguide_assets.observe.alerts.failed_runs import PROCESS_GONE, job_in_words
from mlguide_assets.prepare.files import plain_path
from mlguide_assets.prepare.hosts.run_lock import run_lock_holder
from mlguide_assets.progress import Report
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import dagster as dg

PROCESS_TAG = "mlguide/process"
"""The process of a run of `mlguide run`, as the run lock names it."""

_IDLE_SECONDS = 60.0
"""Longer than a process takes from the beginning of its run to the lock, and from giving it back to the end."""


@contextlib.contextmanager
def instance_of(home: Home) -> Iterator["dg.DagsterInstance"]:
    """Dagster's record of runs in a home."""
    import dagster as dg

    with refusing_settings(home):
        found = dg.DagsterInstance.from_config(str(plain_path(home.dagster)))
    with found as instance:
        yield instance


def end_dead_runs(
    home: Home, instance: "dg.DagsterInstance", report: Report, *, idle: dict[str, float] | None = None
) -> None:
    """Put runs whose process is gone on record as failed, so that others begin and an alert is raised.

    Args:
        idle: since when (monotonic seconds) each run that a daemon started has not worked, kept from look to look;
            None where no daemon lives, so that none of them can work.
    """
    with run_lock_holder(home) as holder:
        dead = [run for run in _begun(instance) if _is_dead(run, holder)]
        if idle is not None:
            dead = _idle_for_long(dead, idle)
        if holder is not None and dead:
            # A run may have begun since the holder was read; then the lock has changed hands.
            with run_lock_holder(home) as now:
                dead = dead if now == holder else []
        for run in dead:
            instance.report_run_failed(run, PROCESS_GONE)
            report(f"The run {run.run_id} of {job_in_words(run.job_name)} had been killed; it is on record as failed.")


def _begun(instance: "dg.DagsterInstance") -> list["dg.DagsterRun"]:
    import dagster as dg

    begun = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    return [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=begun))]


def _is_dead(run: "dg.DagsterRun", holder: str | None) -> bool:
    """Args: holder: the process that holds the run lock; None where this process holds it."""
    process = run.tags.get(PROCESS_TAG)
    return holder is None if process is None else process != holder


def _idle_for_long(dead: list["dg.DagsterRun"], idle: dict[str, float]) -> list["dg.DagsterRun"]:
    """Of runs without a process, those of `mlguide run`, and of a daemon's what has been so for a minute.

    A daemon's that is still starting is given up by Dagster, after `start_timeout_seconds`.
    """
    import dagster as dg

    now, ours = time.monotonic(), [run for run in dead if PROCESS_TAG in run.tags]
    others = [run for run in dead if PROCESS_TAG not in run.tags and run.status != dg.DagsterRunStatus.STARTING]
    for works in idle.keys() - {run.run_id for run in others}:
        del idle[works]
    return ours + [run for run in others if now - idle.setdefault(run.run_id, now) >= _IDLE_SECONDS]
