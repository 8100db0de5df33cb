"""The sensors of a new day, called as the daemon calls them: they ask for what the data reach, and for nothing else."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from mlguide_assets.defs.new_data import refresh_on_new_day, score_on_new_day, scores_come_first
from mlguide_assets.defs.observe import check_drift_on_new_data
from mlguide_assets.defs.run_requests import AGAIN_AFTER, READING, REASON
from mlguide_assets.defs.workspace import PROBLEM, SCORING_DATES, Workspace
from mlguide_assets.observe import new_days
from mlguide_assets.retrain import new_data

FIRST = date(2025, 11, 1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A home with a champion whose reference ends on 10 November, and sends until the 20th, a year before today."""
    workspace = Workspace(root=str(tmp_path))
    for module in (new_data, new_days):
        monkeypatch.setattr(module, "pointed_version", lambda _: "1")
    bundle = workspace.home.bundles(PROBLEM.key) / "1"
    bundle.mkdir(parents=True)
    (bundle / "metadata.json").write_text(json.dumps({"test_last": "2025-11-10"}))
    days = [FIRST + timedelta(days=place) for place in range(20)]
    landed = {"day": days, "rows": [900] * 20, "digest": ["a"] * 20, "outcomes": pa.array([None] * 20, pa.string())}
    workspace.lake.write("landed_days", pa.table(landed))
    workspace.lake.write("user_emails", pa.table({"user_id": [1]}))
    workspace.lake.write("candidate_model", pa.table({"facts": [json.dumps({"refit_until": "2025-11-10"})]}))
    return workspace


def asked(sensor: Any, instance: dg.DagsterInstance, workspace: Workspace) -> list[dg.RunRequest]:
    return list(sensor(dg.build_sensor_context(instance, resources={"workspace": workspace})))


def test_the_day_after_the_last_send_is_scored_whatever_the_date_is(
    instance: dg.DagsterInstance, workspace: Workspace
) -> None:
    (request,) = asked(score_on_new_day, instance, workspace)
    assert request.partition_key == "2025-11-21"
    assert list(instance.get_dynamic_partitions(str(SCORING_DATES.name)))[-1] == "2025-11-21"


def test_days_are_checked_for_drift_from_the_reference_to_the_last_that_has_landed(
    instance: dg.DagsterInstance, workspace: Workspace
) -> None:
    (request,) = asked(check_drift_on_new_data, instance, workspace)
    bounds = [request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")]
    assert bounds == ["2025-11-11", "2025-11-20"]


@pytest.mark.parametrize("reader", READING)
def test_a_day_that_was_read_is_scored_before_the_next_is_read(
    reader: str, instance: dg.DagsterInstance, workspace: Workspace
) -> None:
    """In a world that is faster than its runs, a reading would always be due."""
    now = datetime.now(UTC)
    assert not scores_come_first(instance, workspace, now), "nothing was read by the daemon yet"
    ran(instance, reader, "read")
    now = datetime.now(UTC)
    assert scores_come_first(instance, workspace, now)
    assert asked(refresh_on_new_day, instance, workspace) == []
    assert not scores_come_first(instance, workspace, now + AGAIN_AFTER + timedelta(minutes=1)), "it waits for a while"
    (request,) = asked(score_on_new_day, instance, workspace)
    ran(instance, "scoring_job", request.tags[REASON])
    assert not scores_come_first(instance, workspace, now)
    assert len(asked(refresh_on_new_day, instance, workspace)) == 1


@dg.op
def work() -> None:
    pass


def ran(instance: dg.DagsterInstance, job: str, reason: str) -> None:
    made = dg.GraphDefinition(name=job, node_defs=[work]).to_job(name=job)
    made.execute_in_process(instance=instance, tags={REASON: reason})
