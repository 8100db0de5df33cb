"""Which model becomes the candidate: the simplest of those that are as good as the best.

All are compared as the gate compares a challenger with the champion: paired, on the same resamples of units, in the
problem's primary metric. The rows are those of the inner window, the latest of the training rows, on which XGBoost
also chooses its rounds; each model has learned from the rows before it. The test window chooses nothing.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import counted
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.metrics import METRICS, metric_named
from mlguide_assets.train.evaluation.uncertainty import paired_difference, replicate_metrics
from mlguide_assets.train.models.baselines import BASELINES, fit_baselines
from mlguide_assets.train.models.calibration import IDENTITY, Calibration
from mlguide_assets.train.models.encoding import Encoding, Matrix
from mlguide_assets.train.models.models import (
    PATIENCE,
    THREADS,
    XGBOOST,
    Labels,
    Probabilities,
    Trial,
    inner_window,
    try_xgboost,
)
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.split import Times

SIMPLEST_FIRST = (*BASELINES, XGBOOST)
LOSS = "log_loss"
OFF = 0.05


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """What models learn from; all arrays have one entry per row.

    Attributes:
        row_weights: how much each counts, beside what the recipe's window says.
    """

    matrix: Matrix
    labels: Labels
    times: Times
    units: npt.NDArray[np.int64]
    encoding: Encoding
    row_weights: Probabilities


@dataclass(frozen=True)
class Choice:
    """The model that becomes the candidate, why, and what each model takes over from the inner window."""

    model: str
    reason: str
    rounds: int
    calibrations: Mapping[str, Calibration]


def choose_model(
    known: TrainingRows, problem: Problem, recipe: Recipe, contenders: Sequence[str] = SIMPLEST_FIRST
) -> Choice:
    """Fit every model on the earlier training rows, compare them on the latest, and choose.

    Where these are too few to show a difference, the simplest model is chosen.

    Args:
        contenders: the models that may be chosen, the simplest first.
    """
    inner = inner_window(known.labels, known.times, problem.final_after)
    if inner is None:
        why = f"{_named(contenders[0])}: the history is too short to compare it with models that are less simple."
        return Choice(contenders[0], why, PATIENCE, dict.fromkeys(SIMPLEST_FIRST, IDENTITY))
    earlier, later, seed = inner.train, inner.test, problem.evaluation.seed
    weights = recipe.window.weights(known.times[earlier]) * known.row_weights[earlier]
    trials: dict[str, Trial] = {}
    # Side by side: scikit-learn fits in one thread, and neither holds the interpreter's lock.
    with ThreadPoolExecutor(1) as pool:
        boosted = pool.submit(
            try_xgboost,
            *(known.matrix, known.labels, known.times, known.encoding, inner, seed, recipe, known.row_weights),
            threads=max(1, THREADS - 1),
        )
        rows = known.matrix[earlier], known.labels[earlier], known.encoding
        for name, fitted in fit_baselines(*rows, seed=seed, weights=weights).items():
            trials[name] = Trial.of(known.labels[later], fitted.predict_uncalibrated(known.matrix[later]))
        trials[XGBOOST] = boosted.result()
    answers = {name: trials[name].answers for name in contenders}
    model, reason = simplest_as_good(known.labels[later], answers, known.units[later], problem)
    return Choice(model, reason, trials[XGBOOST].rounds, {name: trial.calibration for name, trial in trials.items()})


def simplest_as_good(
    labels: Labels, answers: Mapping[str, Probabilities], units: npt.NDArray[np.int64], problem: Problem
) -> tuple[str, str]:
    """The simplest model than which none is shown to be better, and the reason in one sentence.

    Better in the primary metric, or in log-loss by more than a share of `OFF`: a model may rank as well as another and
    be off by more from week to week, as a linear one is of counts that grow with time.

    Args:
        answers: model to its probabilities (n,), the simplest model first.
    """
    metric, settings = problem.metric.primary, problem.evaluation
    found = replicate_metrics(labels, answers, units, repeats=settings.bootstrap_repeats, seed=settings.seed)
    sign = metric_named(metric).sign
    best = max(answers, key=lambda name: sign * found.of(name, metric)[0])

    def gain(of: str, over: str, by: str) -> Estimate:
        return paired_difference(found, of, over, by)

    def shown_worse(name: str) -> bool:
        # An interval that cannot be given shows nothing.
        return any(
            gain(other, name, metric).low > 0 or gain(other, name, LOSS).low > OFF * found.of(other, LOSS)[0]
            for other in answers
            if other != name
        )

    chosen = next((name for name in answers if not shown_worse(name)), best)

    def said(by: str, gain: Estimate) -> str:
        drawn = gain.ci("+.4f", of=counted(found.units, problem.decision.unit), paired=True)
        return f"{METRICS[by].title} {gain.value:+.4f}, {drawn}"

    rows = f"on the {len(labels):,} latest training {problem.decision.plural}, which it had not learned from"
    simpler = list(answers)[: list(answers).index(chosen)]
    if best != chosen and best not in simpler:
        won = gain(best, chosen, metric)
        why = (
            f"the simplest model that is as good as any: {best} was not shown to be better"
            if won.is_bounded
            else f"the simplest model, since without an interval none can be shown to be better, and so not {best}"
        )
        return chosen, f"{_named(chosen)}, {why} ({said(metric, won)}) {rows}."
    if not simpler:
        return chosen, f"{_named(chosen)}: it is the simplest model and has the best {METRICS[metric].title} {rows}."
    nearest = min(simpler, key=lambda name: gain(chosen, name, metric).value)
    by = metric if gain(chosen, nearest, metric).low > 0 else LOSS
    better = f"it is better than {nearest}, the best simpler model ({said(by, gain(chosen, nearest, by))})"
    return chosen, f"{_named(chosen)}: {better} {rows}."


def _named(model: str) -> str:
    return f"The candidate is {model}"
