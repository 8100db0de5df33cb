"""Deploy: registry, gate, champion, feature store, batch predictions."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from mlguide_assets.defs.days import chosen_day, newest_day
from mlguide_assets.defs.workspace import OWNERS, PROBLEM, SCORING_DATES, Workspace, key_of
from mlguide_assets.instants import midnight, now_utc

GROUP = "deploy"
DECISION = PROBLEM.decision
STORES = {f"of_{noun}": dg.AssetIn(table) for noun, table in DECISION.store_tables.items()}


@dg.asset(group_name=GROUP, kinds={"mlflow"}, owners=OWNERS, deps=["model_explanations"])
def registered_model(workspace: Workspace, candidate_model: Any, model_evaluation: Any) -> dg.Output[Any]:
    """The candidate as a version of the registered model: metrics, plots, lineage, alias `challenger`."""
    from mlguide_assets.deploy.registry.registration import register_candidate

    record = register_candidate(workspace.home, workspace.problem, candidate_model, model_evaluation)
    return dg.Output(record, metadata={"version": int(record["version"][0].as_py())})


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    ins={"features": dg.AssetIn(PROBLEM.features_table)},
    deps=list(PROBLEM.schema.ordered),
)
def promotion_decisions(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    registered_model: Any,
    test_predictions: Any,
    model_evaluation: Any,
    slice_metrics: Any,
    group_metrics: Any,
    behaviour_results: Any,
    contract_results: Any,
    features: Any,
) -> dg.MaterializeResult[None]:
    """The gate's answer to every candidate, with reasons: rows are only ever added."""
    from mlguide_assets.defs.metadata import data_version, table_metadata
    from mlguide_assets.deploy.gate.criteria import criteria_table
    from mlguide_assets.deploy.gate.evidence import Tables, gather
    from mlguide_assets.deploy.gate.promotion import decide_and_record
    from mlguide_assets.markdown import listed

    tables = Tables(
        test_predictions,
        model_evaluation,
        slice_metrics,
        group_metrics,
        behaviour_results,
        contract_results,
        features,
    )
    home, lake, problem = workspace.home, workspace.lake, workspace.problem
    version = registered_model.to_pyarrow().to_pylist()[0]
    decision, snapshot = decide_and_record(
        home, lake, problem, version, lambda: gather(home, lake, problem, version, tables), run_id=context.run.run_id
    )
    return dg.MaterializeResult(
        data_version=data_version(snapshot),
        metadata=table_metadata(lake, snapshot, problem, None)
        | {
            "verdict": decision.verdict,
            "promoted": int(decision.verdict == "promoted"),
            "reasons": dg.MetadataValue.md(listed(decision.reasons)),
            "criteria": dg.MetadataValue.md(criteria_table(each.to_json() for each in decision.criteria)),
        },
    )


@dg.asset(group_name=GROUP, kinds={"markdown"}, owners=OWNERS, deps=["promotion_decisions"])
def model_card(
    workspace: Workspace,
    registered_model: Any,
    candidate_model: Any,
    model_evaluation: Any,
    slice_metrics: Any,
    group_metrics: Any,
    behaviour_results: Any,
    contract_results: Any,
    model_explanations: Any,
) -> dg.MaterializeResult[None]:
    """What a version is for, how good it is and for whom, and its limits: Markdown, and HTML that opens offline."""
    from mlguide_assets.defs.metadata import version_of
    from mlguide_assets.deploy.card.documentation import document_version

    card = document_version(
        workspace.home,
        workspace.lake,
        workspace.problem,
        registered_model,
        candidate_model,
        evaluation=model_evaluation,
        slices=slice_metrics,
        groups=group_metrics,
        behaviours=behaviour_results,
        contracts=contract_results,
        explanation=model_explanations,
    )
    return dg.MaterializeResult(
        data_version=version_of(card.text),
        metadata={"html": dg.MetadataValue.path(str(card.html)), "card": dg.MetadataValue.md(card.text)},
    )


@dg.asset(group_name=GROUP, kinds={"xgboost", "mlflow"}, owners=OWNERS, deps=["promotion_decisions"])
def champion_model(workspace: Workspace) -> dg.MaterializeResult[None]:
    """The model in production: its bundle, exported from the registry once the gate has promoted it."""
    from mlguide_assets.defs.metadata import rounded, version_of
    from mlguide_assets.deploy.gate.promotion import install_promoted

    champion = install_promoted(workspace.home, workspace.lake, workspace.problem)
    if champion is None:
        return dg.MaterializeResult(
            data_version=version_of("no champion"),
            metadata={"champion": "no champion", "note": "The gate has promoted nothing yet."},
        )
    return dg.MaterializeResult(
        data_version=version_of(champion.version, champion.lineage),
        metadata={
            "champion": champion.version,
            "version": int(champion.version),
            "trained_at": champion.trained_at,
            "threshold": rounded(champion.threshold),
            "bundle": dg.MetadataValue.path(str(champion.folder)),
        },
    )


@dg.asset(group_name=GROUP, kinds={"xgboost", "mlflow"}, owners=OWNERS, deps=["champion_model"])
def challenger_model(workspace: Workspace) -> dg.MaterializeResult[None]:
    """The version that competes with the champion, if any: the API scores it in shadow."""
    from mlguide_assets.defs.metadata import version_of
    from mlguide_assets.deploy.gate.promotion import install_challenger

    challenger = install_challenger(workspace.home, workspace.lake, workspace.problem)
    version = (challenger.version, challenger.lineage) if challenger else ("no challenger",)
    return dg.MaterializeResult(data_version=version_of(*version), metadata={"challenger": version[0]})


def _feature_store(noun: str, table: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=table,
        description=f"The state of every {noun} at the start of the day: the features that no decision changes.",
        deps=[*PROBLEM.tables, "feature_declarations"],
        group_name=GROUP,
        kinds={"parquet"},
        owners=OWNERS,
        partitions_def=SCORING_DATES,
    )
    def feature_store(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        from mlguide_assets.defs.metadata import data_version, table_metadata
        from mlguide_assets.deploy.batch import refuse_unreached, skipped_days
        from mlguide_assets.prepare.features.building import tables_of
        from mlguide_assets.prepare.features.state import entity_state

        lake, problem, day = workspace.lake, workspace.problem, chosen_day(context)
        as_of, newest = midnight(date.fromisoformat(day)), newest_day(workspace)
        refuse_unreached(as_of.date(), newest)
        scored = lake.snapshot(table).partitions if lake.exists(table) else ()
        state = entity_state(tables_of(lake, problem), problem, noun, as_of)
        snapshot = lake.write_partition(table, day, state)
        metadata = {"as_of": as_of.isoformat()}
        if skipped := skipped_days(scored, as_of.date(), newest):
            context.log.warning(skipped)
            metadata["skipped"] = skipped
        return dg.MaterializeResult(
            data_version=data_version(snapshot, day), metadata=table_metadata(lake, snapshot, problem, day) | metadata
        )

    return feature_store


feature_stores = [_feature_store(noun, table) for noun, table in DECISION.store_tables.items()]


@dg.asset(
    ins=STORES,
    deps=[*PROBLEM.tables, PROBLEM.features_table],
    group_name=GROUP,
    kinds={"sqlite", "redis"},
    owners=OWNERS,
    partitions_def=SCORING_DATES,
)
def online_store(context: dg.AssetExecutionContext, workspace: Workspace, **read: Any) -> dg.MaterializeResult[None]:
    """What the API looks up: the states of the newest day, published all at once."""
    from mlguide_assets.defs.metadata import version_of
    from mlguide_assets.deploy.batch import left_out, stores_and_candidates
    from mlguide_assets.deploy.online_store.publishing import publish_online, publishable, state_of
    from mlguide_assets.experiment.publishing import eligibility_to_publish
    from mlguide_assets.prepare.features.building import tables_of

    lake, problem, as_of = workspace.lake, workspace.problem, midnight(date.fromisoformat(chosen_day(context)))
    stores = {noun: read[f"of_{noun}"] for noun in DECISION.stored}
    tables = tables_of(lake, problem)
    states = stores_and_candidates(stores, tables, problem, as_of)
    units = lake.open(DECISION.store_tables[DECISION.unit], partitions=[chosen_day(context)])
    unasked = left_out(units, tables, problem, as_of)
    with publishable(lake, problem, as_of) as decided:
        state = state_of(states, decided, problem, lake, eligibility_to_publish(lake, problem), unasked)
        published = publish_online(workspace.online_store, state, lake, newest=newest_day(workspace))
    context.log.info(f"{published} Features as of {as_of}.")
    return dg.MaterializeResult(
        data_version=version_of(state.publication.id, published),
        metadata={"published_online": published, "as_of": as_of.isoformat()},
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet", "xgboost"},
    owners=OWNERS,
    partitions_def=SCORING_DATES,
    deps=[*PROBLEM.tables, *DECISION.store_tables.values(), PROBLEM.features_table, "champion_model"],
    description=f"What the champion says for one day of {PROBLEM.scored_in_words}.",
)
def batch_predictions(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.Output[Any]:
    from mlguide_assets.deploy.batch import predictions_of_day
    from mlguide_assets.deploy.gate.promotion import usable_champion

    problem, day = workspace.problem, date.fromisoformat(chosen_day(context))
    current = usable_champion(workspace.home, workspace.lake, problem)
    predictions = predictions_of_day(workspace.lake, current, problem, day=day, run_id=context.run.run_id)
    return dg.Output(predictions, metadata={"champion": current.version if current else "no champion"})


if DECISION.best_table:

    @dg.asset(
        name=DECISION.best_table,
        group_name=GROUP,
        kinds={"parquet", "ibis"},
        owners=OWNERS,
        partitions_def=SCORING_DATES,
        deps=["batch_predictions"],
        description=f"The {DECISION.choose} that is least likely to end badly with each {DECISION.unit}, and whether "
        "even that one is too risky.",
    )
    def best_choices(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
        from mlguide_assets.deploy.batch import best_choices
        from mlguide_assets.deploy.predictions_table import PREDICTIONS

        lake, day = workspace.lake, chosen_day(context)
        return best_choices(lake.open(PREDICTIONS, partitions=[day]), PROBLEM)


@dg.asset(
    name=DECISION.plan_table,
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    partitions_def=SCORING_DATES,
    deps=[
        *(*PROBLEM.tables, "batch_predictions", "challenger_model"),
        *(["experiment_assignments"] if DECISION.choose else []),
    ],
    description=f"What is done for one day: {PROBLEM.planned_in_words}; fixed once the day has begun.",
    check_specs=[
        dg.AssetCheckSpec(
            "propensities_are_exact",
            asset=DECISION.plan_table,
            description="Every propensity follows from its row; units explore and follow policies in their shares.",
        )
    ]
    if DECISION.choose
    else None,
)
def plan(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[dg.MaterializeResult[None]]:
    from mlguide_assets.defs.metadata import data_version, rounded, table_metadata
    from mlguide_assets.deploy.batch import challenger_scores
    from mlguide_assets.deploy.gate.promotion import usable_challenger
    from mlguide_assets.deploy.plan.action_plan import action_figures
    from mlguide_assets.deploy.plan.figures import check_plan, plan_figures
    from mlguide_assets.deploy.plan.planning import plan_day
    from mlguide_assets.deploy.predictions_table import PREDICTIONS
    from mlguide_assets.deploy.serving.instants import now_of
    from mlguide_assets.prepare.features.building import clock_of, tables_of

    home, lake, problem, key = workspace.home, workspace.lake, workspace.problem, chosen_day(context)
    day, run_id = date.fromisoformat(key), context.run.run_id
    now = now_of(problem, clock_of(tables_of(lake, problem), problem))

    def challenger() -> Any:
        return challenger_scores(usable_challenger(home, lake, problem), lake, problem, day=day, run_id=run_id)

    predictions = lake.open(PREDICTIONS, partitions=[key])
    planned = plan_day(lake, predictions, problem, day=day, now=now, run_id=run_id, challenger=challenger)
    rows = lake.open(DECISION.plan_table, partitions=[key])
    made = {"made": planned.kept or "Now."}
    metadata = table_metadata(lake, planned.snapshot, problem, key)
    if not DECISION.choose:
        yield dg.MaterializeResult(
            data_version=data_version(planned.snapshot, key),
            metadata=metadata | rounded({**action_figures(rows), **made}),
        )
        return
    figures = plan_figures(rows, problem)
    verdict = check_plan(figures)
    yield dg.MaterializeResult(
        data_version=data_version(planned.snapshot, key),
        metadata=metadata | rounded({**figures.as_metadata(), **made}),
        check_results=[dg.AssetCheckResult(passed=verdict.exact, description=verdict.sentence)],
    )


served_predictions = dg.AssetSpec(
    key_of("served_predictions"),
    description="The API's answers, as its servers write them: an external asset, fresh while requests come in.",
    group_name=GROUP,
    kinds={"fastapi", "json"},
    owners=OWNERS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1)),
)


@dg.asset(group_name=GROUP, kinds={"parquet"}, owners=OWNERS, deps=[served_predictions])
def prediction_log(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    """Every case that the API has answered: features, score, decision, version; by day. Landing again adds nothing."""
    from mlguide_assets.defs.metadata import data_version, table_metadata
    from mlguide_assets.deploy.log.forgotten_rows import ForgottenRows
    from mlguide_assets.deploy.log.landing import KEPT_DAYS, PREDICTION_LOG, land_log
    from mlguide_assets.deploy.log.prediction_log import GIGABYTE
    from mlguide_assets.deploy.log.sharing import arrived_logs
    from mlguide_assets.prepare.forgetting.forget_list import ForgetList

    lake, problem, today = workspace.lake, workspace.problem, now_utc().date()
    forgotten = ForgetList.load(workspace.home.forgotten(problem.key))
    with arrived_logs(
        workspace.home.served(problem.key),
        kept_since=today - timedelta(days=KEPT_DAYS),
        forgotten=ForgottenRows(forgotten, problem),
    ) as folder:
        landing = land_log(
            folder,
            lake,
            problem,
            today=today,
            most_bytes=problem.serving.max_log_gigabytes * GIGABYTE,
            forgotten=forgotten,
        )
    if landing.last_answer is not None:
        known = {"last_answer": landing.last_answer.isoformat(), "days": ", ".join(landing.days)}
        context.instance.report_runless_asset_event(dg.AssetMaterialization(served_predictions.key, metadata=known))
    for path in landing.damaged:
        context.log.warning(f"Lines of the prediction log that could not be read are set aside in {path}.")
    snapshot = lake.snapshot(PREDICTION_LOG)
    counts = {"days_landed": len(landing.days), "files_with_damaged_lines": len(landing.damaged)}
    return dg.MaterializeResult(
        data_version=data_version(snapshot), metadata=table_metadata(lake, snapshot, problem, None) | counts
    )


@dg.asset(group_name=GROUP, kinds={"parquet"}, owners=OWNERS, deps=[served_predictions])
def request_faults(workspace: Workspace) -> dg.MaterializeResult[None]:
    """How many requests the API refused (4xx) or failed on (5xx), by day, endpoint and status."""
    from mlguide_assets.defs.metadata import data_version, table_metadata
    from mlguide_assets.deploy.log.fault_landing import land_faults
    from mlguide_assets.deploy.log.landing import KEPT_DAYS
    from mlguide_assets.deploy.log.sharing import arrived_logs

    lake, today = workspace.lake, now_utc().date()
    with arrived_logs(workspace.home.faults(PROBLEM.key), kept_since=today - timedelta(days=KEPT_DAYS)) as folder:
        snapshot = land_faults(folder, lake, today=today)
    return dg.MaterializeResult(
        data_version=data_version(snapshot), metadata=table_metadata(lake, snapshot, PROBLEM, None)
    )
