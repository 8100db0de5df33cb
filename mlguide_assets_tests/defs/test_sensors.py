"""Every sensor and schedule, called on rows as the assets write them: what each asks for, tells, and why it does not.

Whether an answer is the right one is tested where it is decided (`retrain/`, `observe/`); that the daemon acts on it,
in `retrain/test_daemon.py`.
"""

import errno
import os
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from mlguide_assets.define.loading import dump_problem, load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.defs import new_data, observe, retrain, timetable, workspace
from mlguide_assets.defs.run_requests import REASON
from mlguide_assets.defs.tags import PROBLEM_TAG
from mlguide_assets.defs.workspace import PROBLEM, RUN_TAGS
from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.prepare.sources.simulation_clock import WORLD_TIME_VARIABLE
from mlguide_assets.retrain.ticks import AFTER_TRAINING, RUN, Tick, ticks_of
from mlguide_assets_tests.defs.house import REACHED, House

OTHER = load_problem("fraud")


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated world has reached the day."""
    monkeypatch.setenv(WORLD_TIME_VARIABLE, REACHED.isoformat())


# The daily work


def test_a_home_that_never_ran_is_not_read(house: House) -> None:
    assert house.requested(new_data.refresh_on_new_day) == []


def test_the_source_is_read_once_for_each_day_of_the_world(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.train(REACHED)
    (request,) = house.requested(new_data.refresh_on_new_day)
    assert request.tags[REASON].endswith("2026-01-10")
    house.run("refresh_job", **{REASON: request.tags[REASON]})
    assert house.requested(new_data.refresh_on_new_day) == []
    monkeypatch.setenv(WORLD_TIME_VARIABLE, "2026-01-11")
    assert len(house.requested(new_data.refresh_on_new_day)) == 1


def test_a_world_that_stands_still_is_not_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.train(REACHED)
    monkeypatch.delenv(WORLD_TIME_VARIABLE)
    monkeypatch.setattr(workspace, "PROBLEM", PROBLEM.model_copy(update={"source": SimulatorSource()}))
    assert house.requested(new_data.refresh_on_new_day) == []


def test_the_day_that_has_begun_is_scored_once_for_its_data_and_champion(house: House) -> None:
    house.land()
    assert house.requested(new_data.score_on_new_day) == [], "there is no champion"
    house.install()
    (request,) = house.requested(new_data.score_on_new_day)
    assert request.partition_key == "2026-01-10"
    house.run("scoring_job", **{REASON: request.tags[REASON]})
    assert house.requested(new_data.score_on_new_day) == []
    house.land(rows=11)
    assert len(house.requested(new_data.score_on_new_day)) == 1


def test_whole_days_after_the_reference_are_checked_for_drift_in_one_run(house: House) -> None:
    house.land()
    assert house.requested(observe.check_drift_on_new_data) == [], "there is no champion"
    house.install()
    (request,) = house.requested(observe.check_drift_on_new_data)
    tags = {name.removeprefix("dagster/asset_partition_"): day for name, day in request.tags.items()}
    assert (tags["range_start"], tags["range_end"]) == ("2026-01-08", "2026-01-09")
    house.run("drift_job", **{REASON: request.tags[REASON]})
    assert house.requested(observe.check_drift_on_new_data) == []


@pytest.mark.parametrize("sensor", [new_data.score_on_new_day, observe.check_drift_on_new_data], ids=lambda it: it.name)
@pytest.mark.parametrize("job", ["refresh_job", "retraining_job"])
def test_nothing_looks_at_tables_that_are_being_written(house: House, sensor: dg.SensorDefinition, job: str) -> None:
    house.land()
    house.install()
    assert house.requested(sensor)
    house.begin(job)
    assert house.requested(sensor) == []


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
    house.run("retraining_job", **request.tags)
    house.land(known=0)
    assert house.tick(retrain.retrain_daily).skip_message.startswith("0 sends have matured, with a known outcome")
    assert noted(house) == [("daily", "wait"), ("daily", "run"), ("daily", "wait")]


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
    (waits,) = house.look(retrain.retrain_on_drift)
    assert waits.skip_message == "Of version 3, 1 day was tested for drift; 2 are needed."
    house.note_drift(date(2026, 1, 9), "act")
    (request,) = house.look(retrain.retrain_on_drift)
    assert retrain.TICK in request.tags
    # The daemon may be killed, or its database be away, before it has made the run.
    assert house.look(retrain.retrain_on_drift) == [request]
    assert noted(house) == [("drift", "wait"), ("drift", "run")]
    house.run("retraining_job", **request.tags)
    (waits,) = house.look(retrain.retrain_on_drift)
    assert "evidence was acted on at 2026-01-09" in waits.skip_message


def test_a_drop_of_performance_that_lasts_for_a_window_trains(house: House) -> None:
    house.land()
    house.install()
    house.measure("held", "dropped")
    (waits,) = house.look(retrain.retrain_on_performance_drop)
    assert waits.skip_message == "Not for 7 days yet: It has dropped."
    house.measure(*["dropped"] * 8)
    (request,) = house.look(retrain.retrain_on_performance_drop)
    assert retrain.TICK in request.tags
    assert noted(house) == [("performance_drop", "wait"), ("performance_drop", "run")]


def test_no_trigger_looks_while_a_model_is_trained(house: House) -> None:
    house.land()
    house.begin("retraining_job")
    answers = [house.tick(each) for each in (retrain.retrain_daily, retrain.retrain_on_new_outcomes)]
    for sensor in (retrain.retrain_on_drift, retrain.retrain_on_performance_drop):
        answers += house.look(sensor)
    waits = "A run of the job is under way; the tick waits for its end."
    assert [answer.skip_message for answer in answers] == [waits, waits, *["A retraining is under way."] * 2]
    assert noted(house) == []


def test_a_tick_while_a_model_is_trained_is_decided_once_when_that_has_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A schedule of the wall does not wait for the world.
    monkeypatch.setattr(timetable, "_waits", lambda *_: None)
    house.land()
    house.train(until=date(2025, 12, 31))
    house.begin("retraining_job", **{PROBLEM_TAG: OTHER.key})
    requested = house.tick(retrain.retrain_daily)
    assert isinstance(requested, dg.RunRequest), "another problem's training is no reason"
    house.run("retraining_job", **requested.tags)
    (nothing,) = house.look(retrain.retrain_after_training)
    assert nothing.skip_message == "No tick waits for the end of a training."
    run = house.begin("retraining_job", **RUN_TAGS)
    for _ in range(2):
        assert house.tick(retrain.retrain_daily).skip_message == AFTER_TRAINING
        (waits,) = house.look(retrain.retrain_after_training)
        assert waits.skip_message == AFTER_TRAINING
    assert noted(house) == [("daily", "run"), ("daily", "wait")]
    house.instance.report_run_failed(run)
    (request,) = house.look(retrain.retrain_after_training)
    assert request.run_key == request.tags[retrain.TICK] != requested.run_key
    (nothing,) = house.look(retrain.retrain_after_training)
    assert nothing.skip_message == "No tick waits for the end of a training."
    assert noted(house) == [("daily", "run"), ("daily", "wait"), ("daily", "run")]


def test_ticks_of_both_schedules_that_came_during_a_training_may_need_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timetable, "_waits", lambda *_: None)
    house.land()
    run = house.begin("retraining_job")
    for schedule in (retrain.retrain_daily, retrain.retrain_on_new_outcomes):
        house.tick(schedule)
    assert ticks_of(house.home, PROBLEM).put_off() == ["daily", "new_outcomes"]
    house.train(until=REACHED)
    house.instance.report_run_canceled(run)
    answers = [house.look(retrain.retrain_after_training)[0].skip_message for _ in range(3)]
    assert [answer.startswith("0 sends have matured") for answer in answers] == [True, True, False]
    assert noted(house) == [(trigger, "wait") for trigger in ("daily", "new_outcomes") * 2]


def test_a_training_that_failed_is_on_record_where_a_trigger_asked_for_it(house: House) -> None:
    key = ticks_of(house.home, PROBLEM).note(Tick("daily", RUN, "Ten have matured."), data_until=REACHED)
    for tags in ({}, {retrain.TICK: key}):
        run = house.run("retraining_job", fails=True, **tags)
        house.tell_of_failure(retrain.note_failed_retraining, run)
        (tick,) = ticks_of(house.home, PROBLEM).ticks()
        assert tick.get("outcome") == ("failed" if tags else None)


# Telling people


def test_a_failed_run_of_any_code_location_is_reported_until_the_job_works_again(house: House) -> None:
    """Those of `mlguide run` have no code location."""
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)
    for job, fails, open_ in (
        ("refresh_job", True, ["failure-refresh_job"]),
        ("scoring_job", False, ["failure-refresh_job"]),
        ("refresh_job", False, []),
    ):
        house.run(job, fails=fails)
        house.look_at_runs(*sensors)
        assert house.incidents == open_


def test_what_fails_again_and_again_is_said_to_fail_since_the_first_time_with_the_newest_cause(house: House) -> None:
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)
    said = []
    for fails in (InputError("One."), InputError("Two."), False, InputError("Three.")):
        run = house.run("refresh_job", fails=fails).dagster_run.run_id
        house.look_at_runs(*sensors)
        said += [(each.alert.since, each.alert.happened) for each in book_of(house.home, PROBLEM).incidents()]
        assert not fails or run in said[-1][1]
    (first, one), (second, two), (third, _) = said
    assert first == second < third
    assert (one[-4:], two[-4:]) == ("One.", "Two.")


@pytest.mark.parametrize("looked", [(0, 1), (1, 0)], ids=["failures first", "successes first"])
@pytest.mark.parametrize("fails_last", [True, False])
def test_the_later_run_counts_in_whatever_order_both_are_looked_at(
    fails_last: bool, looked: tuple[int, int], house: House
) -> None:
    """After a daemon that was down, or where both end between two looks."""
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)
    for fails in (not fails_last, fails_last):
        house.run("refresh_job", fails=fails)
    house.look_at_runs(*(sensors[each] for each in looked))
    assert house.incidents == ["failure-refresh_job"] * fails_last


def test_a_run_that_was_given_up_and_succeeds_makes_up_for_itself(house: House) -> None:
    """One whose host the database had lost for a moment."""
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)
    run = house.begin("refresh_job")
    house.instance.report_run_failed(run)
    house.look_at_runs(*sensors)
    assert house.incidents == ["failure-refresh_job"]
    done = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, run.job_name)
    house.instance.report_dagster_event(done, run.run_id)
    house.look_at_runs(*sensors)
    assert house.incidents == []


@pytest.mark.parametrize("sensor", [observe.alert_on_failure, retrain.note_failed_retraining], ids=lambda it: it.name)
def test_what_cannot_be_told_now_is_told_later(
    sensor: dg.SensorDefinition, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full disk or a database that is down: Dagster would go on with the next run."""
    ticks = ticks_of(house.home, PROBLEM)
    key = ticks.note(Tick("daily", RUN, "Ten have matured."), data_until=REACHED)
    run = house.run("retraining_job", fails=True, **{retrain.TICK: key})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _full)
        with pytest.raises(dg.DagsterError, match="cannot be written"):
            house.tell_of_failure(sensor, run)
    house.tell_of_failure(sensor, run)
    assert [*house.incidents, ticks.ticks()[0]["outcome"]] in (["failure-retraining_job", None], ["failed"])


def _full(_handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("active", "raised"), [(PROBLEM, True), (OTHER, False)])
def test_a_run_of_a_problem_that_has_no_code_location_raises_its_alert_where_the_home_works(
    active: Problem, raised: bool, house: House
) -> None:
    """A source that is down is another problem, which no run has succeeded with; one of the home's tells by itself."""
    house.home.problems.mkdir()
    for each in (PROBLEM, OTHER):
        (house.home.problems / f"{each.key}.yaml").write_text(dump_problem(each))
    house.home.active_problem.write_text(dump_problem(active))
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)
    house.run("refresh_job", fails=True, **{PROBLEM_TAG: OTHER.key})
    house.run("scoring_job", fails=True, **{PROBLEM_TAG: "one_that_is_down"})
    house.look_at_runs(*sensors)
    assert house.incidents == ["failure-scoring_job-one_that_is_down"] * raised
    # Another incident than the same job's on the problem of the home; it ends with a success of its own.
    house.run("scoring_job", **{PROBLEM_TAG: PROBLEM.key})
    house.look_at_runs(*sensors)
    assert house.incidents == ["failure-scoring_job-one_that_is_down"] * raised
    house.run("scoring_job", **{PROBLEM_TAG: "one_that_is_down"})
    house.look_at_runs(*sensors)
    assert house.incidents == []


def test_where_the_file_of_the_homes_problem_is_broken_the_first_of_the_others_raises_its_alerts(house: House) -> None:
    """And goes on with its own: a run that is never told of would be looked at again for ever."""
    house.home.problems.mkdir()
    (house.home.problems / f"{PROBLEM.key}.yaml").write_text(dump_problem(PROBLEM))
    (house.home.problems / f"{OTHER.key}.yaml").write_text("name: [")
    house.home.active_problem.write_text("name: [")
    house.look_at_runs(observe.alert_on_failure)
    house.run("refresh_job", fails=True, **{PROBLEM_TAG: OTHER.key})
    house.run("scoring_job", fails=True)
    house.look_at_runs(observe.alert_on_failure)
    assert house.incidents == [f"failure-refresh_job-{OTHER.key}", "failure-scoring_job"]


def test_drift_is_reported_after_two_days_in_a_row_and_when_it_is_over(house: House) -> None:
    (nothing,) = house.look(observe.alert_on_drift)
    assert nothing.skip_message == "Open: nothing."
    for day, level, expected in (
        (7, "act", []),
        (8, "act", ["drift-sends"]),
        *((day, "none", ["drift-sends"]) for day in range(9, 15)),
        (15, "none", []),
    ):
        house.note_drift(date(2026, 1, day), level)
        house.look(observe.alert_on_drift)
        assert house.incidents == expected
    (again,) = house.look(observe.alert_on_drift)
    assert again.skip_message == "Nothing has changed since the last look."


def test_the_newest_day_tested_again_is_looked_at_again(house: House) -> None:
    """With a new champion, corrected sources or final outcomes: the day is the same, and its verdict is not."""
    for day in (7, 8):
        house.note_drift(date(2026, 1, day), "act")
    house.look(observe.alert_on_drift)
    assert house.incidents == ["drift-sends"]
    house.note_drift(date(2026, 1, 8), "none", version="4")
    house.look(observe.alert_on_drift)
    assert house.incidents == []


def test_a_drop_is_reported_once_and_when_it_is_over(house: House) -> None:
    house.install()
    (nothing,) = house.look(retrain.alert_on_performance)
    assert nothing.skip_message == "Open: nothing."
    house.measure(*["dropped"] * 8)
    (looked,) = house.look(retrain.alert_on_performance)
    assert looked.skip_message == "Open: performance-drop."
    assert house.incidents == ["performance-drop"]
    (again,) = house.look(retrain.alert_on_performance)
    assert again.skip_message == "Nothing has changed since the last look."
    house.measure(*["dropped"] * 8, "held")
    house.look(retrain.alert_on_performance)
    assert house.incidents == []


def test_outcomes_that_do_not_come_are_reported_until_they_do(house: House) -> None:
    house.land(known=0)
    house.look(retrain.alert_on_performance)
    assert house.incidents == [], "there never was one"
    house.land(unknown=8)
    (looked,) = house.look(retrain.alert_on_performance)
    assert looked.skip_message == "Open: outcomes-missing."
    house.land()
    house.look(retrain.alert_on_performance)
    assert house.incidents == []


def test_drift_of_days_that_are_gone_is_no_evidence(house: House) -> None:
    house.install()
    house.land()
    for day in (8, 9):
        house.note_drift(date(2026, 1, day), "act")
    (request,) = house.look(retrain.retrain_on_drift)
    house.run("retraining_job", **request.tags)
    house.land(last=date(2026, 1, 8))
    assert "1 day was tested" in house.look(retrain.retrain_on_drift)[0].skip_message


def test_all_of_them_are_tested_here_and_say_why_they_are_no_conditions() -> None:
    """A sensor or schedule that is added must be called in this file; `test_timetable.py` has when they tick."""
    made = [each for module in (new_data, observe, retrain) for each in vars(module).values()]
    names = {each.name for each in made if isinstance(each, dg.SensorDefinition | dg.ScheduleDefinition)}
    source = Path(__file__).read_text()
    assert len(names) == 13
    assert {name for name in names if f".{name}" not in source} == set()
    table = (Path(observe.__file__).parent / "README.md").read_text()
    assert {name for name in names if f"| `{name}` |" not in table} == set()
