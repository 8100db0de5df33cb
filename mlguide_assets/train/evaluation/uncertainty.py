"""How certain a metric is: intervals that respect that rows of one unit are alike, and a null of pure chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Flags, Floats, Integers
from mlguide_assets.statistics.bootstrap import ClusterBootstrap, stacked
from mlguide_assets.statistics.intervals import Estimate, percentile_interval
from mlguide_assets.statistics.ranking import RANKED, Ranking
from mlguide_assets.train.evaluation.metrics import METRICS, ROW_LOSSES, checked, metric_named, point


@dataclass(frozen=True, eq=False)
class Replicates:
    """Metrics of several models over the same resamples, so that their differences are paired.

    `points` (models, metrics) are the values on all rows, `values` (models, metrics, repeats) those of the
    replicates. `units` is how many units they are drawn from.
    """

    models: tuple[str, ...]
    metrics: tuple[str, ...]
    points: Floats
    values: Floats
    units: int

    def of(self, model: str, metric: str) -> tuple[float, Floats]:
        """Value on all rows, and replicates (repeats,), of one metric of one model."""
        at = self.models.index(model), self.metrics.index(metric)
        return float(self.points[at]), self.values[at]

    def estimates(self, level: float = 0.95) -> dict[str, dict[str, Estimate]]:
        """`{model: {metric: Estimate}}` with percentile intervals of the given level."""
        return {
            model: {metric: percentile_interval(*self.of(model, metric), level) for metric in self.metrics}
            for model in self.models
        }


def bootstrap_metrics(
    labels: npt.ArrayLike,
    models: Mapping[str, npt.ArrayLike],
    units: npt.ArrayLike,
    *,
    repeats: int = 300,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, dict[str, Estimate]]:
    """`{model: {metric: Estimate}}` for every metric of `METRICS`; see `replicate_metrics`."""
    return replicate_metrics(labels, models, units, repeats=repeats, seed=seed).estimates(level)


def replicate_metrics(
    labels: npt.ArrayLike,
    models: Mapping[str, npt.ArrayLike],
    units: npt.ArrayLike,
    *,
    repeats: int = 300,
    seed: int = 0,
) -> Replicates:
    """Every metric of every model on `repeats` resamples of the units.

    `labels` (n,) in {0, 1}; `models` maps a name to probabilities (n,); `units` (n,) names the unit of each
    row. With fewer than two units nothing is known about how units vary: all replicates are NaN. Raises
    ValueError on malformed input, see `metrics.checked`.
    """
    inputs = {name: checked(labels, probabilities) for name, probabilities in models.items()}
    bootstrap = ClusterBootstrap(np.asarray(units), repeats, seed)
    for name, (truth, _) in inputs.items():
        if bootstrap.clusters.shape != truth.shape:
            raise ValueError(f"units {bootstrap.clusters.shape} and {name!r} {truth.shape} must have equal length")
    points = np.array([[point(metric, *rows) for metric in METRICS] for rows in inputs.values()])
    points = points.reshape(len(inputs), len(METRICS))
    values = np.full((*points.shape, repeats), np.nan)
    if bootstrap.size > 1 and inputs:
        parts = [_PerUnit.of(*rows, bootstrap) for rows in inputs.values()]
        ends = np.cumsum([part.sums.shape[0] for part in parts])[:-1]

        def measure(sums: Floats) -> Floats:
            return np.concatenate([part.metrics(own) for part, own in zip(parts, np.split(sums, ends), strict=True)])

        replicates = bootstrap.replicated(stacked(*(part.sums for part in parts)), measure)[1]
        values = replicates.reshape(values.shape)
    return Replicates(tuple(inputs), tuple(METRICS), points, values, bootstrap.size)


@dataclass(frozen=True, eq=False)
class _PerUnit:
    """A model's rows summed per unit, once; a replicate is then a product with how often each unit was drawn.

    `sums` is sparse, (ranking.segments + losses + 1, units): rows in each segment of the ranking, sums of
    each row loss, number of rows.
    """

    ranking: Ranking
    sums: Any

    @classmethod
    def of(cls, labels: Flags, scores: Floats, bootstrap: ClusterBootstrap) -> "_PerUnit":
        ranking, ones = Ranking.of(labels, scores), np.ones(len(scores))
        in_segments = bootstrap.group_sums(ones, ranking.segment, ranking.segments)
        losses = [loss(labels, scores) for loss in ROW_LOSSES.values()]
        return cls(ranking, stacked(in_segments, bootstrap.sums(np.stack([*losses, ones]))))

    def metrics(self, sums: Floats) -> Floats:
        """Every metric (metrics, r), in the order of `METRICS`, from `sums` of resamples (k, r)."""
        weights, losses, rows = np.split(sums, [self.ranking.segments, len(sums) - 1])
        rank_sums = self.ranking.sums(weights)
        found = {name: metric(rank_sums) for name, metric in RANKED.items()}
        found |= dict(zip(ROW_LOSSES, losses / rows, strict=True))
        return np.stack([found[name] for name in METRICS])


def paired_difference(replicates: Replicates, a: str, b: str, metric: str) -> Estimate:
    """How much better model `a` is than `b`, positive where `a` is better, with a 95 % percentile interval.

    Both are measured on the same resamples, so what makes a resample easy or hard for both cancels.
    """
    sign = metric_named(metric).sign
    (value_a, replicates_a), (value_b, replicates_b) = replicates.of(a, metric), replicates.of(b, metric)
    return percentile_interval(sign * (value_a - value_b), sign * (replicates_a - replicates_b))


def standard_error(replicates: Replicates, a: str, b: str, metric: str) -> float:
    """Of the difference between two models: the standard deviation of its replicates; NaN where it has no interval."""
    if np.isnan(paired_difference(replicates, a, b, metric).low):
        return float("nan")
    return float(np.nanstd(replicates.of(a, metric)[1] - replicates.of(b, metric)[1], ddof=1))


@dataclass(frozen=True)
class PermutationNull:
    """A metric beside what it would be if labels had nothing to do with scores (mean, and central 95 %)."""

    observed: float
    null_mean: float
    null_low: float
    null_high: float
    p_value: float


def permutation_null(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, metric: str, *, repeats: int = 1000, seed: int = 0
) -> PermutationNull:
    """The metric after shuffling the labels against the fixed scores, `repeats` times.

    p = (1 + number of shuffles at least as good as observed) / (1 + repeats), which is valid at any number of
    repeats (Phipson and Smyth, 2010). All values are NaN where the metric is undefined.

    Shuffling takes rows as exchangeable. Where labels and scores both cluster strongly by unit, p <= 0.05
    came by chance in 17 % of 300 simulations (the clustered interval: 2 %): p alone must not decide.
    """
    higher_is_better = metric_named(metric).higher_is_better
    truth, scores = checked(labels, probabilities)
    observed = point(metric, truth, scores)
    if np.isnan(observed):
        return PermutationNull(*[float("nan")] * 5)
    generator = np.random.default_rng(seed)
    if metric == "pr_auc":
        null = _null_pr_auc(truth, scores, repeats, generator)
    else:
        null = _null_of_sums(*_as_sum(metric, truth, scores), int(truth.sum()), repeats, generator)
    # Sums in another order differ in the last digits: without a tolerance, ties would count as worse.
    tolerance = 1e-10 * abs(observed)
    as_good = null >= observed - tolerance if higher_is_better else null <= observed + tolerance
    low, high = np.quantile(null, [0.025, 0.975])
    p_value = (1 + int(as_good.sum())) / (1 + repeats)
    return PermutationNull(observed, float(null.mean()), float(low), float(high), p_value)


def _as_sum(metric: str, labels: Flags, scores: Floats) -> tuple[Floats, float, float]:
    """Values (n,), offset and scale: the metric is offset + scale x the sum over positive rows."""
    n, positives = len(labels), int(labels.sum())
    if metric == "roc_auc":
        from scipy.stats import rankdata

        pairs = positives * (n - positives)
        return rankdata(scores), -positives * (positives + 1) / 2 / pairs, 1 / pairs
    loss = ROW_LOSSES[metric]
    if_negative = loss(np.zeros(n, dtype=bool), scores)
    return loss(np.ones(n, dtype=bool), scores) - if_negative, float(if_negative.mean()), 1 / n


def _null_of_sums(
    values: Floats, offset: float, scale: float, positives: int, repeats: int, generator: np.random.Generator
) -> Floats:
    # To shuffle labels is to draw which rows are positive; drawing the smaller class is the same and cheaper.
    n = len(values)
    smaller = min(positives, n - positives)
    sums = np.array([values[_subset(n, smaller, generator)].sum() for _ in range(repeats)])
    return offset + scale * (sums if smaller == positives else values.sum() - sums)


def _null_pr_auc(labels: Flags, scores: Floats, repeats: int, generator: np.random.Generator) -> Floats:
    n, positives = len(labels), int(labels.sum())
    _, level, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    flagged = np.cumsum(counts)
    null = np.empty(repeats)
    for repeat in range(repeats):
        gained = np.bincount(level[_subset(n, positives, generator)], minlength=len(counts))
        null[repeat] = (gained * (np.cumsum(gained) / flagged)).sum() / positives
    return null


def _subset(n: int, size: int, generator: np.random.Generator) -> Integers:
    return generator.choice(n, size, replace=False, shuffle=False)
