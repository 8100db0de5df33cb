"""How fast a model ages: its quality by age, beside a model retrained just before each period."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural
from mlguide_assets.progress import Report
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.intervals import Estimate, percentile_interval
from mlguide_assets.train.backtest.history import DAY, FoldScores, History, replicated
from mlguide_assets.train.folds import (
    Fold,
    folds_from,
)
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.split import Times

MOST_PERIODS = 6
PERIODS = pa.schema(
    {
        "age_days_low": pa.float64(),
        "age_days_high": pa.float64(),
        "rows": pa.int64(),
        "positives": pa.int64(),
        "roc_auc": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "retrained_roc_auc": pa.float64(),
        "loss": pa.float64(),
        "loss_low": pa.float64(),
        "loss_high": pa.float64(),
    }
)


def staleness_columns(problem: Problem) -> dict[str, str]:
    """Column of `PERIODS` → meaning."""
    return {
        "age_days_low": "Age of the model at the start of the period, in days.",
        "age_days_high": "Its age at the end.",
        "rows": "Rows of the period.",
        "positives": "Rows among them with the positive outcome.",
        "roc_auc": "ROC AUC of the model that ages.",
        "low": f"Lower end of the 95 % interval, from a bootstrap of {plural(problem.decision.unit)}.",
        "high": "Upper end of the 95 % interval.",
        "retrained_roc_auc": "ROC AUC of a model that was trained just before the period.",
        "loss": "How much ROC AUC the ageing model lacks against it.",
        "loss_low": "Lower end of the 95 % interval of the loss.",
        "loss_high": "Upper end of that interval.",
    }


@dataclass(frozen=True, eq=False)
class Staleness:
    """Quality of one model by its age, beside a model retrained just before each period.

    Attributes:
        per_30_days: ROC AUC lost with every 30 days of age; NaN where there is only one period.
    """

    periods: pa.Table
    per_30_days: Estimate

    def table(self) -> pa.Table:
        """Rows of `PERIODS`, youngest first; age counts from the start of the first period, when training ended.

        `loss` is what retraining would have won in ROC AUC, with its interval; 0 in the first period, where both
        are the same model.
        """
        return self.periods

    @property
    def loss_per_30_days(self) -> str:
        """The slope in one sentence."""
        cost = self.per_30_days
        if np.isnan([cost.value, cost.low, cost.high]).any():
            return "The history is too short to measure what age costs a model"
        gained = cost.high < 0
        shown = Estimate(-cost.value, -cost.high, -cost.low) if gained else cost
        interval = shown.ci(".4f", of="so short a history")
        if cost.low > 0 or gained:
            verb = "won" if gained else "cost"
            return f"Every 30 days without retraining {verb} {shown.value:.4f} ROC AUC ({interval})"
        return f"The cost of age is not significant: {shown.value:.4f} ROC AUC per 30 days ({interval})"


def staleness_curve(rows: pa.Table, problem: Problem, *, recipe: Recipe, report: Report = lambda _: None) -> Staleness:
    """Train on the earliest part of the history, and see the model age over the rest.

    Periods are of whole weeks, equal but for the last, at most `MOST_PERIODS`, each with at least
    `evaluation.min_positives` positives where the history allows. The loss is that of not retraining: the world has
    moved on, and what came since has not been learned from.

    Args:
        rows: matured rows of `send_features` before the test window.

    Raises:
        InputError: the history is too short, or has too few of either outcome, to train on its earliest part.
    """
    history = History.of(rows, problem)
    first = history.folds(1, unseen_units=False)[0]
    starts = _period_starts(history, first.validate_start)
    folds = folds_from(history.times, starts, problem.final_after)
    scored, first_model = [], None
    for number, fold in enumerate(folds, start=1):
        report(f"ageing: period {number} of {len(starts)}, from {fold.validate_start.astype('datetime64[D]')}")
        retrained = history.fit(fold.train, recipe)
        first_model = first_model or retrained
        models = {"aged": first_model, "retrained": retrained}
        scores = {name: history.scores(model, fold.validate) for name, model in models.items()}
        scored.append(FoldScores(history.labels[fold.validate] == 1, history.units[fold.validate], scores))
    return _aged(scored, folds, problem)


def _period_starts(history: History, start: np.datetime64) -> Times:
    """Starts of the shortest periods that are few enough and hold enough of both outcomes; else of one period."""
    later = history.times >= start
    times, labels = history.times[later], history.labels[later]
    least = history.problem.evaluation.min_positives
    weeks = float((times.max() - start) / DAY) / 7
    for length in range(max(1, int(np.ceil(weeks / MOST_PERIODS))), int(np.ceil(weeks))):
        starts = start + np.arange(int(np.ceil(weeks / length))) * length * 7 * DAY
        in_period = np.searchsorted(starts, times, side="right") - 1
        counts = np.stack([np.bincount(in_period[labels == value], minlength=len(starts)) for value in (0, 1)])
        enough = counts.min(axis=0) >= least
        if enough[:-1].all() and len(starts) > 1:
            # What is left at the end belongs to the period before it, if it is too little for one of its own.
            return starts if enough[-1] else starts[:-1]
    return np.array([start])


def _aged(scored: Sequence[FoldScores], folds: Sequence[Fold], problem: Problem) -> Staleness:
    points, values = replicated("roc_auc", scored, ("aged", "retrained"), problem)
    losses, resampled = points[1] - points[0], values[1] - values[0]
    start = folds[0].validate_start
    low = np.array([(fold.validate_start - start) / DAY for fold in folds])
    high = np.append(low[1:], (folds[-1].validate_end - start) / DAY)
    rows = []
    for at, part in enumerate(scored):
        quality = percentile_interval(float(points[0, at]), values[0, at], 0.95)
        loss = percentile_interval(float(losses[at]), resampled[at], 0.95)
        counts = (len(part.labels), int(part.labels.sum()))
        estimates = (quality.value, quality.low, quality.high, float(points[1, at]), loss.value, loss.low, loss.high)
        rows.append(dict(zip(PERIODS.names, (low[at], high[at], *counts, *estimates), strict=True)))
    return Staleness(pa.Table.from_pylist(rows, schema=PERIODS), _slope(low, losses, resampled))


def _slope(ages: Floats, losses: Floats, resampled: Floats) -> Estimate:
    """Loss per 30 days: the line through no loss at no age that is nearest to all periods.

    The age of a period is how much older the model is than the one that was retrained before it.
    """
    if not (ages > 0).any():
        return Estimate(*[float("nan")] * 3)
    weights = 30 * ages / (ages**2).sum()
    return percentile_interval(float(weights @ losses), weights @ resampled, 0.95)
