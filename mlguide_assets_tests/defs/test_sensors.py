"""Every sensor and schedule, called on rows as the assets write them: what each asks for, tells, and why it does not.

Whether an answer is the right one is tested where it is decided (`retrain/`, `observe/`); that the daemon acts on it,
in `retrain/test_daemon.py`.
"""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.defs import new_data, observe, retrain, workspace
from mlguide_assets.defs.run_requests import REASON
from mlguide_assets.defs.workspace import PROBLEM, Workspace
from mlguide_assets.observe.alerting import book_of
from mlguide_assets.observe.data_drift import SCHEMA as DRIFT
from mlguide_assets.observe.performance_verdict import VERDICTS_SCHEMA
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.prepare.sources.simulation_clock import WORLD_TIME_VARIABLE
from mlguide_assets.retrain.ticks import RUN, Tick, ticks_of
from mlguide_assets.settings import Home

REACHED = date(2026, 1, 10)
"""The day that the simulated world has reached: the one before is the last whole day."""


class House:
    """A home of the default problem, in a world that has reached a day, and the runs that there were."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.home, self.instance = Home(folder), instance
        self.lake = Lake(self.home.lake(PROBLEM.key))

    def land(self, days: int = 30, rows: int = 10) -> None:
        """The last days, each with so many sends, whose digest depends on them."""
        landed = [REACHED - timedelta(days=back) for back in range(days, 0, -1)]
        columns = {"day": landed, "rows": [rows] * days, "digest": [str(rows)] * days}
        self.lake.write("landed_days", pa.table({**columns, "outcomes": pa.nulls(days, pa.string())}))
        self.lake.write("user_emails", pa.table({"user_id": [rows]}))

    def train(self, until: date) -> None:
        """A candidate that has learned up to a day."""
        self.lake.write("candidate_model", pa.table({"facts": [json.dumps({"refit_until": until.isoformat()})]}))

    def install(self, version: str = "3", reference_ends: date = date(2026, 1, 7)) -> None:
        """A champion whose reference for drift ends on a day."""
        bundles = self.home.bundles(PROBLEM.key)
        (bundles / version).mkdir(parents=True)
        (bundles / version / "metadata.json").write_text(json.dumps({"test_last": reference_ends.isoformat()}))
        (bundles / "champion.json").write_text(json.dumps({"version": version, "manifest": "0" * 64}))

    def note_drift(self, day: date, level: str) -> None:
        """A day whose sends as a whole, scores, and most important feature drift as much as `level` says."""
        shared = {"day": day.isoformat(), "source": "sends", "model_version": "3", "level": level, "rows": 900}
        rows = [
            {**shared, "column": column, "importance": 1.0, "reason": f"It is {level}."}
            for column in ("(all)", "probability", "theme")
        ]
        self.lake.write_partition("data_drift", day.isoformat(), small_table(rows, DRIFT))

    def measure(self, *verdicts: str) -> None:
        """Verdicts on the champion's performance, of one window a day."""
        rows = [
            {"day": f"2026-01-{at + 1:02d}", "verdict": verdict, "difference": -0.1, "reason": f"It has {verdict}."}
            for at, verdict in enumerate(verdicts)
        ]
        table = small_table(rows, VERDICTS_SCHEMA)
        version = pa.array(["3"] * len(rows), pa.string())
        self.lake.write("performance_verdicts", table.append_column("model_version", version))

    def run(self, job: str, *, ended: bool = True, fails: bool = False, **tags: str) -> Any:
        """A run of the daemon's, which has ended or goes on."""
        made = dg.GraphDefinition(name=job, node_defs=[fail if fails else work]).to_job(name=job)
        if not ended:
            return self.instance.create_run_for_job(made, status=dg.DagsterRunStatus.STARTED)
        return made.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    @property
    def resources(self) -> dict[str, Any]:
        return {"workspace": Workspace(root=str(self.home.root))}

    def look(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> tuple[list[Any], str | None]:
        """What a sensor answers: requests for runs or the reason for none, and its cursor."""
        context = dg.build_sensor_context(instance=self.instance, cursor=cursor, resources=self.resources)
        answer: Any = sensor(context)
        return [answer] if isinstance(answer, dg.RunRequest | dg.SkipReason) else list(answer), context.cursor

    def tick(self, schedule: Any) -> Any:
        """What a schedule that follows the world answers on the day that has been reached."""
        (answer,), _ = self.look(schedule, cursor=(REACHED - timedelta(days=1)).isoformat())
        return answer

    def told_of_end(self, sensor: Any, run: Any, kind: dg.DagsterEventType) -> None:
        """Have a sensor look at the end of a run."""
        (event,) = [each for each in run.all_events if each.event_type == kind]
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=event,
            dagster_instance=self.instance,
            dagster_run=run.dagster_run,
            resources=self.resources,
        )
        sensor(context.for_run_failure() if kind == dg.DagsterEventType.RUN_FAILURE else context)

    @property
    def incidents(self) -> list[str]:
        return [incident.key for incident in book_of(self.home, PROBLEM).incidents()]


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


@pytest.fixture
def house(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv(WORLD_TIME_VARIABLE, REACHED.isoformat())
    return House(tmp_path, instance)


# The daily work


def test_a_home_that_never_ran_is_not_read(house: House) -> None:
    assert house.look(new_data.refresh_on_new_day)[0] == []


def test_the_source_is_read_once_for_each_day_of_the_world(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.train(REACHED)
    (request,) = house.look(new_data.refresh_on_new_day)[0]
    assert request.tags[REASON].endswith("2026-01-10")
    house.run("refresh_job", **{REASON: request.tags[REASON]})
    assert house.look(new_data.refresh_on_new_day)[0] == []
    monkeypatch.setenv(WORLD_TIME_VARIABLE, "2026-01-11")
    assert len(house.look(new_data.refresh_on_new_day)[0]) == 1


def test_a_world_that_stands_still_is_not_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.train(REACHED)
    monkeypatch.delenv(WORLD_TIME_VARIABLE)
    monkeypatch.setattr(workspace, "PROBLEM", PROBLEM.model_copy(update={"source": SimulatorSource()}))
    assert house.look(new_data.refresh_on_new_day)[0] == []


def test_the_day_that_has_begun_is_scored_once_for_its_data_and_champion(house: House) -> None:
    house.land()
    assert house.look(new_data.score_on_new_day)[0] == [], "there is no champion"
    house.install()
    (request,) = house.look(new_data.score_on_new_day)[0]
    assert request.partition_key == "2026-01-10"
    house.run("scoring_job", **{REASON: request.tags[REASON]})
    assert house.look(new_data.score_on_new_day)[0] == []
    house.land(rows=11)
    assert len(house.look(new_data.score_on_new_day)[0]) == 1


def test_whole_days_after_the_reference_are_checked_for_drift_in_one_run(house: House) -> None:
    house.land()
    assert house.look(observe.check_drift_on_new_data)[0] == [], "there is no champion"
    house.install()
    (request,) = house.look(observe.check_drift_on_new_data)[0]
    tags = {name.removeprefix("dagster/asset_partition_"): day for name, day in request.tags.items()}
    assert (tags["range_start"], tags["range_end"]) == ("2026-01-08", "2026-01-09")
    house.run("drift_job", **{REASON: request.tags[REASON]})
    assert house.look(observe.check_drift_on_new_data)[0] == []


@pytest.mark.parametrize("sensor", [new_data.score_on_new_day, observe.check_drift_on_new_data], ids=lambda it: it.name)
@pytest.mark.parametrize("job", ["refresh_job", "retraining_job"])
def test_nothing_looks_at_tables_that_are_being_written(house: House, sensor: dg.SensorDefinition, job: str) -> None:
    house.land()
    house.install()
    assert house.look(sensor)[0]
    house.run(job, ended=False)
    assert house.look(sensor)[0] == []


# Retraining


def noted(house: House) -> list[tuple[str, str]]:
    return [(tick["trigger"], tick["decision"]) for tick in ticks_of(house.home, PROBLEM).ticks()]


def test_the_daily_schedule_trains_where_anything_has_matured(house: House) -> None:
    house.land()
    house.train(until=date(2026, 1, 2))
    assert house.tick(retrain.retrain_daily).skip_message.startswith("0 sends have matured")
    house.train(until=date(2025, 12, 31))
    request = house.tick(retrain.retrain_daily)
    assert request.run_key == request.tags[retrain.TICK]
    assert noted(house) == [("daily", "wait"), ("daily", "run")]


def test_the_other_schedule_trains_where_enough_has_matured(house: House) -> None:
    house.train(until=date(2025, 12, 31))
    house.land(rows=PROBLEM.retraining.min_new_matured - 1)
    assert "4,999 sends have matured" in house.tick(retrain.retrain_on_new_outcomes).skip_message
    house.land(rows=PROBLEM.retraining.min_new_matured)
    assert retrain.TICK in house.tick(retrain.retrain_on_new_outcomes).tags
    assert noted(house) == [("new_outcomes", "wait"), ("new_outcomes", "run")]


def test_drift_of_the_scores_two_days_in_a_row_trains(house: House) -> None:
    house.land()
    house.install()
    house.note_drift(date(2026, 1, 8), "act")
    (waits,), _ = house.look(retrain.retrain_on_drift)
    assert waits.skip_message == "Of version 3, 1 days were tested for drift; 2 are needed."
    house.note_drift(date(2026, 1, 9), "act")
    (request,), _ = house.look(retrain.retrain_on_drift)
    assert retrain.TICK in request.tags
    assert noted(house) == [("drift", "wait"), ("drift", "run")]


def test_a_drop_of_performance_that_lasts_for_a_window_trains(house: House) -> None:
    house.land()
    house.install()
    house.measure("held", "dropped")
    (waits,), _ = house.look(retrain.retrain_on_performance_drop)
    assert waits.skip_message == "Not for 7 days yet: It has dropped."
    house.measure(*["dropped"] * 8)
    (request,), _ = house.look(retrain.retrain_on_performance_drop)
    assert retrain.TICK in request.tags
    assert noted(house) == [("performance_drop", "wait"), ("performance_drop", "run")]


def test_no_trigger_looks_while_a_model_is_trained(house: House) -> None:
    house.land()
    house.run("retraining_job", ended=False)
    answers = [house.tick(each) for each in (retrain.retrain_daily, retrain.retrain_on_new_outcomes)]
    for sensor in (retrain.retrain_on_drift, retrain.retrain_on_performance_drop):
        answers += house.look(sensor)[0]
    waits = "A run of the job is under way; the tick waits for its end."
    assert [answer.skip_message for answer in answers] == [waits, waits, *["A retraining is under way."] * 2]
    assert noted(house) == []


def test_a_training_that_failed_is_on_record_where_a_trigger_asked_for_it(house: House) -> None:
    key = ticks_of(house.home, PROBLEM).note(Tick("daily", RUN, "Ten have matured."), data_until=REACHED)
    for tags in ({}, {retrain.TICK: key}):
        run = house.run("retraining_job", fails=True, **tags)
        house.told_of_end(retrain.note_failed_retraining, run, dg.DagsterEventType.RUN_FAILURE)
        (tick,) = ticks_of(house.home, PROBLEM).ticks()
        assert tick.get("outcome") == ("failed" if tags else None)


# Telling people


def test_a_failed_run_is_reported_until_the_job_works_again(house: House) -> None:
    run = house.run("refresh_job", fails=True)
    house.told_of_end(observe.alert_on_failure, run, dg.DagsterEventType.RUN_FAILURE)
    assert house.incidents == ["failure-refresh_job"]
    for job, left in (("scoring_job", ["failure-refresh_job"]), ("refresh_job", [])):
        house.told_of_end(observe.resolve_after_success, house.run(job), dg.DagsterEventType.RUN_SUCCESS)
        assert house.incidents == left


def test_drift_is_reported_after_two_days_in_a_row_and_when_it_is_over(house: House) -> None:
    (nothing,), cursor = house.look(observe.alert_on_drift)
    assert (nothing.skip_message, cursor) == ("No day was tested since the last look.", None)
    for day, level, expected in ((7, "act", []), (8, "act", ["drift-sends"]), (9, "none", [])):
        house.note_drift(date(2026, 1, day), level)
        (looked,), cursor = house.look(observe.alert_on_drift, cursor)
        assert looked.skip_message == f"Looked at the days up to 2026-01-0{day}."
        assert house.incidents == expected
    assert house.look(observe.alert_on_drift, cursor)[0][0].skip_message == "No day was tested since the last look."


def test_a_drop_is_reported_once_and_when_it_is_over(house: House) -> None:
    house.install()
    (nothing,), cursor = house.look(retrain.alert_on_performance)
    assert nothing.skip_message == "Open: nothing."
    house.measure(*["dropped"] * 8)
    (looked,), cursor = house.look(retrain.alert_on_performance, cursor)
    assert looked.skip_message == "Open: performance-drop."
    assert house.incidents == ["performance-drop"]
    (again,), cursor = house.look(retrain.alert_on_performance, cursor)
    assert again.skip_message == "Nothing has changed since the last look."
    house.measure(*["dropped"] * 8, "held")
    house.look(retrain.alert_on_performance, cursor)
    assert house.incidents == []


def test_all_of_them_are_tested_here() -> None:
    """A sensor or schedule that is added must be called in this file; `test_timetable.py` has when they tick."""
    made = [each for module in (new_data, observe, retrain) for each in vars(module).values()]
    names = {each.name for each in made if isinstance(each, dg.SensorDefinition | dg.ScheduleDefinition)}
    source = Path(__file__).read_text()
    assert len(names) == 12
    assert {name for name in names if f".{name}" not in source} == set()
