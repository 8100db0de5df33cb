"""Sensors ask once per reason, wait for what is under way, and ask again where it failed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from mlguide_assets.defs.run_requests import AGAIN_AFTER, REASON, reading, run_request, run_request_for_range, under_way

JOB = "refresh_job"
DAYS = [date(2026, 3, day) for day in (1, 2, 3, 5)]


@dg.op
def work() -> None:
    pass


@dg.op
def fail() -> None:
    raise RuntimeError("the source is down")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def ran(instance: dg.DagsterInstance, reason: str, *, fails: bool = False) -> None:
    op = fail if fails else work
    graph = dg.GraphDefinition(name=JOB, node_defs=[op])
    graph.to_job(name=JOB).execute_in_process(instance=instance, tags={REASON: reason}, raise_on_error=False)


def requested(instance: dg.DagsterInstance, reason: str, *, later: timedelta = timedelta()) -> list[str | None]:
    return [request.run_key for request in run_request(instance, JOB, reason, datetime.now(UTC) + later)]


def test_a_reason_is_requested_until_it_was_met(instance: dg.DagsterInstance) -> None:
    assert requested(instance, "monday") == ["monday#0"]
    ran(instance, "monday")
    assert requested(instance, "monday") == []
    assert requested(instance, "tuesday") == ["tuesday#0"]


def test_what_failed_is_requested_again_after_a_while_and_under_another_key(instance: dg.DagsterInstance) -> None:
    ran(instance, "monday", fails=True)
    assert requested(instance, "monday") == []
    assert requested(instance, "monday", later=AGAIN_AFTER) == ["monday#1"]
    ran(instance, "monday")
    assert requested(instance, "monday", later=AGAIN_AFTER) == []


def test_nothing_is_requested_while_a_run_waits_or_runs(instance: dg.DagsterInstance) -> None:
    job = dg.GraphDefinition(name=JOB, node_defs=[work]).to_job(name=JOB)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert under_way(instance, JOB)
    assert reading(instance)
    assert requested(instance, "monday") == []
    instance.report_run_failed(run)
    assert not under_way(instance, JOB)
    assert not reading(instance)
    assert requested(instance, "monday") == ["monday#0"]


def test_days_are_one_run_from_the_first_to_the_last(instance: dg.DagsterInstance) -> None:
    days = dict.fromkeys(DAYS, "a")
    (request,) = run_request_for_range(instance, JOB, days, datetime.now(UTC))
    tags = {name.removeprefix("dagster/asset_partition_"): day for name, day in request.tags.items()}
    assert (tags["range_start"], tags["range_end"]) == ("2026-03-01", "2026-03-05")
    ran(instance, request.tags[REASON])
    assert list(run_request_for_range(instance, JOB, days, datetime.now(UTC))) == []
    changed = {**days, DAYS[0]: "b"}
    assert len(list(run_request_for_range(instance, JOB, changed, datetime.now(UTC)))) == 1, "a day has changed"
    assert list(run_request_for_range(instance, JOB, {}, datetime.now(UTC))) == []
