"""What happens when a day arrives: the source is read, and the day that has begun is scored."""

from collections.abc import Iterator

import dagster as dg

from mlguide_assets.defs.asking import LOOK_EVERY, PRIORITY, reading, unmet
from mlguide_assets.defs.days import known_days
from mlguide_assets.defs.train import AlarmSettings
from mlguide_assets.defs.workspace import Workspace

SCORED = ("user_feature_store", "batch_predictions", "best_email_per_user", "send_plan")
READ = (
    *("user_profiles", "email_content", "user_emails", "contract_results", "quarantined_rows"),
    *("core_users", "send_features", "landed_days"),
    *("prediction_log", "request_faults", "online_parity", "serving_health"),
    *("model_performance", "estimated_performance", "performance_gap", "performance_verdicts"),
    *("champion_watch", "retraining_decisions"),
)

refresh_job = dg.define_asset_job(
    "refresh_job",
    selection=dg.AssetSelection.assets(*READ),
    # Examining takes longer than all else that a new day needs: the training does it.
    config=dg.RunConfig(ops={"leakage_alarms": AlarmSettings(known_only=True)}),
    description="Read the source, judge it, compute features, land the prediction log, and look at the champion.",
    tags={PRIORITY: "3"},
)
scoring_job = dg.define_asset_job(
    "scoring_job",
    selection=dg.AssetSelection.assets(*SCORED),
    description="Publish every user's features online, and score every user with every candidate email, for one day.",
    tags={PRIORITY: "2"},
)


@dg.sensor(
    job=refresh_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Reads the source as often as retraining.refresh_every of the problem file says.",
)
def refresh_on_new_day(context: dg.SensorEvaluationContext, workspace: Workspace) -> Iterator[dg.RunRequest]:
    from datetime import UTC, datetime

    from mlguide_assets.retrain.arrivals import reading_due

    if not workspace.lake.exists("candidate_model"):
        # Nothing was trained here yet: 'mlguide run' begins, and what follows a reading looks at what it made.
        return
    now, problem = datetime.now(UTC), workspace.problem
    due = reading_due(problem, workspace.home.world_clock(problem.key), now)
    if due is not None:
        yield from unmet(context.instance, "refresh_job", f"{problem.key} {due}", now)


@dg.sensor(
    job=scoring_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Scores a day when it begins, and again when its data or the champion have changed.",
)
def score_on_new_day(context: dg.SensorEvaluationContext, workspace: Workspace) -> Iterator[dg.RunRequest]:
    from datetime import UTC, datetime

    from mlguide_assets.retrain.arrivals import scores_due

    now = datetime.now(UTC)
    if reading(context.instance):
        return
    due = scores_due(workspace.home, workspace.lake, workspace.problem, now)
    if due is not None:
        day, reason = due
        known_days(context.instance, workspace)
        yield from unmet(context.instance, "scoring_job", f"{workspace.problem.key} {reason}", now, partition_key=day)
