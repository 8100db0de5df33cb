"""The meaning of every column, as the UI shows it: each stage says it of its own tables."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy import columns as deploy
from mlguide_assets.experiment.columns import COLUMNS as EXPERIMENT
from mlguide_assets.observe import columns as observe
from mlguide_assets.prepare import columns as prepare
from mlguide_assets.retrain.columns import COLUMNS as RETRAIN
from mlguide_assets.train import columns as train


def column_meanings(table: str, problem: Problem) -> dict[str, str]:
    """Column → meaning of one table; empty for a table that no stage writes."""
    return {
        **prepare.columns_of(problem),
        **train.columns_of(problem),
        **deploy.columns_of(problem),
        **observe.columns_of(problem),
        **EXPERIMENT,
        **RETRAIN,
    }.get(table, {})
