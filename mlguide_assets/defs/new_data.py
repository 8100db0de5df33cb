"""What happens when a day arrives: the source is read, and the day that has begun is scored."""

from datetime import UTC, date, datetime

import dagster as dg

from mlguide_assets.defs.days import known_days
from mlguide_assets.defs.run_requests import (
    AGAIN_AFTER,
    IS_READ,
    LOOK_EVERY,
    READING,
    Answer,
    newest_run,
    own_runs,
    reading,
    run_request,
    under_way,
)
from mlguide_assets.defs.train import AlarmSettings
from mlguide_assets.defs.workspace import PROBLEM, RUN_TAGS, Workspace, keys_of
from mlguide_assets.instants import is_over

_DECISION = PROBLEM.decision
SCORED = (
    *(*_DECISION.store_tables.values(), "online_store", "batch_predictions", _DECISION.plan_table),
    *(("experiment_assignments", str(_DECISION.best_table), "exposures") if _DECISION.choose else ()),
)
READ = (
    *(*PROBLEM.tables, "contract_results", "quarantined_rows"),
    *(PROBLEM.core_table, PROBLEM.features_table, "landed_days"),
    *("prediction_log", "request_faults", "online_parity", "serving_health"),
    *("model_performance", "estimated_performance", "performance_gap", "performance_verdicts"),
    *(("experiment_results", "offline_and_online", "canary_steps") if _DECISION.choose else ()),
    *("champion_watch", "champion_rollback", "retraining_decisions"),
)

SCORES_COME_FIRST = dg.SkipReason("The day that was read last is scored first.")

refresh_job = dg.define_asset_job(
    "refresh_job",
    selection=keys_of(*READ),
    tags=RUN_TAGS,
    # Examining takes longer than all else that a new day needs: the training does it.
    config=dg.RunConfig(ops={"leakage_alarms": AlarmSettings(known_only=True)}),
    description="Read the source, validate it, compute features, land the prediction log, and look at the champion.",
)
scoring_job = dg.define_asset_job(
    "scoring_job",
    selection=keys_of(*SCORED),
    tags=RUN_TAGS,
    description=f"Publish the newest features online, and score {PROBLEM.scored_in_words}, for one day.",
)


@dg.sensor(
    job=refresh_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Reads the source as often as retraining.refresh_every of the problem file says.",
)
def refresh_on_new_day(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
    from mlguide_assets.retrain.new_data import reading_due

    if not workspace.lake.exists("candidate_model"):
        # What follows a reading looks at what a training made.
        return dg.SkipReason("Nothing was trained here yet: 'mlguide run' begins.")
    now, problem = datetime.now(UTC), workspace.problem
    due = reading_due(problem, workspace.home.simulation_clock(problem.key), now)
    if due is None:
        return dg.SkipReason("The clock of the simulated world does not run, so nothing new can come.")
    # In a world that is faster than its runs a reading would always be waiting, and no day ever be scored.
    if scores_come_first(context.instance, workspace, now):
        return SCORES_COME_FIRST
    return run_request(context.instance, "refresh_job", f"{problem.key} {due}", now)


def scores_come_first(instance: dg.DagsterInstance, workspace: Workspace, now: datetime) -> bool:
    """Whether the day that was read last is still to be scored: for a while, what takes its turn waits for that."""
    from mlguide_assets.retrain.new_data import scores_due

    newest = [newest_run(instance, job) for job in READING]
    read = max((record.end_time for record in newest if record and record.end_time), default=0.0)
    # Scoring that does not come about must not keep the source from being read.
    if is_over(AGAIN_AFTER, since=datetime.fromtimestamp(read, UTC), now=now):
        return False
    if under_way(instance, "scoring_job"):
        return True
    due = scores_due(workspace.home, workspace.lake, workspace.problem, now)
    if due is None:
        return False
    return isinstance(run_request(instance, "scoring_job", _reason(workspace, due[1]), now), dg.RunRequest)


def _reason(workspace: Workspace, scores: str) -> str:
    return f"{workspace.problem.key} {scores}"


@dg.sensor(
    job=scoring_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Scores a day when it begins, and again when its data or the champion have changed, or when the online "
    "store has lost its features.",
)
def score_on_new_day(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
    from mlguide_assets.retrain.new_data import scores_due

    now = datetime.now(UTC)
    if reading(context.instance):
        return IS_READ
    due = scores_due(workspace.home, workspace.lake, workspace.problem, now)
    if due is None:
        return dg.SkipReason("There is no champion, or nothing was read yet.")
    day, reason = due
    known_days(context.instance, workspace)
    reason = _reason(workspace, reason) + _lost(context.instance, workspace, day, now)
    return run_request(context.instance, "scoring_job", reason, now, partition_key=day)


def _lost(instance: dg.DagsterInstance, workspace: Workspace, day: str, now: datetime) -> str:
    """What the reason ends with where the online store has lost what the last scoring published: another each time."""
    from mlguide_assets.deploy.online_store.publishing import is_published

    done = own_runs(instance, "scoring_job", statuses=[dg.DagsterRunStatus.SUCCESS])
    # Where runs publish to another store than this process looks at, it would never end; so it begins seldom.
    if not done or not is_over(AGAIN_AFTER, since=datetime.fromtimestamp(done[0].end_time or 0, UTC), now=now):
        return ""
    return (
        "" if is_published(workspace.online_store, date.fromisoformat(day)) else f" lost {done[0].dagster_run.run_id}"
    )
