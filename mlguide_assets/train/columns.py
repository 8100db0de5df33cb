"""What the columns of this stage's tables mean: each table says it beside its schema, or beside what writes it."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.train import storage
from mlguide_assets.train.backtest import staleness, windows
from mlguide_assets.train.behaviour import results
from mlguide_assets.train.candidate import score_columns
from mlguide_assets.train.evaluation import explanation
from mlguide_assets.train.evaluation.evaluation import evaluation_columns
from mlguide_assets.train.evaluation.fairness import group_columns
from mlguide_assets.train.evaluation.slices import slice_columns
from mlguide_assets.train.tuning import search, trials


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage."""
    return {
        "candidate_model": storage.COLUMNS,
        "test_predictions": score_columns(problem),
        "model_evaluation": evaluation_columns(problem),
        "slice_metrics": slice_columns(problem),
        "group_metrics": group_columns(problem),
        "model_explanations": explanation.COLUMNS,
        "behaviour_results": results.COLUMNS,
        "backtest_windows": windows.COLUMNS,
        "staleness_curve": staleness.staleness_columns(problem),
        "tuning_trials": trials.COLUMNS,
        "training_recipe": search.COLUMNS,
    }
