"""What the past says of two questions: which part of the history to learn from, and how fast a model ages.

Every fit is the one that training would have made at the time, choice of rounds and calibration included, and every
comparison is on the same rows and the same resamples of users. Beyond `MOST_ROWS` whole users are left out, drawn by
hash, so that more rows take no longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.statistics.arrays import Flags, Floats, Integers, ratio
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.statistics.intervals import Estimate, percentile_interval
from mlguide_assets.statistics.ranking import RANKED, Ranking
from mlguide_assets.train.encoding import Encoding
from mlguide_assets.train.folds import (
    Fold,
    Rows,
    Users,
    expanding_folds,
    folds_from,
    refuse_one_outcome,
    rows_of_some_users,
)
from mlguide_assets.train.metrics import ROW_LOSSES, metric_named, point
from mlguide_assets.train.models import Boosted, Labels, Probabilities, fit_xgboost
from mlguide_assets.train.recipe import Recipe, TrainingWindow
from mlguide_assets.train.rows import clusters_of
from mlguide_assets.train.split import Times

Report = Callable[[str], None]

UNSEEN_USERS = 0.3
"""Share of the users whom a fold keeps from training, to be judged on theirs."""

MOST_ROWS = 150_000
"""About twenty fits, of a few seconds each on two cores, for window and ageing together."""

SHORTEST_WINDOW_DAYS = 28
"""A window that leaves out more of the days of a week or month than of others would learn them wrongly."""

MOST_PERIODS = 6
LEAST_REPEATS = 1000
"""An interval that allows for several comparisons ends at rare resamples, of which there must be some."""

ALL = TrainingWindow()
_DAY = np.timedelta64(timedelta(days=1))
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


@dataclass(frozen=True, eq=False)
class History:
    """Matured rows of `send_features` before the test window, and what a recipe learns from some of them."""

    rows: pa.Table
    problem: Problem

    @classmethod
    def of(cls, rows: pa.Table, problem: Problem, most_rows: int = MOST_ROWS) -> "History":
        kept = rows_of_some_users(clusters_of(rows, problem), most_rows, problem.evaluation.seed)
        return cls(rows if len(kept) == rows.num_rows else rows.take(kept), problem)

    @cached_property
    def labels(self) -> Labels:
        return np.asarray(self.rows[self.problem.label.column].to_numpy())

    @cached_property
    def times(self) -> Times:
        return np.asarray(self.rows[self.problem.decision.time].to_numpy())

    @cached_property
    def users(self) -> Users:
        return clusters_of(self.rows, self.problem)

    def folds(self, folds: int, *, unseen_users: bool) -> list[Fold]:
        """Folds ordered in time.

        Args:
            unseen_users: whether each is judged on users that it does not learn from. What is chosen so is what
                generalises, not what remembers users.
        """
        found = expanding_folds(
            self.times,
            folds=folds,
            gap=self.problem.label.window,
            users=self.users if unseen_users else None,
            holdout_users=UNSEEN_USERS if unseen_users else 0.0,
            seed=self.problem.evaluation.seed,
        )
        refuse_one_outcome(self.labels, found)
        return found

    def fit(self, train: Rows, recipe: Recipe) -> Boosted:
        """The model that training would have made of these rows."""
        known = self.rows.take(train)
        encoding = Encoding.fit(known, features_of(self.problem))
        return fit_xgboost(
            encoding.matrix(known),
            self.labels[train],
            self.times[train],
            encoding,
            gap=self.problem.label.window,
            seed=self.problem.evaluation.seed,
            recipe=recipe,
        )

    def scores(self, model: Boosted, validate: Rows) -> Probabilities:
        return model.predict(model.encoding.matrix(self.rows.take(validate)))


@dataclass(frozen=True, eq=False)
class Judged:
    """What several models said of the rows of one validation window; all arrays are (n,)."""

    labels: Flags
    users: Users
    scores: dict[str, Probabilities]

    def point(self, metric: str, model: str) -> float:
        return point(metric, self.labels, self.scores[model])


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
    folds: int = 3,
    report: Report = lambda _: None,
) -> WindowChoice:
    """Learn from each window before each fold, and leave the whole history only for what is surely better.

    Judged by the mean over folds of the primary metric. A window wins only if the whole interval of its gain over
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
    parted = history.folds(folds, unseen_users=True)
    tried = default_windows(history.times) if candidates is None else candidates
    windows = list(dict.fromkeys([ALL, *tried]))
    judged, learned = [], []
    for number, fold in enumerate(parted, start=1):
        report(f"backtest: fold {number} of {folds}, {len(windows)} training windows")
        scores, used = _judge_windows(history, fold, windows, recipe)
        judged.append(Judged(history.labels[fold.validate] == 1, history.users[fold.validate], scores))
        learned.append(used)
    metric, level = problem.metric.primary, 1 - 0.05 / max(1, len(windows) - 1)
    gains = _gains(metric, judged, [window.name for window in windows], level, problem)
    chosen = _best(windows, gains)
    table = _window_rows(windows, judged, learned, gains, chosen)
    return WindowChoice(chosen, _window_reason(windows, gains, chosen, metric, level), level, table)


def default_windows(times: Times) -> tuple[TrainingWindow, ...]:
    """The whole history, its last half and quarter, and weights that halve with every quarter of it.

    None shorter than `SHORTEST_WINDOW_DAYS`.
    """
    days = float((times.max() - times.min()) / _DAY) if len(times) else 0.0
    half, quarter = round(days / 2), round(days / 4)
    windows = [TrainingWindow("rolling", half)] if half >= SHORTEST_WINDOW_DAYS else []
    if quarter >= SHORTEST_WINDOW_DAYS:
        windows += [TrainingWindow("rolling", quarter), TrainingWindow("decayed", quarter)]
    return (ALL, *windows)


def _judge_windows(
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
    metric: str, judged: Sequence[Judged], names: Sequence[str], level: float, problem: Problem
) -> dict[str, list[Estimate]]:
    """By window its gain over the whole history on every fold, then the mean of the folds."""
    points, values = _replicated(metric, judged, names, problem)
    sign = 1.0 if metric_named(metric).higher_is_better else -1.0
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
    judged: Sequence[Judged],
    learned: Sequence[dict[str, int]],
    gains: dict[str, list[Estimate]],
    chosen: TrainingWindow,
) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for window in windows:
        name = window.name
        quality = np.array([[part.point(metric, name) for metric in ("roc_auc", "log_loss")] for part in judged])
        quality = np.concatenate([quality, quality.mean(axis=0, keepdims=True)])
        sizes = [used[name] for used in learned]
        labels = [str(number + 1) for number in range(len(judged))]
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
) -> str:
    others = [window for window in windows if window != ALL]
    if not others:
        return "The whole history is learned from: it would be too short if any of it were left out."
    told = chosen if chosen != ALL else max(others, key=lambda window: gains[window.name][-1].value)
    gain, title = gains[told.name][-1], metric_named(metric).title
    figures = f"{gain.value:+.4f} {title} ({100 * level:.3g} % interval {gain.low:+.4f} to {gain.high:+.4f})"
    if chosen == ALL:
        return f"The whole history is learned from: no window surely gains; the best, {told.name}, gains {figures}."
    return f"The window {told.name} is learned from: it surely gains over the whole history, {figures}."


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
        value, low, high = (self.per_30_days.value, self.per_30_days.low, self.per_30_days.high)
        if np.isnan([value, low, high]).any():
            return "The history is too short to tell what age costs a model"
        interval = f"(95 %: {low:.4f} to {high:.4f})"
        if low > 0:
            return f"Every 30 days without retraining cost {value:.4f} ROC AUC {interval}"
        if high < 0:
            return f"Every 30 days without retraining won {-value:.4f} ROC AUC (95 %: {-high:.4f} to {-low:.4f})"
        return f"No cost of age can be told from chance: {value:.4f} ROC AUC per 30 days {interval}"


def staleness_curve(rows: pa.Table, problem: Problem, *, recipe: Recipe, report: Report = lambda _: None) -> Staleness:
    """Train on the earliest part of the history, and see the model age over the rest.

    Periods are of whole weeks, equal but for the last, at most `MOST_PERIODS`, each with at least
    `evaluation.min_positives` lost users where the history allows. The loss is that of not retraining: the world has
    moved on, and what came since has not been learned from.

    Args:
        rows: matured rows of `send_features` before the test window.

    Raises:
        InputError: the history is too short, or has too few of either outcome, to train on its earliest part.
    """
    history = History.of(rows, problem)
    first = history.folds(1, unseen_users=False)[0]
    starts = _period_starts(history, first.validate_start)
    folds = folds_from(history.times, starts, problem.label.window)
    judged, first_model = [], None
    for number, fold in enumerate(folds, start=1):
        report(f"ageing: period {number} of {len(starts)}, from {fold.validate_start.astype('datetime64[D]')}")
        retrained = history.fit(fold.train, recipe)
        first_model = first_model or retrained
        models = {"aged": first_model, "retrained": retrained}
        scores = {name: history.scores(model, fold.validate) for name, model in models.items()}
        judged.append(Judged(history.labels[fold.validate] == 1, history.users[fold.validate], scores))
    return _aged(judged, folds, problem)


def _period_starts(history: History, start: np.datetime64) -> Times:
    """Starts of the shortest periods that are few enough and hold enough of both outcomes; else of one period."""
    later = history.times >= start
    times, labels = history.times[later], history.labels[later]
    least = history.problem.evaluation.min_positives
    weeks = float((times.max() - start) / _DAY) / 7
    for length in range(max(1, int(np.ceil(weeks / MOST_PERIODS))), int(np.ceil(weeks))):
        starts = start + np.arange(int(np.ceil(weeks / length))) * length * 7 * _DAY
        in_period = np.searchsorted(starts, times, side="right") - 1
        counts = np.stack([np.bincount(in_period[labels == value], minlength=len(starts)) for value in (0, 1)])
        enough = counts.min(axis=0) >= least
        if enough[:-1].all() and len(starts) > 1:
            # What is left at the end belongs to the period before it, if it is too little for one of its own.
            return starts if enough[-1] else starts[:-1]
    return np.array([start])


def _aged(judged: Sequence[Judged], folds: Sequence[Fold], problem: Problem) -> Staleness:
    points, values = _replicated("roc_auc", judged, ("aged", "retrained"), problem)
    losses, resampled = points[1] - points[0], values[1] - values[0]
    start = folds[0].validate_start
    low = np.array([(fold.validate_start - start) / _DAY for fold in folds])
    high = np.append(low[1:], (folds[-1].validate_end - start) / _DAY)
    rows = []
    for at, part in enumerate(judged):
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


def _replicated(metric: str, judged: Sequence[Judged], names: Sequence[str], problem: Problem) -> tuple[Floats, Floats]:
    """A metric of every model on every part: points (models, parts) and replicates (models, parts, repeats).

    A resample draws the same users for all models and all parts, since a user has rows in several of them.
    """
    repeats = max(problem.evaluation.bootstrap_repeats, LEAST_REPEATS)
    bootstrap = ClusterBootstrap(np.concatenate([part.users for part in judged]), repeats, problem.evaluation.seed)
    points = np.array([[part.point(metric, name) for part in judged] for name in names])
    values = np.full((*points.shape, repeats), np.nan)
    if bootstrap.size < 2:
        return points, values
    codes = np.split(bootstrap.codes, np.cumsum([len(part.users) for part in judged])[:-1])
    measures = {
        (model, at): _measure(metric, part.labels, part.scores[name], codes[at], bootstrap.size)
        for model, name in enumerate(names)
        for at, part in enumerate(judged)
    }
    start = 0
    for counts in bootstrap.draws():
        for place, measure in measures.items():
            values[place][start : start + counts.shape[1]] = measure(counts)
        start += counts.shape[1]
    return points, values


def _measure(
    metric: str, labels: Flags, scores: npt.NDArray[np.float64], users: Integers, size: int
) -> Callable[[Floats], Floats]:
    """From how often each user was drawn, (size, r), to the metric (r,); NaN where it is undefined.

    The sums per user are sparse for the reason given in `statistics.bootstrap`.
    """
    from scipy.sparse import csr_array

    if metric in ROW_LOSSES:
        sums = [
            np.bincount(users, values, size) for values in (ROW_LOSSES[metric](labels, scores), np.ones(len(users)))
        ]
        per_user = csr_array(np.array(sums))

        return lambda counts: ratio(*(per_user @ counts))
    ranking = Ranking.of(labels, scores)
    in_segments = csr_array((np.ones(len(users)), (ranking.segment, users)), shape=(ranking.segments, size))
    return lambda counts: RANKED[metric](ranking.sums(in_segments @ counts))
