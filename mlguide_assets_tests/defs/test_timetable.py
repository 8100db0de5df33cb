"""Schedules in a simulated world follow its clock: the body of each is called here as the daemon calls it."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from mlguide_assets.defs import timetable
from mlguide_assets.defs.retrain import retrain_daily, retrain_on_new_outcomes
from mlguide_assets.defs.timetable import ticked, ticks_with_the_source
from mlguide_assets.defs.workspace import PROBLEM, Workspace
from mlguide_assets.retrain.ticks import ticks_of
from mlguide_assets_tests.defs.house import DAY, House

JANUARY = datetime(2026, 1, 1)
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


@pytest.mark.parametrize("sensor", [retrain_daily, retrain_on_new_outcomes], ids=lambda each: str(each.name))
def test_the_default_world_ticks_by_its_own_days(sensor: dg.SensorDefinition, house: House) -> None:
    assert waits(house, sensor) == "Nothing was read yet."
    house.land(3, 900, last=date(2026, 1, 3))
    assert waits(house, sensor) == "The world has reached 2026-01-04; ticks begin here."
    assert "No tick of" in waits(house, sensor)
    assert ticks_of(house.home, PROBLEM).ticks() == []
    house.land(20, 900, last=date(2026, 1, 20))
    assert [type(each) for each in house.look(sensor)] == [dg.RunRequest], "more than 5,000 sends have matured"
    (tick,) = ticks_of(house.home, PROBLEM).ticks()
    assert tick["data_until"] == "2026-01-20"
    assert "No tick of" in waits(house, sensor)


def test_a_tick_waits_for_the_run_before_and_for_days_to_be_read_after_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.land(9, 900, last=date(2026, 1, 9))
    house.look(retrain_daily)
    house.land(20, 900, last=date(2026, 1, 20))
    run = house.begin(JOB)
    assert waits(house, retrain_daily) == "A run of the job is under way; the tick waits for its end."
    house.instance.report_run_failed(run)
    house.run(JOB)
    (record,) = house.instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=1)
    assert record.start_time is not None
    assert record.end_time is not None
    took = record.end_time - record.start_time
    now = datetime.fromtimestamp(record.end_time + took, UTC)
    monkeypatch.setattr(timetable, "zoned_now", lambda: now)
    assert "so that days are read meanwhile" in waits(house, retrain_daily)
    now = datetime.fromtimestamp(record.end_time + 2 * took + 1, UTC)
    assert [type(each) for each in house.look(retrain_daily)] == [dg.RunRequest], "the tick was kept"


def waits(house: House, sensor: object) -> str:
    """Why a schedule requests no run."""
    (skipped,) = house.look(sensor)
    return str(skipped.skip_message)


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
    with (
        dg.DagsterInstance.local_temp() as instance,
        dg.build_schedule_context(instance, resources={"workspace": Workspace()}) as context,
    ):
        assert schedule.evaluate_tick(context).skip_message == "not today"
