"""The search for a better recipe: backtest of the training window, then tuning, on rows before the test window."""

import json
from dataclasses import dataclass

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.progress import Report
from mlguide_assets.train.backtest.staleness import PERIODS, staleness_curve
from mlguide_assets.train.backtest.windows import WINDOWS, choose_window
from mlguide_assets.train.plots.backtest import staleness_plot
from mlguide_assets.train.plots.drawing import no_picture
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe
from mlguide_assets.train.rows import sampled_rows
from mlguide_assets.train.split import split_decisions
from mlguide_assets.train.tuning.trials import TRIALS
from mlguide_assets.train.tuning.tuning import tune

_SCHEMA = pa.schema([("recipe", pa.string()), ("reasons", pa.list_(pa.string()))])

COLUMNS = {
    "recipe": "Parameters and training window that every training uses, as JSON.",
    "reasons": "Why they were chosen.",
}
"""Column → meaning."""


@dataclass(frozen=True, eq=False)
class Search:
    """The recipe found, why, and everything that was tried on the way."""

    recipe: Recipe
    reasons: tuple[str, ...]
    windows: pa.Table
    staleness: pa.Table
    staleness_plot: bytes
    trials: pa.Table

    @property
    def record(self) -> pa.Table:
        """One row: the recipe as JSON, and why its window and its parameters were chosen."""
        row = {"recipe": json.dumps(self.recipe.to_json(), sort_keys=True), "reasons": list(self.reasons)}
        return pa.Table.from_pylist([row], schema=_SCHEMA)


def search(features: ibis.Table, problem: Problem, report: Report) -> Search:
    """Choose the training window by backtest, draw how a model ages, and tune the parameters.

    Only rows that precede the test window by the label window are used: what is chosen here is evaluated there.
    A history that is too short to choose from keeps the default recipe, and says so.
    """
    try:
        return _search(features, problem, report)
    except InputError as error:
        return _too_short(str(error))


def _search(features: ibis.Table, problem: Problem, report: Report) -> Search:
    rows = sampled_rows(features, problem)
    split = split_decisions(rows[problem.decision.time].to_numpy(), problem)
    earlier, settings, seed = rows.take(split.train), problem.tuning, problem.evaluation.seed
    choice = choose_window(earlier, problem, recipe=DEFAULT_RECIPE, report=report)
    windowed = Recipe(DEFAULT_RECIPE.parameters, choice.chosen)
    staleness = staleness_curve(earlier, problem, recipe=windowed, report=report)
    tuning = tune(
        earlier,
        problem,
        recipe=windowed,
        seconds=settings.time_limit.total_seconds(),
        trials=settings.trials,
        seed=seed,
        report=report,
    )
    return Search(
        recipe=tuning.recipe,
        reasons=(choice.reason, tuning.reason),
        windows=choice.table(),
        staleness=staleness.table(),
        staleness_plot=staleness_plot(staleness),
        trials=tuning.trials,
    )


def _too_short(why: str) -> Search:
    """Nothing was tried, so nothing is known to be better than the default."""
    return Search(
        recipe=DEFAULT_RECIPE,
        reasons=(f"The default recipe stays, since nothing could be searched. {why}",),
        windows=WINDOWS.empty_table(),
        staleness=PERIODS.empty_table(),
        staleness_plot=no_picture("No picture of ageing: the history is too short"),
        trials=TRIALS.empty_table(),
    )
