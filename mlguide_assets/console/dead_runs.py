"""Ending runs whose process is gone. Dagster would take them for running, and let all others wait for them.

A run of `mlguide run` has a process only while that process holds the home's run lock, so the lock shows it. Runs that
the daemon started are watched by the daemon itself; only where no daemon lives are they dead, too.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mlguide_assets.observe.alerts.failed_runs import PROCESS_GONE, job_in_words
from mlguide_assets.prepare.files import plain_path
from mlguide_assets.prepare.hosts.run_lock import run_lock_holder
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import dagster as dg

PROCESS_TAG = "mlguide/process"
"""The process of a run of `mlguide run`, as the run lock names it."""


@contextlib.contextmanager
def instance_of(home: Home) -> Iterator["dg.DagsterInstance"]:
    """Dagster's record of runs in a home."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(plain_path(home.dagster))) as instance:
        yield instance


def end_dead_runs(
    home: Home, instance: "dg.DagsterInstance", report: Callable[[str], None], *, daemon_lives: bool
) -> None:
    """Put runs whose process is gone on record as failed, so that others begin and an alert is raised.

    Args:
        daemon_lives: whether Dagster's daemon works on the home, which looks after the runs that it started.
    """
    with run_lock_holder(home) as holder:
        dead = [run for run in _begun(instance) if _is_dead(run, holder, daemon_lives)]
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


def _is_dead(run: "dg.DagsterRun", holder: str | None, daemon_lives: bool) -> bool:
    """Args: holder: the process that holds the run lock; None where this process holds it."""
    process = run.tags.get(PROCESS_TAG)
    if process is None:
        return holder is None and not daemon_lives
    return process != holder
