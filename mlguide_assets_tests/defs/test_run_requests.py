"""Sensors ask once per reason, wait for what is under way, and ask again where it failed."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from mlguide_assets.defs import workspace
from mlguide_assets.defs.run_requests import (
    AGAIN_AFTER,
    REASON,
    newest_run,
    reading,
    run_request,
    run_request_for_range,
    under_way,
)
from mlguide_assets.defs.tags import PROBLEM_TAG
from mlguide_assets.defs.workspace import RUN_TAGS
from mlguide_assets_tests.defs.house import House

JOB = "refresh_job"
DAYS = [date(2026, 3, day) for day in (1, 2, 3, 5)]


def requested(house: House, reason: str, *, later: timedelta = timedelta()) -> list[str | None]:
    answer = run_request(house.instance, JOB, reason, datetime.now(UTC) + later)
    return [answer.run_key] if isinstance(answer, dg.RunRequest) else []


def said(house: House, reason: str) -> str:
    answer = run_request(house.instance, JOB, reason, datetime.now(UTC))
    return answer.skip_message or "" if isinstance(answer, dg.SkipReason) else ""


def test_a_reason_is_requested_until_it_was_met(house: House) -> None:
    assert requested(house, "monday") == ["monday#0"]
    house.run(JOB, **{REASON: "monday"})
    assert requested(house, "monday") == []
    assert requested(house, "tuesday") == ["tuesday#0"]


def test_what_failed_is_requested_again_after_a_while_and_under_another_key(house: House) -> None:
    house.run(JOB, fails=True, **{REASON: "monday"})
    assert requested(house, "monday") == []
    assert requested(house, "monday", later=AGAIN_AFTER) == ["monday#1"]
    house.run(JOB, **{REASON: "monday"})
    assert requested(house, "monday", later=AGAIN_AFTER) == []


def test_nothing_is_requested_while_a_run_waits_or_runs(house: House) -> None:
    instance, run = house.instance, house.begin(JOB)
    assert under_way(instance, JOB)
    assert reading(instance)
    assert requested(house, "monday") == []
    instance.report_run_failed(run)
    assert not under_way(instance, JOB)
    assert not reading(instance)
    assert requested(house, "monday") == ["monday#0"]


OTHER = {PROBLEM_TAG: "another_problem_of_the_home"}


def test_runs_of_another_problem_stop_nothing_here(house: House) -> None:
    house.begin(JOB, **OTHER)
    assert not under_way(house.instance, JOB)
    assert not reading(house.instance)
    house.run(JOB, **OTHER, **{REASON: "monday"})
    assert requested(house, "monday") == ["monday#0"]
    assert newest_run(house.instance, JOB) is None
    house.begin(JOB, **RUN_TAGS)
    assert under_way(house.instance, JOB)


def test_the_newest_run_is_of_this_problem(house: House) -> None:
    for tags in ({}, OTHER, RUN_TAGS, OTHER):
        house.run(JOB, **tags)
    newest = newest_run(house.instance, JOB)
    assert newest is not None
    assert RUN_TAGS.items() <= newest.dagster_run.tags.items()


@pytest.mark.parametrize(("name", "counts"), [(None, True), ("here", True), ("elsewhere", False)])
def test_a_run_without_a_tag_counts_by_its_code_location(
    name: str | None, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such are runs of an earlier version, and of assets that a person chose."""
    monkeypatch.setattr(workspace, "NAME", name)
    located: Any = SimpleNamespace(tags={}, remote_job_origin=SimpleNamespace(location_name="here"))
    assert workspace.is_of_this_problem(located) is counts
    located.remote_job_origin = None
    assert workspace.is_of_this_problem(located), "nothing better is known"


def test_days_are_one_run_from_the_first_to_the_last(house: House) -> None:
    days = dict.fromkeys(DAYS, "a")
    request = run_request_for_range(house.instance, JOB, days, datetime.now(UTC))
    assert isinstance(request, dg.RunRequest)
    tags = {name.removeprefix("dagster/asset_partition_"): day for name, day in request.tags.items()}
    assert (tags["range_start"], tags["range_end"]) == ("2026-03-01", "2026-03-05")
    house.run(JOB, **{REASON: request.tags[REASON]})
    for done in (days, {}):
        assert isinstance(run_request_for_range(house.instance, JOB, done, datetime.now(UTC)), dg.SkipReason)
    changed = run_request_for_range(house.instance, JOB, {**days, DAYS[0]: "b"}, datetime.now(UTC))
    assert isinstance(changed, dg.RunRequest), "a day has changed"


def test_where_nothing_is_requested_it_says_why(house: House) -> None:
    house.run(JOB, **{REASON: "monday"})
    assert said(house, "monday") == f"Nothing is new since the last run of {JOB}."
    failed = house.run(JOB, fails=True, **{REASON: "tuesday"}).run_id
    assert said(house, "tuesday") == f"The run {failed} failed; 10 minutes later comes another."
    house.begin(JOB)
    assert said(house, "wednesday") == f"A run of {JOB} is under way."
