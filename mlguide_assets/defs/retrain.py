"""Retrain: what triggers a training, and what is done about a champion that turns out to be worse."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlguide_assets.defs.announcing import announce
from mlguide_assets.defs.ended_runs import until_done, why_it_failed
from mlguide_assets.defs.new_data import SCORED
from mlguide_assets.defs.run_requests import LOOK_EVERY, TICK, Answer, under_way
from mlguide_assets.defs.timetable import ticks_with_the_source
from mlguide_assets.defs.workspace import OWNERS, PROBLEM, RUN_TAGS, Workspace, keys_of

if TYPE_CHECKING:
    from datetime import datetime

    from mlguide_assets.define.problem import Problem
    from mlguide_assets.retrain.ticks import Tick, Trigger
    from mlguide_assets.retrain.trigger_state import TriggerState

GROUP = "retrain"

retraining_job = dg.define_asset_job(
    "retraining_job",
    selection=dg.AssetSelection.all() - keys_of(*SCORED, "data_drift"),
    tags=RUN_TAGS,
    description="Read, validate, compute features, look for leaks, search for the best recipe, train, evaluate, "
    "decide, install. Takes minutes.",
)


@dg.asset(group_name=GROUP, kinds={"python"}, owners=OWNERS)
def champion_rollback(workspace: Workspace, champion_watch: Any) -> dg.MaterializeResult[None]:
    """Brings back the champion before, where champion_watch found the new one significantly worse."""
    from mlguide_assets.observe.performance.champion_watch import Watch
    from mlguide_assets.retrain.decision_alerts import announce_decisions
    from mlguide_assets.retrain.rollback import finish_installation, roll_back_if_worse

    home, problem = workspace.home, workspace.problem
    installed = finish_installation(home, workspace.lake, problem)
    watch = Watch.from_table(champion_watch.to_pyarrow())
    version = roll_back_if_worse(watch, home, problem)
    announce_decisions(home, problem)
    return dg.MaterializeResult(metadata={"rolled_back_to": version or "none", "installed": installed or "none"})


@dg.asset(
    group_name=GROUP, kinds={"parquet"}, owners=OWNERS, deps=["promotion_decisions", "champion_rollback", "landed_days"]
)
def retraining_decisions(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    """Every look of every trigger that led to a training, with its evidence and outcome; and why the others did not."""
    from mlguide_assets.defs.metadata import data_version, table_metadata
    from mlguide_assets.retrain.outcomes import land_decisions

    lake, problem, run = workspace.lake, workspace.problem, context.run
    snapshot = land_decisions(
        workspace.home, lake, problem, run_id=run.run_id, tick=run.tags.get(TICK), started=_started(context)
    )
    return dg.MaterializeResult(
        data_version=data_version(snapshot), metadata=table_metadata(lake, snapshot, problem, None)
    )


def _started(context: dg.AssetExecutionContext) -> "datetime | None":
    from datetime import UTC, datetime

    record = context.instance.get_run_record_by_id(context.run.run_id)
    return datetime.fromtimestamp(record.start_time, UTC) if record and record.start_time else None


def _scheduled(instance: dg.DagsterInstance, workspace: Workspace, trigger: "Trigger") -> Answer:
    """What a schedule answers when it ticks; while a model is trained, `retrain_after_training` answers later."""
    from mlguide_assets.prepare.clock import last_day
    from mlguide_assets.retrain.ticks import AFTER_TRAINING, WAIT, Tick, ticks_of
    from mlguide_assets.retrain.trigger_state import landed
    from mlguide_assets.retrain.triggers import SCHEDULED

    if under_way(instance, "retraining_job"):
        waits = Tick(trigger, WAIT, AFTER_TRAINING)
        ticks_of(workspace.home, workspace.problem).note(waits, data_until=last_day(landed(workspace.lake)))
        return dg.SkipReason(AFTER_TRAINING)
    return _decided(instance, workspace, lambda known: SCHEDULED[trigger](known, workspace.problem))


def _watched(
    instance: dg.DagsterInstance, workspace: Workspace, decide: "Callable[[TriggerState, Problem], Tick]"
) -> Answer:
    """What a sensor answers, which looks again soon."""
    if under_way(instance, "retraining_job"):
        return dg.SkipReason("A retraining is under way.")
    return _decided(instance, workspace, lambda known: decide(known, workspace.problem))


def _decided(instance: dg.DagsterInstance, workspace: Workspace, decide: "Callable[[TriggerState], Tick]") -> Answer:
    """Decide, put it on record, and request a run where that is the decision.

    What was requested and never made, since the daemon was killed or its database away in between, is requested again:
    by the record it was acted on, and evidence would wait for its cool-down.
    """
    from mlguide_assets.retrain.ticks import RUN, ticks_of
    from mlguide_assets.retrain.trigger_state import trigger_state

    home, problem = workspace.home, workspace.problem
    ticks = ticks_of(home, problem)
    known = trigger_state(home, workspace.lake, problem, ticks)
    decided = decide(known)
    requested = ticks.unanswered(decided.trigger)
    if requested and not instance.get_run_records(dg.RunsFilter(tags={TICK: requested}), limit=1):
        return _request(requested)
    key, tick = ticks.request_run(decided, data_until=known.newest)
    return _request(key) if tick.decision == RUN else dg.SkipReason(tick.reason)


def _request(tick: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=tick, tags={TICK: tick})


@ticks_with_the_source(retraining_job, PROBLEM.retraining.daily)
def retrain_daily(instance: dg.DagsterInstance, workspace: Workspace) -> Answer:
    """Trains daily where any outcome has matured since the last training."""
    return _scheduled(instance, workspace, "daily")


@ticks_with_the_source(retraining_job, PROBLEM.retraining.often)
def retrain_on_new_outcomes(instance: dg.DagsterInstance, workspace: Workspace) -> Answer:
    """Trains where retraining.min_new_matured outcomes have matured since the last training."""
    return _scheduled(instance, workspace, "new_outcomes")


@dg.sensor(
    job=retraining_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Decides on the ticks of schedules that came while a model was trained, once that has ended.",
)
def retrain_after_training(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
    from mlguide_assets.retrain.ticks import ticks_of

    put_off = ticks_of(workspace.home, workspace.problem).put_off()
    if not put_off:
        return dg.SkipReason("No tick waits for the end of a training.")
    # One at a time: the training that the first requests may answer the others.
    return _scheduled(context.instance, workspace, put_off[0])


@dg.sensor(
    job=retraining_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Trains where scores and important features have drifted two days in a row.",
)
def retrain_on_drift(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
    from mlguide_assets.retrain.triggers import drift

    return _watched(context.instance, workspace, drift)


@dg.sensor(
    job=retraining_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Trains where the champion has significantly lost more than watching.max_drop, for a whole window.",
)
def retrain_on_performance_drop(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
    from mlguide_assets.retrain.triggers import performance_drop

    return _watched(context.instance, workspace, performance_drop)


@dg.run_failure_sensor(
    monitored_jobs=[retraining_job],
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records that a training which a trigger requested has failed.",
)
@until_done()
def note_failed_retraining(context: dg.RunFailureSensorContext, workspace: Workspace) -> None:
    from mlguide_assets.retrain.outcomes import note_failure

    run = context.dagster_run
    if tick := run.tags.get(TICK):
        home, lake, problem = workspace.home, workspace.lake, workspace.problem
        note_failure(home, lake, problem, run_id=run.run_id, tick=tick, error=why_it_failed(context, workspace.source))


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Opens and closes the alerts on performance drop, concept drift, rollback, aborted canary, missing "
    "outcomes or data, rows lost by the source, and experiments whose plans fail or whose version was withdrawn.",
)
def alert_on_performance(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SkipReason:
    from datetime import UTC, datetime

    from mlguide_assets.retrain.incidents import incidents

    now = datetime.now(UTC)
    found = incidents(workspace.home, workspace.lake, workspace.problem, today=now.date())
    return announce(context, workspace, found, now)
