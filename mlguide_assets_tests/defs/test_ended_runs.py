"""What is told of a run that failed: why, about what, and until what was done."""

import ast
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

import mlguide_assets
from mlguide_assets.defs import ended_runs, observe, retrain
from mlguide_assets.defs.run_requests import REASON
from mlguide_assets.defs.workspace import PROBLEM
from mlguide_assets.deploy.online_store.store import DamagedError, StoreError
from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.observe.alerts.failed_runs import PROCESS_GONE, Work
from mlguide_assets.retrain.ticks import RUN, Tick, ticks_of
from mlguide_assets_tests.defs.house import REACHED, House

TOLD = [
    (True, "ingest: RuntimeError: the source is down"),
    (InputError("tickets has no column 'opened'."), "tickets has no column 'opened'."),
    (StoreError("The online store cannot be read."), "The online store cannot be read."),
    (DamagedError("The online store is damaged."), "The online store is damaged."),
    (
        OSError("no route to postgresql://ro:S3cret@host/crm"),
        "ingest: OSError: no route to postgresql://ro:***@host/crm",
    ),
]


@pytest.mark.parametrize(("fails", "told"), TOLD)
def test_an_alert_and_the_record_of_retraining_say_why_a_run_failed(
    fails: bool | Exception, told: str, house: House
) -> None:
    """Dagster's own sentence names the steps only."""
    house.look_at_runs(observe.alert_on_failure)
    key = ticks_of(house.home, PROBLEM).note(Tick("daily", RUN, "Ten have matured."), data_until=REACHED)
    run = house.run("retraining_job", fails=fails, **{retrain.TICK: key})
    house.look_at_runs(observe.alert_on_failure)
    (incident,) = book_of(house.home, PROBLEM).incidents()
    assert incident.alert.happened == f"Run {run.dagster_run.run_id} failed: {told}"
    house.tell_of_failure(retrain.note_failed_retraining, run)
    (tick,) = ticks_of(house.home, PROBLEM).ticks()
    assert tick["outcome_reason"] == told


def test_every_error_that_is_a_sentence_for_people_is_told_as_one() -> None:
    """Dagster's record has the names of errors, not what these are kinds of."""
    classes = [
        node
        for path in sorted(Path(mlguide_assets.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef)
    ]
    kinds = {"InputError"}
    # A kind of a kind may come before it.
    for _ in range(3):
        kinds |= {each.name for each in classes if any(ast.unparse(base) in kinds for base in each.bases)}
    assert kinds == set(ended_runs._REFUSALS)


@pytest.mark.parametrize(
    ("began", "told"), [(True, PROCESS_GONE), (False, "Its process could not be started: 'daemon.log' and ")]
)
def test_of_a_run_that_failed_in_no_step_an_alert_says_what_became_of_its_process(
    began: bool, told: str, house: House
) -> None:
    """Dagster says of both that they were marked as failed from outside the execution context."""
    house.look_at_runs(observe.alert_on_failure)
    run = house.begin("refresh_job")
    if began:
        start = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
        house.instance.report_dagster_event(start, run.run_id)
    house.instance.report_run_failed(run)
    house.look_at_runs(observe.alert_on_failure)
    (incident,) = book_of(house.home, PROBLEM).incidents()
    assert incident.alert.happened.startswith(f"Run {run.run_id} failed: {told}")


def test_of_a_backfill_each_day_that_failed_is_open_until_it_is_done(house: House) -> None:
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)

    def backfill(*days: tuple[int, bool]) -> list[str]:
        for day, fails in days:
            house.materialise("batch_predictions", day=date(2026, 6, day), fails=fails)
        house.look_at_runs(*sensors)
        return house.incidents

    failed = [f"failure-batch_predictions-2026-06-{day}" for day in (20, 21)]
    assert backfill((20, True), (21, True), (22, False)) == failed
    (alert, _) = [incident.alert for incident in book_of(house.home, PROBLEM).incidents()]
    assert alert.title == "A materialisation of batch_predictions for 2026-06-20 failed"
    assert backfill((20, False)) == failed[1:]
    assert backfill((21, False)) == []


def test_a_day_that_could_not_be_scored_stays_open_when_the_next_is(house: House) -> None:
    sensors = (observe.alert_on_failure, observe.resolve_after_success)
    house.look_at_runs(*sensors)
    day, range_ = {"dagster/partition": "2026-06-20"}, {"dagster/asset_partition_range_start": "2026-06-20"}
    range_ |= {"dagster/asset_partition_range_end": "2026-06-20", REASON: "due"}
    house.run("scoring_job", fails=True, **day)
    house.run("drift_job", fails=True, **range_)
    house.look_at_runs(*sensors)
    assert house.incidents == ["failure-scoring_job-2026-06-20", "failure-drift_job"]
    house.run("scoring_job", **{"dagster/partition": "2026-06-21"})
    # A sensor has all days tested that are due: those of its run that failed, unless they are due no more.
    house.run("drift_job", **{**range_, "dagster/asset_partition_range_start": "2026-06-21"})
    house.look_at_runs(*sensors)
    assert house.incidents == ["failure-scoring_job-2026-06-20"]
    house.run("scoring_job", **day)
    house.look_at_runs(*sensors)
    assert house.incidents == []


def test_what_a_job_could_not_make_may_be_made_by_hand(house: House) -> None:
    sensors, day = (observe.alert_on_failure, observe.resolve_after_success), date(2026, 6, 20)
    house.look_at_runs(*sensors)
    house.materialise("batch_predictions", "send_plan", day=day, job="scoring_job", fails=True)
    house.materialise("batch_predictions", day=day)
    house.look_at_runs(*sensors)
    assert house.incidents == ["failure-scoring_job-2026-06-20"], "there is no plan"
    house.materialise("batch_predictions", "send_plan", day=day)
    house.look_at_runs(*sensors)
    assert house.incidents == []


def test_a_backfill_in_one_run_is_of_all_its_days(house: House) -> None:
    days = {"dagster/asset_partition_range_start": "2026-06-20", "dagster/asset_partition_range_end": "2026-06-23"}
    run = house.run("drift_job", **days).dagster_run
    assert ended_runs.work_of(house.instance, run, None) == Work("drift_job", (), "2026-06-20", "2026-06-23")
