"""Searches for better parameters of XGBoost, and replaces the default only by significantly better ones.

The earlier folds choose among the trials, the last one confirms the winner against the default: the best of thirty
trials looks better than it is on the rows that chose it, and the last fold has chosen nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import counted
from mlguide_assets.progress import Report
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.backtest.history import LEAST_REPEATS, History
from mlguide_assets.train.evaluation.uncertainty import paired_difference, replicate_metrics
from mlguide_assets.train.folds import Fold
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.tuning.trials import FINISHED, PRUNED, TRIALS, Arena, Tried, try_parameters

FOLDS = 4
"""All but the last choose, the last confirms."""

MOST_ROWS_TO_CONFIRM = 300_000

DEFAULT, TUNED = "default", "tuned"


@dataclass(frozen=True, eq=False)
class Tuning:
    """The recipe to use from now on, why, and what was tried.

    Attributes:
        trials: rows of `trials.TRIALS`. Trial 0 is the default; `log_loss` is the mean over the folds that choose, null
            unless the trial finished.
        gain: log-loss that the best trial saves on the last fold; NaN where no trial was better than the default.
    """

    recipe: Recipe
    adopted: bool
    reason: str
    trials: pa.Table
    gain: Estimate


def tune(
    rows: pa.Table,
    problem: Problem,
    *,
    recipe: Recipe,
    seconds: float,
    trials: int,
    seed: int,
    report: Report = lambda _: None,
) -> Tuning:
    """Try the default, then `trials` other parameters or as many as `seconds` allow; confirm the best.

    A trial that runs when the time is out is dropped after its current boosting round, and none begins later. The
    confirmation follows: two fits. Without the clock coming first, equal arguments give equal results.

    The trials learn from at most `trials.MOST_ROWS_TO_CHOOSE` rows, whole units drawn by hash; the confirmation from
    `MOST_ROWS_TO_CONFIRM`. The best trial is adopted only if the whole 95 % interval, clustered by unit, of the
    log-loss that it saves against the default on the last fold lies above zero.

    Args:
        rows: matured rows of `send_features` before the test window.
        recipe: the default; its window, and its parameters outside `parameter_space.SPACE`, hold in every trial.

    Raises:
        InputError: the history is too short for the folds, or a fold has too few of either outcome.
    """
    deadline = monotonic() + seconds
    history = History.of(rows, problem, MOST_ROWS_TO_CONFIRM)
    *choosing, last = history.folds(FOLDS, unseen_units=True)
    tried = try_parameters(Arena(history, choosing, recipe, seed), trials, deadline, report)
    finished = [trial for trial in tried if trial.state == FINISHED]
    best = min(finished, key=lambda trial: trial.log_loss, default=None)
    gain, reason = Estimate(*[float("nan")] * 3), _nothing_better(tried)
    adopted = False
    if best is not None and best.number:
        report(f"tuning: trial {best.number} was best; comparing it with the default on the latest fold")
        gain = _confirmed(history, last, recipe, replace(recipe, parameters=best.parameters))
        units = counted(len(np.unique(history.units[last.validate])), problem.decision.unit)
        adopted, reason = gain.low > 0, _confirmation(best, gain, units)
    chosen = best.number if best is not None and adopted else 0
    found = replace(recipe, parameters=best.parameters) if best is not None and adopted else recipe
    table = pa.Table.from_pylist([trial.row(chosen) for trial in tried], schema=TRIALS)
    return Tuning(found, adopted, reason, table, gain)


def _confirmed(history: History, last: Fold, default: Recipe, tuned: Recipe) -> Estimate:
    """Log-loss saved by the tuned recipe on the last fold, both trained as a candidate is."""
    recipes = {DEFAULT: default, TUNED: tuned}
    scores = {name: history.scores(history.fit(last.train, each), last.validate) for name, each in recipes.items()}
    settings = history.problem.evaluation
    replicates = replicate_metrics(
        history.labels[last.validate],
        scores,
        history.units[last.validate],
        repeats=max(settings.bootstrap_repeats, LEAST_REPEATS),
        seed=settings.seed,
    )
    return paired_difference(replicates, TUNED, DEFAULT, "log_loss")


def _confirmation(best: Tried, gain: Estimate, units: str) -> str:
    figures = f"{gain.value:+.6f} ({gain.ci('+.6f', of=units, paired=True)})"
    where = "on the latest fold, which had no part in choosing it"
    if gain.low > 0:
        return f"Trial {best.number} is adopted: {where}, it saves log-loss against the default, {figures}."
    short_of = f"trial {best.number} was best, but {where}, its gain is not significant, {figures}"
    return f"The default parameters stay: {short_of}."


def _nothing_better(tried: Sequence[Tried]) -> str:
    evaluated = sum(trial.state in (FINISHED, PRUNED) for trial in tried)
    if not evaluated:
        return "The default parameters stay: the time limit was reached before they were evaluated."
    if evaluated == 1:
        return "The default parameters stay: there was no time, or no trial, for any others."
    return f"The default parameters stay: none of the {evaluated} sets tried was better on the folds that choose."
