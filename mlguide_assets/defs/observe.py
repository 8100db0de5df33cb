"""Observe: what the running system does, held against what it should do."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from mlguide_assets.defs.announcing import announce
from mlguide_assets.defs.days import known_days, today
from mlguide_assets.defs.ended_runs import (
    is_done_since,
    is_no_earlier,
    is_told_of_here,
    until_done,
    why_it_failed,
    work_of,
)
from mlguide_assets.defs.run_requests import IS_READ, LOOK_EVERY, REASON, Answer, reading, run_request_for_range
from mlguide_assets.defs.workspace import (
    OWNERS,
    PROBLEM,
    RUN_TAGS,
    SCORING_DATES,
    Workspace,
    is_watched_here,
    key_of,
    keys_of,
    other_problem,
)

GROUP = "observe"
DECISION = PROBLEM.decision
FEATURES = {"features": dg.AssetIn(PROBLEM.features_table)}
# Decisions at cut-offs are computed once; what each event decides is the event itself.
DECIDED = [] if DECISION.is_event else [PROBLEM.core_table]
EVENTS = PROBLEM.schema.tables_of_event(PROBLEM.deciding_event)
EACH_DAY = {"mlguide/each-day": "true"}
"""Assets that a sensor has made for every day that lands, and `mlguide run` leaves out."""


@dg.asset(
    deps=[*PROBLEM.schema.ordered, "feature_declarations"], group_name=GROUP, kinds={"parquet", "ibis"}, owners=OWNERS
)
def online_parity(workspace: Workspace, prediction_log: Any) -> dg.Output[Any]:
    """How many logged values of each feature differ from the same computed offline, as of the same instants."""
    from mlguide_assets.observe.online_parity import online_parity

    parity = online_parity(prediction_log, workspace.lake, workspace.problem)
    return dg.Output(parity.table, metadata={"vectors": parity.rows, "beyond_comparison": parity.beyond})


@dg.asset_check(
    asset=key_of("online_parity"),
    description="Every logged feature equals what is computed offline as of the same instants, but for rounding "
    "(1e-9 of the value).",
)
def logged_features_agree(online_parity: Any) -> dg.AssetCheckResult:
    from mlguide_assets.observe.online_parity import parity_verdict

    verdict = parity_verdict(online_parity)
    return dg.AssetCheckResult(
        passed=not verdict.differing,
        description=verdict.sentence,
        metadata={"differing": ", ".join(verdict.differing) or "none"},
    )


@dg.asset(
    deps=[*EVENTS, *DECIDED],
    group_name=GROUP,
    kinds={"parquet", "ibis"},
    owners=OWNERS,
    description=f"How many {DECISION.plural} each day has, and digests of them and of their final outcomes: they show "
    "that it changed.",
)
def landed_days(workspace: Workspace) -> Any:
    from mlguide_assets.observe.rows import landed_days

    read = workspace.lake.open
    return landed_days({name: read(name) for name in EVENTS}, PROBLEM, *map(read, DECIDED))


@dg.asset(
    group_name=GROUP,
    kinds={"parquet", "evidently"},
    owners=OWNERS,
    partitions_def=SCORING_DATES,
    # Evidently takes longer to import than to report on a day.
    backfill_policy=dg.BackfillPolicy.single_run(),
    tags=EACH_DAY,
    deps=[PROBLEM.features_table, "champion_model"],
    description=f"The day's {DECISION.plural}, and the requests to the API, compared with the champion's reference "
    "profile, column by column.",
)
def data_drift(
    context: dg.AssetExecutionContext, workspace: Workspace, prediction_log: Any, landed_days: Any
) -> dg.Output[Any]:
    from mlguide_assets.deploy.bundle import champion
    from mlguide_assets.observe.drift.data_drift import check_days, no_drift
    from mlguide_assets.observe.drift.reports import report_if_due
    from mlguide_assets.observe.freshness.new_days import days_of_run

    problem, lake, current = workspace.problem, workspace.lake, champion(workspace.home.bundles(workspace.problem.key))
    if current is None:
        return dg.Output(dict.fromkeys(context.partition_keys, no_drift()), metadata={"level": "no champion"})
    requested, landed = [*map(date.fromisoformat, context.partition_keys)], landed_days.to_pyarrow().to_pylist()
    days = days_of_run(
        requested, landed, lake, current, problem, today=today(workspace), only_changed=REASON in context.run.tags
    )
    features, reports = lake.open(problem.features_table), workspace.home.drift_reports(problem.key)
    with lake.scratch("What is compared") as scratch:
        checked = check_days(
            days, lake.engine, features=features, prediction_log=prediction_log, landed=landed_days,
            champion=current, problem=problem, scratch=scratch, reports=reports,
        )  # fmt: skip
    for day, drift in checked.items():
        context.add_asset_metadata({"level": drift.level, "verdict": drift.sentence}, partition_key=day.isoformat())
    found = {day: drift.level for day, drift in checked.items()}
    path = report_if_due(found, lake, features=features, champion=current, problem=problem, reports=reports)
    metadata: dict[str, Any] = {"days_tested": len(checked)}
    metadata |= {"report": dg.MetadataValue.path(str(path))} if path else {}
    return dg.Output({day.isoformat(): drift.table for day, drift in checked.items()}, metadata=metadata)


@dg.asset_check(asset=key_of("data_drift"), description="No column of the last tested day calls for action.")
def no_feature_drift(workspace: Workspace) -> dg.AssetCheckResult:
    from mlguide_assets.observe.drift.table import last_verdict

    verdict = last_verdict(workspace.lake)
    return dg.AssetCheckResult(
        passed=verdict["level"] != "act",
        severity=dg.AssetCheckSeverity.WARN,
        description=verdict["reason"],
        metadata={"day": verdict["day"], "level": verdict["level"]},
    )


@dg.multi_asset(
    name="performance",
    outs={
        name: dg.AssetOut(description=text, group_name=GROUP, kinds={"parquet"}, owners=OWNERS)
        for name, text in {
            "model_performance": f"How good the champion was on {DECISION.plural} that it had not learned from, "
            "by day and slice.",
            "estimated_performance": "Performance that the champion's own probabilities imply, without labels.",
            "performance_gap": "Realised minus estimated performance: beyond covariate shift, so concept drift.",
            "performance_verdicts": "Whether the last windows are as good as the champion was at training, and why.",
        }.items()
    },
    ins=FEATURES,
    deps=["champion_model"],
)
def performance(workspace: Workspace, features: Any) -> Iterator[dg.Output[Any]]:
    """Realised and estimated performance of the champion, day by day."""
    from dataclasses import asdict

    from mlguide_assets.deploy.bundle import champion
    from mlguide_assets.deploy.gate.holdout_record import kept_predictions
    from mlguide_assets.observe.performance.model_performance import watch_performance, watched_before

    current = champion(workspace.home.bundles(workspace.problem.key))
    predictions = kept_predictions(workspace.lake, current.version) if current else None
    before = watched_before(workspace.lake)
    watched = watch_performance(features, predictions, current, workspace.problem, before=before)
    for name in asdict(watched):
        yield dg.Output(getattr(watched, name), output_name=name)


@dg.asset_check(
    asset=key_of("performance_verdicts"),
    additional_deps=[key_of("landed_days")],
    description="The champion has not dropped significantly more than watching.max_drop since training.",
)
def performance_holds(workspace: Workspace, performance_verdicts: Any) -> dg.AssetCheckResult:
    from mlguide_assets.observe.freshness.landed import landed_rows
    from mlguide_assets.observe.freshness.missing_outcomes import age_of_performance

    last = next(reversed(performance_verdicts.to_pyarrow().to_pylist()), None)
    if last is None:
        return dg.AssetCheckResult(passed=True, description="No outcome of a champion has matured yet.")
    age = age_of_performance(date.fromisoformat(last["day"]), landed_rows(workspace.lake)) if last["day"] else None
    return dg.AssetCheckResult(
        passed=last["verdict"] != "dropped",
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{last['reason']} {age}" if age else last["reason"],
        metadata={"verdict": last["verdict"], "day": last["day"]},
    )


@dg.asset(
    ins=FEATURES,
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    deps=["champion_model", "performance_verdicts"],
    description=f"A new champion compared with the one before, on the {DECISION.plural} since both were trained.",
)
def champion_watch(workspace: Workspace, features: Any) -> dg.Output[Any]:
    from mlguide_assets.observe.performance.champion_watch import watch_champion

    watch = watch_champion(workspace.home, workspace.lake, workspace.problem, features)
    return dg.Output(watch.table(), metadata={"verdict": watch.verdict, "reason": watch.reason})


@dg.asset(deps=["promotion_decisions"], group_name=GROUP, kinds={"parquet", "ibis"}, owners=OWNERS)
def serving_health(workspace: Workspace, prediction_log: Any) -> Any:
    """The API by day: requests, latency, decisions, age of features and model, by endpoint and version."""
    from mlguide_assets.deploy.gate.history import training_times
    from mlguide_assets.observe.serving_health import serving_health

    return serving_health(prediction_log, training_times(workspace.lake), DECISION)


drift_job = dg.define_asset_job(
    "drift_job",
    selection=keys_of("data_drift"),
    tags=RUN_TAGS,
    description="Test the days that have landed against the reference.",
)


@dg.sensor(
    job=drift_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Compares each day that has landed, or landed again, with the champion's reference.",
)
def check_drift_on_new_data(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
    from datetime import UTC, datetime

    from mlguide_assets.observe.freshness.new_days import days_to_check

    if reading(context.instance):
        return IS_READ
    days = days_to_check(workspace.home, workspace.lake, workspace.problem, today=today(workspace))
    if days:
        # A range names days that Dagster must know of.
        known_days(context.instance, workspace)
    return run_request_for_range(context.instance, "drift_job", days, datetime.now(UTC))


@dg.asset_check(
    asset=key_of("online_store"),
    description="The features that are published online are no older than serving.stale_after, by the problem's clock.",
)
def features_are_fresh(workspace: Workspace) -> dg.AssetCheckResult:
    from mlguide_assets.defs.metadata import rounded
    from mlguide_assets.deploy.serving.instants import in_days, now_of

    snapshot, problem = workspace.online_store.current(), workspace.problem
    if snapshot is None:
        return dg.AssetCheckResult(passed=False, description="Nothing is published online.")
    published = snapshot.publication.as_of
    age = now_of(problem, published) - published
    return dg.AssetCheckResult(
        passed=age <= problem.serving.stale_after,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The features are of {published.isoformat()}, {in_days(age)} old.",
        metadata=rounded({"hours": age.total_seconds() / 3600}),
    )


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=LOOK_EVERY,
    description="Opens an alert when drift calls for action on two days in a row, and closes it after a week without.",
)
def alert_on_drift(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SkipReason:
    from datetime import UTC, datetime

    from mlguide_assets.observe.alerts.alert import drift_key
    from mlguide_assets.observe.alerts.alerting import book_of, drift_alert, retry
    from mlguide_assets.observe.drift.table import TRAFFIC, verdicts
    from mlguide_assets.retrain.trigger_state import experimented_days

    now, found = datetime.now(UTC), verdicts(workspace.lake)
    retry(book_of(workspace.home, workspace.problem), now)
    chosen = experimented_days(workspace.lake)
    alerts = {drift_key(source): drift_alert(found, source, chosen) for source in (DECISION.plural, TRAFFIC)}
    return announce(context, workspace, alerts, now)


# All code locations: runs of 'mlguide run' have none, and are reported like any other.
@dg.run_failure_sensor(
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Opens an alert for a run that failed: in the log of alerts, and by webhook where one is set.",
)
@until_done()
def alert_on_failure(context: dg.RunFailureSensorContext, workspace: Workspace) -> None:
    from datetime import UTC, datetime

    from mlguide_assets.observe.alerts.alerting import book_of, raise_or_resolve
    from mlguide_assets.observe.alerts.failed_runs import failed_run_alert, failing_since

    run, now = context.dagster_run, datetime.now(UTC)
    if not is_watched_here(run, workspace.home):
        return
    work = work_of(context.instance, run, other_problem(run))
    if is_done_since(context.instance, run, work, workspace.home):
        return
    book = book_of(workspace.home, workspace.problem)
    why, since = why_it_failed(context, workspace.source), failing_since(work, book, now)
    alert = failed_run_alert(work, run.run_id, why, since)
    raise_or_resolve(book, alert.key, alert, now)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Closes the alerts of what had failed and is done now.",
)
@until_done()
def resolve_after_success(context: dg.RunStatusSensorContext, workspace: Workspace) -> None:
    from datetime import UTC, datetime

    from mlguide_assets.observe.alerts.alerting import book_of, raise_or_resolve
    from mlguide_assets.observe.alerts.failed_runs import Work

    run, book = context.dagster_run, book_of(workspace.home, workspace.problem)
    failed = [incident for incident in book.incidents() if incident.alert.kind == "failure"]
    if not failed or not is_told_of_here(run, workspace.home):
        return
    done = work_of(context.instance, run, other_problem(run))
    for incident in failed:
        facts = incident.alert.facts
        if done.makes_up_for(Work.from_facts(facts)) and is_no_earlier(context.instance, run, facts.get("run_id")):
            raise_or_resolve(book, incident.key, None, datetime.now(UTC))
