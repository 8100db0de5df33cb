"""Train: a candidate, its evaluation against baselines and oracle, its explanation."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlguide_assets.defs.ahead import AFTER_TRAINING, import_ahead
from mlguide_assets.defs.metadata import plot
from mlguide_assets.defs.workspace import OWNERS, Workspace

GROUP = "train"


@dg.multi_asset(
    name="train_candidate",
    outs={
        "candidate_model": dg.AssetOut(
            description="The model that wants to be champion: trained, refitted on all matured sends, saved natively.",
            group_name=GROUP,
            kinds={"xgboost", "scikitlearn"},
            owners=OWNERS,
        ),
        "test_predictions": dg.AssetOut(
            description="What each model said of the sends of the test window, which none of them had seen.",
            group_name=GROUP,
            kinds={"parquet"},
            owners=OWNERS,
        ),
    },
)
def train_candidate(
    context: dg.AssetExecutionContext, workspace: Workspace, send_features: Any
) -> Iterator[dg.Output[Any]]:
    """Fit the baselines and XGBoost on the same earlier sends; score the later ones."""
    from mlguide_assets.train.candidate import train_candidate
    from mlguide_assets.train.lineage import lineage_of
    from mlguide_assets.train.storage import record_of, save_candidate

    import_ahead(AFTER_TRAINING)
    problem = workspace.problem
    lineage = lineage_of(workspace.lake, problem)
    candidate = train_candidate(send_features, problem, context.log.info)
    folder = workspace.home.candidates(problem.key) / lineage.id
    save_candidate(candidate, problem, lineage, folder)
    yield dg.Output(record_of(folder), output_name="candidate_model", metadata=candidate.facts)
    yield dg.Output(candidate.scores, output_name="test_predictions")


@dg.asset(group_name=GROUP, kinds={"parquet", "matplotlib"}, owners=OWNERS)
def model_evaluation(
    context: dg.AssetExecutionContext, workspace: Workspace, candidate_model: Any, test_predictions: Any
) -> dg.Output[Any]:
    """Every metric of every model on the test window, with 95 % intervals from a bootstrap of users."""
    from mlguide_assets.prepare.oracle import with_oracle
    from mlguide_assets.train.evaluation import evaluate
    from mlguide_assets.train.storage import folder_of, save_plots

    problem = workspace.problem
    scores = with_oracle(test_predictions, workspace.home.oracle(problem.key), problem)
    evaluation = evaluate(scores.to_pyarrow(), problem)
    save_plots(evaluation.plots, folder_of(candidate_model))
    return dg.Output(
        evaluation.table(),
        metadata=evaluation.numbers() | {name: plot(png) for name, png in evaluation.plots.items()},
    )


@dg.asset(group_name=GROUP, kinds={"parquet", "shap"}, owners=OWNERS)
def model_explanations(workspace: Workspace, candidate_model: Any, send_features: Any) -> dg.Output[Any]:
    """Which features move the risk, and which way: exact SHAP contributions on a seeded sample of sends."""
    from mlguide_assets.train.explanation import explain
    from mlguide_assets.train.storage import folder_of, load_model, save_plots

    folder = folder_of(candidate_model)
    explanation = explain(load_model(folder), send_features, seed=workspace.problem.evaluation.seed)
    save_plots(explanation.plots, folder)
    return dg.Output(
        explanation.table(),
        metadata={"explained_rows": len(explanation.contributions)}
        | {name: plot(png) for name, png in explanation.plots.items()},
    )
