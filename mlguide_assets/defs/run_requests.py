"""Run requests of sensors: one per reason, and another after a while where the run failed.

Runs of other problems of the home do not count: they share Dagster's record, and the names of jobs.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from mlguide_assets.defs.workspace import PROBLEM, RUN_TAGS, is_of_this_problem
from mlguide_assets.instants import is_over

LOOK_EVERY = int(PROBLEM.retraining.look_every.total_seconds())
"""Seconds between two evaluations of every sensor."""

REASON = "mlguide/reason"
"""The tag that holds the reason of a run."""

TICK = "mlguide/tick"
"""The tag of a run that names the tick which requested it (`retrain/ticks.py`)."""

AGAIN_AFTER = timedelta(minutes=10)
"""A run that failed is requested again: its cause, such as a source that was down, may be fixed."""

READING = ("refresh_job", "retraining_job")
"""The jobs that read the source."""

Answer = dg.RunRequest | dg.SkipReason
"""What a sensor answers: a sentence where it requests nothing, since Dagster would show one of its own."""

IS_READ = dg.SkipReason("The source is being read: half of the tables may be of the day before.")

_LOOKED_AT = 100
_ENDED_BADLY = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_UNFINISHED = [each for each in dg.DagsterRunStatus if each not in (*_ENDED_BADLY, dg.DagsterRunStatus.SUCCESS)]


def run_request(instance: dg.DagsterInstance, job: str, reason: str, now: datetime, **request: Any) -> Answer:
    """A request, unless a run of the job waits or runs, was done for this reason, or has just failed for it.

    A waiting run finds what is new when it begins, so one is enough. Dagster's own `run_key` alone would never
    try again.

    Args:
        request: what else to say in the request, such as its partition.
    """
    if under_way(instance, job):
        return dg.SkipReason(f"A run of {job} is under way.")
    records = own_runs(instance, job, tags={REASON: _tag(reason)})
    if all(_may_be_requested_again(record, now) for record in records):
        tags = {**request.pop("tags", {}), REASON: _tag(reason)}
        return dg.RunRequest(run_key=f"{reason}#{len(records)}", tags=tags, **request)
    if records[0].dagster_run.status in _ENDED_BADLY:
        minutes = AGAIN_AFTER.total_seconds() / 60
        return dg.SkipReason(
            f"The run {records[0].dagster_run.run_id} failed; {minutes:.0f} minutes later comes another."
        )
    return dg.SkipReason(f"Nothing is new since the last run of {job}.")


def run_request_for_range(instance: dg.DagsterInstance, job: str, days: Mapping[date, str], now: datetime) -> Answer:
    """A request for all days from the first to the last, in one run.

    Args:
        days: those to be done, each with a text that is another when it must be done again; the run leaves out what
            lies between them and need not be.
    """
    if not days:
        return dg.SkipReason(f"Nothing is new since the last run of {job}.")
    first, last = min(days), max(days)
    signed = " ".join(f"{day} {sign}" for day, sign in sorted(days.items()))
    reason = f"{first} {last} {hashlib.sha256(signed.encode()).hexdigest()[:12]}"
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    return run_request(instance, job, reason, now, tags=tags)


def under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job waits, starts or runs."""
    return bool(own_runs(instance, job, statuses=_UNFINISHED))


def reading(instance: dg.DagsterInstance) -> bool:
    """Whether a run that reads the source waits or runs: then half of the tables may be of the day before."""
    return any(under_way(instance, job) for job in READING)


def own_runs(instance: dg.DagsterInstance, job: str, **filters: Any) -> list[dg.RunRecord]:
    """The last runs of a job on the problem of this code location, the newest first.

    Args:
        filters: what else Dagster's `RunsFilter` is to ask for.
    """
    records = instance.get_run_records(dg.RunsFilter(job_name=job, **filters), limit=_LOOKED_AT)
    return [record for record in records if is_of_this_problem(record.dagster_run)]


def newest_run(instance: dg.DagsterInstance, job: str) -> dg.RunRecord | None:
    """The newest run of a job on the problem of this code location; None where there is none."""
    tagged = instance.get_run_records(dg.RunsFilter(job_name=job, tags=RUN_TAGS), limit=1)
    # Runs of an earlier version have no tag.
    return next(iter(tagged or own_runs(instance, job)), None)


def _may_be_requested_again(record: dg.RunRecord, now: datetime) -> bool:
    if record.dagster_run.status not in _ENDED_BADLY:
        return False
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.create_timestamp
    return is_over(AGAIN_AFTER, since=ended, now=now)


def _tag(reason: str) -> str:
    """As a tag may be: they are compared as text, and end at 63 characters in some places."""
    return reason if len(reason) <= 63 else hashlib.sha256(reason.encode()).hexdigest()[:32]
