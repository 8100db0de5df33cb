"""Train: a candidate, its evaluation against baselines and oracle, its explanation."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from mlguide_assets.defs.metadata import plots, rounded
from mlguide_assets.defs.preload import AFTER_TRAINING, preload
from mlguide_assets.defs.run_requests import TICK
from mlguide_assets.defs.workspace import OWNERS, PROBLEM, Workspace, key_of
from mlguide_assets.train.checks import LEAKAGE_ALARMS, behaviours

GROUP = "train"
DECISIONS, UNIT = PROBLEM.decision.plural, PROBLEM.decision.unit
FEATURES = key_of(PROBLEM.features_table)
_TABLES = [key_of(name) for name in PROBLEM.tables]
_READS_FEATURES = {"features": dg.AssetIn(PROBLEM.features_table)}
THOROUGH = {"mlguide/thorough": "true"}
"""Assets that take minutes: retraining makes them, and `mlguide run --thorough`."""

_SEARCH = {
    "backtest_windows": f"How models of each training window did on the same later {DECISIONS}.",
    "staleness_curve": "Quality of a model by its age, beside one that is always fresh.",
    "tuning_trials": "Every set of parameters that was tried, and how it did on the inner folds.",
    "training_recipe": "Parameters and training window that every training uses from now on, and why.",
}


class AlarmSettings(dg.Config):
    """How a job wants the leakage alarms."""

    known_only: bool = Field(
        default=False,
        description="Show what is known of these very data already, examine nothing, and stop nothing: for a reading.",
    )


@dg.multi_asset_check(
    name="leakage_alarms",
    # A job that reads a new day leaves them out: examining takes longer than all else that the day needs.
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            name,
            asset=FEATURES,
            additional_deps=_TABLES,
            blocking=True,
            description=text,
        )
        for name, text in LEAKAGE_ALARMS.items()
    ],
    ins={"features": dg.AssetIn(FEATURES)} | {name: dg.AssetIn(key_of(name)) for name in PROBLEM.tables},
)
def leakage_alarms(
    context: dg.AssetCheckExecutionContext,
    config: AlarmSettings,
    workspace: Workspace,
    features: Any,
    **tables: Any,
) -> Iterator[dg.AssetCheckResult]:
    """Stop before training where a feature knows what it cannot know; on a reading, only say so.

    A champion goes on scoring whatever a later training finds, so it goes on being measured and watched.
    """
    from mlguide_assets.errors import InputError
    from mlguide_assets.train.leakage.record import look_for_leaks

    home, lake, problem = workspace.home, workspace.lake, workspace.problem
    path, known_only = home.leakage(problem.key), config.known_only
    found = look_for_leaks(path, lake, problem, tables, features, known_only=known_only)
    alarms = [alarm for alarm in found if dg.AssetCheckKey(FEATURES, alarm.check) in context.selected_asset_check_keys]
    if not found:
        context.log.info("the data have changed since leaks were looked for: the next training does it again")
    for alarm in alarms:
        yield dg.AssetCheckResult(
            asset_key=FEATURES,
            check_name=alarm.check,
            passed=alarm.passed,
            # A blocking check blocks where its severity is ERROR.
            severity=dg.AssetCheckSeverity.WARN if known_only else dg.AssetCheckSeverity.ERROR,
            description=alarm.message,
            metadata=rounded({"value": alarm.value, "limit": alarm.limit, "feature": alarm.feature or "none"}),
        )
    raised = [alarm.message for alarm in alarms if not alarm.passed]
    if raised and not known_only:
        raise InputError(raised[0])
    for message in raised:
        context.log.warning(f"the next training on these data would be stopped: {message}")


@dg.multi_asset(
    name="search_recipe",
    outs={
        name: dg.AssetOut(description=text, group_name=GROUP, kinds={"parquet", "optuna"}, owners=OWNERS, tags=THOROUGH)
        for name, text in _SEARCH.items()
    },
    ins=_READS_FEATURES,
)
def search_recipe(context: dg.AssetExecutionContext, workspace: Workspace, features: Any) -> Iterator[dg.Output[Any]]:
    """Backtest the training window, draw how a model ages, and tune, all on what is before the test window."""
    from mlguide_assets.deploy.registry.check import prepare_registry
    from mlguide_assets.deploy.registry.registration import registry_of
    from mlguide_assets.train.tuning.parameter_space import SPACE
    from mlguide_assets.train.tuning.search import search

    problem = workspace.problem
    prepare_registry(registry_of(workspace.home, problem), context.log.info, search=True)
    found = search(features, problem, context.log.info)
    registry_of(workspace.home, problem).record_trials(found.trials.to_pylist(), list(SPACE), found.reasons[-1])
    yield dg.Output(found.windows, "backtest_windows")
    yield dg.Output(
        found.staleness, "staleness_curve", metadata=plots(workspace.home, problem, {"staleness": found.staleness_plot})
    )
    yield dg.Output(found.trials, "tuning_trials")
    yield dg.Output(
        found.record,
        "training_recipe",
        metadata=rounded({"reasons": "\n".join(found.reasons), **found.recipe.to_json()}),
    )


@dg.multi_asset(
    name="train_candidate",
    deps=["training_recipe"],
    ins=_READS_FEATURES,
    outs={
        "candidate_model": dg.AssetOut(
            description=f"The candidate for champion: trained, refitted on all matured {DECISIONS}, saved natively.",
            group_name=GROUP,
            kinds={"xgboost", "scikitlearn"},
            owners=OWNERS,
        ),
        "test_predictions": dg.AssetOut(
            description=f"What each model said of the {DECISIONS} of the test window, which none of them had seen.",
            group_name=GROUP,
            kinds={"parquet"},
            owners=OWNERS,
        ),
    },
)
def train_candidate(context: dg.AssetExecutionContext, workspace: Workspace, features: Any) -> Iterator[dg.Output[Any]]:
    """Choose a model, fit all on the same earlier decisions, and score the later ones."""
    from mlguide_assets.deploy.gate.promotion import usable_champion
    from mlguide_assets.deploy.registry.check import prepare_registry
    from mlguide_assets.deploy.registry.registration import registry_of
    from mlguide_assets.retrain.ticks import asked_by_evidence, ticks_of
    from mlguide_assets.train.candidate import train_candidate
    from mlguide_assets.train.lineage import distributed_of, lineage_of, plans_of
    from mlguide_assets.train.recipe import current_recipe
    from mlguide_assets.train.storage import record_of, save_candidate

    problem = workspace.problem
    registry = registry_of(workspace.home, problem)
    prepare_registry(registry, context.log.info)
    # What the candidate will be compared with.
    usable_champion(workspace.home, workspace.lake, problem)
    preload(AFTER_TRAINING, then=lambda: registry.client)
    recipe = current_recipe(workspace.lake)
    if asked_by_evidence(ticks_of(workspace.home, problem), context.run.tags.get(TICK)):
        recipe = recipe.of_lately(problem)
        context.log.info(
            f"Evidence asked for this training: it learns most from what came lately ({recipe.window.name}), and is "
            f"tested on the very latest."
        )
    lineage = lineage_of(workspace.lake, problem, recipe)
    plans = plans_of(workspace.lake, lineage, problem)
    with workspace.lake.scratch("What a model learns from") as scratch:
        candidate = train_candidate(
            features,
            problem,
            recipe,
            context.log.info,
            plans,
            distributed=distributed_of(workspace.lake, lineage, problem),
            scratch=scratch,
        )
    folder = workspace.candidates / lineage.id
    save_candidate(candidate, problem, lineage, folder)
    yield dg.Output(record_of(folder), output_name="candidate_model", metadata=rounded(candidate.facts))
    yield dg.Output(candidate.scores, output_name="test_predictions")


_EVALUATION = {
    "model_evaluation": f"Every metric of every model on the test window, with 95 % intervals clustered by {UNIT}.",
    "slice_metrics": "The candidate on each slice, with its gap to the whole.",
    "group_metrics": "What sensitive groups get: shares above the threshold, errors, calibration, and the differences.",
}


@dg.multi_asset(
    name="evaluate_candidate",
    outs={
        name: dg.AssetOut(description=text, group_name=GROUP, kinds={"parquet", "matplotlib"}, owners=OWNERS)
        for name, text in _EVALUATION.items()
    },
    ins=_READS_FEATURES,
)
def evaluate_candidate(
    workspace: Workspace,
    candidate_model: Any,
    test_predictions: Any,
    features: Any,
) -> Iterator[dg.Output[Any]]:
    """Evaluate all models on the test window, the candidate also slice by slice and group by group."""
    from mlguide_assets.prepare.oracle import with_oracle
    from mlguide_assets.train.evaluation.evaluation import evaluate, with_columns
    from mlguide_assets.train.storage import folder_of, load_facts, model_name, save_plots

    problem, folder = workspace.problem, folder_of(candidate_model, workspace.candidates)
    candidate = model_name(load_facts(folder))
    rows = with_columns(test_predictions, features, candidate, problem)
    scores = with_oracle(test_predictions, workspace.home.oracle(problem.key), problem)
    evaluation = evaluate(scores.to_pyarrow(), rows.to_pyarrow(), candidate, problem)
    save_plots(evaluation.plots, folder)
    pictures = plots(workspace.home, problem, evaluation.plots)
    yield dg.Output(evaluation.slices, "slice_metrics", metadata={"slices": pictures.pop("slices")})
    yield dg.Output(evaluation.table(), "model_evaluation", metadata=rounded(evaluation.numbers()) | pictures)
    yield dg.Output(evaluation.groups, "group_metrics")


@dg.asset(group_name=GROUP, kinds={"parquet", "shap"}, owners=OWNERS, ins=_READS_FEATURES)
def model_explanations(workspace: Workspace, candidate_model: Any, features: Any) -> dg.Output[Any]:
    """Which features move the risk, and which way: exact SHAP contributions on a seeded sample of decisions."""
    from mlguide_assets.train.evaluation.explanation import explain
    from mlguide_assets.train.models.models import THREADS
    from mlguide_assets.train.storage import folder_of, load_model, save_plots

    folder = folder_of(candidate_model, workspace.candidates)
    explanation = explain(load_model(folder, threads=THREADS), features, workspace.problem)
    save_plots(explanation.plots, folder)
    return dg.Output(
        explanation.table(),
        metadata={
            "explained_rows": len(explanation.contributions),
            **plots(workspace.home, workspace.problem, explanation.plots),
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    check_specs=[
        dg.AssetCheckSpec(name, asset="behaviour_results", description=text)
        for name, text in behaviours(PROBLEM).items()
    ],
    ins=_READS_FEATURES | {name: dg.AssetIn(name) for name in PROBLEM.tables},
)
def behaviour_results(workspace: Workspace, candidate_model: Any, features: Any, **tables: Any) -> Iterator[Any]:
    """What the candidate does when its input is changed in ways whose effect is known beforehand."""
    from mlguide_assets.train.behaviour.results import behaviour_table
    from mlguide_assets.train.behaviour.suite import behaviour_tests
    from mlguide_assets.train.rows import sampled_rows
    from mlguide_assets.train.storage import folder_of, load_model

    results = behaviour_tests(
        load_model(folder_of(candidate_model, workspace.candidates)),
        tables,
        sampled_rows(features, workspace.problem),
        workspace.problem,
        seed=workspace.problem.evaluation.seed,
    )
    yield dg.Output(behaviour_table(results))
    for result in results:
        yield dg.AssetCheckResult(
            check_name=result.name,
            passed=result.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=result.message,
            metadata=rounded({"value": result.value, "limit": result.limit, "rows": result.rows}),
        )
