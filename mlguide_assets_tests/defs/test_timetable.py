"""Schedules in a simulated world follow its clock: the body of each is called here as the daemon calls it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from mlguide_assets.defs import timetable
from mlguide_assets.defs.retrain import retrain_daily, retrain_on_new_outcomes
from mlguide_assets.defs.timetable import ticked, ticks_with_the_source
from mlguide_assets.defs.workspace import PROBLEM, Workspace
from mlguide_assets.retrain.ticks import ticks_of

JANUARY = datetime(2026, 1, 1)
DAY = timedelta(days=1)
JOB = "retraining_job"


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "days", "fires"),
    [
        ("0 3 * * *", "UTC", JANUARY, 1, True),
        ("0 0 * * *", "UTC", JANUARY, 1, True),
        ("0 3 * * *", "UTC", JANUARY, 0, False),
        ("0 3 * * 1", "UTC", JANUARY, 4, False),
        ("0 3 * * 1", "UTC", JANUARY, 5, True),
        # 2026-01-04 23:30 UTC is Monday in Berlin.
        ("30 0 * * 1", "Europe/Berlin", JANUARY, 4, True),
        ("0 */2 * * *", "UTC", JANUARY, 1, True),
    ],
)
def test_a_schedule_ticks_within_days_that_passed(
    cron: str, timezone: str, after: datetime, days: int, fires: bool
) -> None:
    assert ticked(cron, timezone, after, after + days * DAY) is fires


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def land(workspace: Workspace, days: int) -> None:
    """Sends on the first days of January."""
    rows = {"day": [date(2026, 1, 1) + place * DAY for place in range(days)], "rows": [900] * days}
    workspace.lake.write("landed_days", pa.table({**rows, "digest": ["a"] * days}))


@dg.op
def work() -> None:
    pass


class Ticking:
    """A sensor that the daemon calls, with the cursor that it keeps."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance, workspace: Workspace) -> None:
        self.sensor, self.instance, self.workspace = sensor, instance, workspace
        self.cursor: str | None = None

    def look(self) -> tuple[int, str]:
        """How many runs it asks for, and else why none."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, resources={"workspace": self.workspace})
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return len(data.run_requests or []), data.skip_message or ""


@pytest.mark.parametrize("sensor", [retrain_daily, retrain_on_new_outcomes], ids=lambda each: str(each.name))
def test_the_default_world_ticks_by_its_own_days(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    workspace = Workspace(root=str(tmp_path))
    ticking = Ticking(sensor, instance, workspace)
    assert ticking.look() == (0, "Nothing was read yet.")
    land(workspace, 3)
    assert ticking.look() == (0, "The world has reached 2026-01-04; ticks begin here.")
    assert "No tick of" in ticking.look()[1]
    assert ticks_of(workspace.home, PROBLEM).ticks() == []
    land(workspace, 20)
    assert ticking.look()[0] == 1, "more than 5,000 sends have matured"
    (tick,) = ticks_of(workspace.home, PROBLEM).ticks()
    assert tick["data_until"] == "2026-01-20"
    assert "No tick of" in ticking.look()[1]


def test_a_tick_waits_for_the_run_before_and_for_days_to_be_read_after_it(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root=str(tmp_path))
    job = dg.GraphDefinition(name=JOB, node_defs=[work]).to_job(name=JOB)
    ticking = Ticking(retrain_daily, instance, workspace)  # type: ignore[arg-type]
    land(workspace, 9)
    ticking.look()
    land(workspace, 20)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert ticking.look() == (0, "A run of the job is under way; the tick waits for its end.")
    instance.report_run_failed(run)
    job.execute_in_process(instance=instance)
    (record,) = instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=1)
    assert record.start_time is not None
    assert record.end_time is not None
    took = record.end_time - record.start_time
    now = datetime.fromtimestamp(record.end_time + took, UTC)
    monkeypatch.setattr(timetable, "now_utc", lambda: now)
    assert "so that days are read meanwhile" in ticking.look()[1]
    now = datetime.fromtimestamp(record.end_time + 2 * took + 1, UTC)
    assert ticking.look()[0] == 1, "the tick was kept"


def test_a_source_of_the_wall_has_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    still = PROBLEM.model_copy(update={"source": PROBLEM.source.model_copy(update={"live": None})})
    monkeypatch.setattr(timetable, "PROBLEM", still)

    def decided(instance: dg.DagsterInstance, workspace: Workspace) -> dg.SkipReason:
        """Never train."""
        return dg.SkipReason("not today")

    job = dg.define_asset_job("a_job", selection="user_emails")
    schedule = ticks_with_the_source(job, "0 3 * * *")(decided)
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.name, schedule.cron_schedule, schedule.description) == ("decided", "0 3 * * *", "Never train.")
    with dg.DagsterInstance.local_temp() as instance:
        context = dg.build_schedule_context(instance, resources={"workspace": Workspace()})
        assert schedule.evaluate_tick(context).skip_message == "not today"
