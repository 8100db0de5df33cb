"""Which part of the history to learn from: a backtest of training windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural
from mlguide_assets.progress import Report
from mlguide_assets.statistics.intervals import Estimate, percentile_interval
from mlguide_assets.train.backtest.history import DAY, FoldScores, History, replicated
from mlguide_assets.train.evaluation.metrics import metric_named
from mlguide_assets.train.folds import (
    Fold,
)
from mlguide_assets.train.models.models import Probabilities
from mlguide_assets.train.recipe import Recipe, TrainingWindow
from mlguide_assets.train.split import Times

FOLDS = 3
SHORTEST_WINDOW_DAYS = 28
"""A window that leaves out more of the days of a week or month than of others would learn them wrongly."""

ALL = TrainingWindow()
_WHOLE = "mean"

WINDOWS = pa.schema(
    {
        "window": pa.string(),
        "fold": pa.string(),
        "train_rows": pa.int64(),
        "roc_auc": pa.float64(),
        "log_loss": pa.float64(),
        "gain": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "chosen": pa.bool_(),
    }
)

COLUMNS = {
    "window": "The training window: all history, its last days, or weights that halve with age.",
    "fold": "The fold, in the order of time, or the mean over folds.",
    "train_rows": "Rows that were learned from.",
    "roc_auc": "ROC AUC on the rows of the fold.",
    "log_loss": "Log-loss on the rows of the fold, in nats.",
    "gain": "Gain in the primary metric over training on all history.",
    "low": "Lower end of the interval of the gain, which allows for the number of windows compared.",
    "high": "Upper end of that interval.",
    "chosen": "Whether this window was chosen.",
}
"""Column → meaning."""


@dataclass(frozen=True, eq=False)
class WindowChoice:
    """The window to learn from, why, and how every candidate did.

    Attributes:
        level: of every interval; the more candidates, the higher.
    """

    chosen: TrainingWindow
    reason: str
    level: float
    results: pa.Table

    def table(self) -> pa.Table:
        """Rows of `WINDOWS`: every window on every fold, then the mean of the folds (fold `mean`).

        `gain` is how much better the window is than the whole history in the problem's primary metric, positive
        where it is better, with its interval; the mean decides.
        """
        return self.results


def choose_window(
    rows: pa.Table,
    problem: Problem,
    *,
    recipe: Recipe,
    candidates: Sequence[TrainingWindow] | None = None,
    report: Report = lambda _: None,
) -> WindowChoice:
    """Learn from each window before each fold, and replace the whole history only by a significantly better one.

    Compared by the mean over folds of the primary metric. A window wins only if the whole interval of its gain over
    `all` lies above zero; the interval is Bonferroni's over the candidates, since the best of several looks better
    than it is. Of several such windows the one with the largest gain wins.

    Args:
        rows: matured rows of `send_features` before the test window.
        recipe: its parameters are used; its window is not.
        candidates: besides `all`; the `default_windows` unless given.

    Raises:
        InputError: the history is too short for the folds, or a fold has too few of either outcome.
    """
    history = History.of(rows, problem)
    parted = history.folds(FOLDS, unseen_units=True)
    tried = default_windows(history.times) if candidates is None else candidates
    windows = list(dict.fromkeys([ALL, *tried]))
    scored, learned = [], []
    for number, fold in enumerate(parted, start=1):
        report(f"backtest: fold {number} of {FOLDS}, {len(windows)} training windows")
        scores, used = _score_windows(history, fold, windows, recipe)
        scored.append(FoldScores(history.labels[fold.validate] == 1, history.units[fold.validate], scores))
        learned.append(used)
    metric, level = problem.metric.primary, 1 - 0.05 / max(1, len(windows) - 1)
    gains = _gains(metric, scored, [window.name for window in windows], level, problem)
    chosen = _best(windows, gains)
    table = _window_rows(windows, scored, learned, gains, chosen)
    reason = _window_reason(windows, gains, chosen, metric, level, plural(problem.decision.unit))
    return WindowChoice(chosen, reason, level, table)


def default_windows(times: Times) -> tuple[TrainingWindow, ...]:
    """The whole history, its last half and quarter, and weights that halve with every quarter of it.

    None shorter than `SHORTEST_WINDOW_DAYS`.
    """
    days = float((times.max() - times.min()) / DAY) if len(times) else 0.0
    half, quarter = round(days / 2), round(days / 4)
    windows = [TrainingWindow("rolling", half)] if half >= SHORTEST_WINDOW_DAYS else []
    if quarter >= SHORTEST_WINDOW_DAYS:
        windows += [TrainingWindow("rolling", quarter), TrainingWindow("decayed", quarter)]
    return (ALL, *windows)


def _score_windows(
    history: History, fold: Fold, windows: Sequence[TrainingWindow], recipe: Recipe
) -> tuple[dict[str, Probabilities], dict[str, int]]:
    """Scores of the validation rows, and the number of rows learned from, by window."""
    scores: dict[str, Probabilities] = {}
    used: dict[str, int] = {}
    for window in windows:
        weights = window.weights(history.times[fold.train])
        used[window.name] = int((weights > 0).sum())
        # A window longer than the fold's history is the whole of it, and the same model.
        if (weights == 1).all() and ALL.name in scores:
            scores[window.name] = scores[ALL.name]
        else:
            model = history.fit(fold.train, replace(recipe, window=window))
            scores[window.name] = history.scores(model, fold.validate)
    return scores, used


def _gains(
    metric: str, scored: Sequence[FoldScores], names: Sequence[str], level: float, problem: Problem
) -> dict[str, list[Estimate]]:
    """By window its gain over the whole history on every fold, then the mean of the folds."""
    points, values = replicated(metric, scored, names, problem)
    sign = metric_named(metric).sign
    points, values = sign * (points - points[:1]), sign * (values - values[:1])
    points = np.concatenate([points, points.mean(axis=1, keepdims=True)], axis=1)
    values = np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)
    return {
        name: [
            percentile_interval(float(point), replicates, level)
            for point, replicates in zip(points[at], values[at], strict=True)
        ]
        for at, name in enumerate(names)
    }


def _best(windows: Sequence[TrainingWindow], gains: dict[str, list[Estimate]]) -> TrainingWindow:
    surely_better = [window for window in windows if gains[window.name][-1].low > 0]
    return max(surely_better, key=lambda window: gains[window.name][-1].value, default=ALL)


def _window_rows(
    windows: Sequence[TrainingWindow],
    scored: Sequence[FoldScores],
    learned: Sequence[dict[str, int]],
    gains: dict[str, list[Estimate]],
    chosen: TrainingWindow,
) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for window in windows:
        name = window.name
        quality = np.array([[part.point(metric, name) for metric in ("roc_auc", "log_loss")] for part in scored])
        quality = np.concatenate([quality, quality.mean(axis=0, keepdims=True)])
        sizes = [used[name] for used in learned]
        labels = [str(number + 1) for number in range(len(scored))]
        for fold, size, (auc, loss), gain in zip(
            [*labels, _WHOLE], [*sizes, round(np.mean(sizes))], quality.tolist(), gains[name], strict=True
        ):
            values = (name, fold, size, auc, loss, gain.value, gain.low, gain.high, window == chosen)
            rows.append(dict(zip(WINDOWS.names, values, strict=True)))
    return pa.Table.from_pylist(rows, schema=WINDOWS)


def _window_reason(
    windows: Sequence[TrainingWindow],
    gains: dict[str, list[Estimate]],
    chosen: TrainingWindow,
    metric: str,
    level: float,
    units: str,
) -> str:
    others = [window for window in windows if window != ALL]
    if not others:
        return "The whole history is learned from: it would be too short if any of it were left out."
    named = chosen if chosen != ALL else max(others, key=lambda window: gains[window.name][-1].value)
    gain, title = gains[named.name][-1], metric_named(metric).title
    figures = f"{gain.value:+.4f} {title} ({gain.ci('+.4f', of=f'so few {units}', level=level)})"
    if chosen == ALL:
        return f"The whole history is learned from: no window gains significantly; the best is {named.name}, {figures}."
    return f"The window {named.name} is learned from: it gains significantly over the whole history, {figures}."
