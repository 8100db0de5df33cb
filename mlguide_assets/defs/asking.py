"""Asking for a run once per reason, and again after a while where it failed. For sensors."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlguide_assets.defs.workspace import PROBLEM
from mlguide_assets.retrain.cadence import look_every

LOOK_EVERY = look_every(PROBLEM)
"""Seconds between two looks of every sensor."""

REASON = "mlguide/reason"
"""The tag that tells which reason a run was asked for."""

AGAIN_AFTER = timedelta(minutes=10)
"""A run that failed is asked for again: what was amiss, such as a source that was down, may be mended."""

_LOOKED_AT = 200
_FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def unmet(
    instance: dg.DagsterInstance, job: str, reasons: Mapping[str, str | None], now: datetime
) -> Iterator[dg.RunRequest]:
    """A request for every reason that no run of the job has met, is meeting, or has just failed to meet.

    Dagster's own `run_key` alone would never try again.

    Args:
        reasons: each with the partition that it is of, if any.
    """
    records: dict[str, list[dg.RunRecord]] = {}
    for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=_LOOKED_AT):
        records.setdefault(record.dagster_run.tags.get(REASON, ""), []).append(record)
    for reason, partition in reasons.items():
        tried = records.get(reason, [])
        if all(_may_be_asked_again(record, now) for record in tried):
            yield dg.RunRequest(run_key=f"{reason}#{len(tried)}", partition_key=partition, tags={REASON: reason})


def under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job waits, starts or runs."""
    unfinished = [status for status in dg.DagsterRunStatus if status not in (*_FAILED, dg.DagsterRunStatus.SUCCESS)]
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=unfinished), limit=1))


def _may_be_asked_again(record: dg.RunRecord, now: datetime) -> bool:
    if record.dagster_run.status not in _FAILED:
        return False
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.create_timestamp
    return now - ended >= AGAIN_AFTER
