"""What the decision at the threshold is worth, and whether the probabilities behind it can be believed.

One is acted on (a send is withheld) where its probability of the positive outcome is at least the threshold. Every
number has an interval from resamples of whole units, the same ones for all numbers, so that differences are paired.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Flags, Floats, ratio
from mlguide_assets.statistics.bootstrap import ClusterBootstrap, stacked
from mlguide_assets.statistics.intervals import Estimate, distance_interval, percentile_interval
from mlguide_assets.train.evaluation.metrics import checked
from mlguide_assets.train.evaluation.uncertainty import Replicates, standard_error
from mlguide_assets.train.models.calibration import RIDGE, fit_shift, log_odds, shift_derivatives, sigmoid

BINS = 10
CURVE_THRESHOLDS = 120
PER = 1000
"""Costs are given per this many decisions."""

DECISION_METRICS = (
    "precision",
    "recall",
    "lift",
    "withheld_share",
    "cost_per_1000",
    "cost_of_none_per_1000",
    "cost_of_all_per_1000",
    "savings_per_1000",
    "calibration_error",
    "calibration_slope",
    "calibration_intercept",
)


def decision_metrics(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    units: npt.ArrayLike,
    *,
    threshold: float,
    missed: float,
    false_alarm: float,
    repeats: int = 300,
    seed: int = 0,
) -> dict[str, Estimate]:
    """`{name: Estimate}` for each of `DECISION_METRICS`, with 95 % intervals clustered by unit.

    Args:
        labels: (n,) in {0, 1}: 1 is the positive outcome.
        probabilities: (n,) in [0, 1], of the positive outcome.
        units: (n,), the unit of each row.
        threshold: act from this probability on.
        missed: cost of not acting where the outcome is positive.
        false_alarm: cost of acting where it is not.

    - precision, recall, lift: of acting, as in `metrics.Confusion`; withheld_share: that are acted on, of all.
    - cost_per_1000: of 1,000 decisions under this policy; cost_of_none_per_1000 and cost_of_all_per_1000: of acting on
      none of them, and on all, which need no model; savings_per_1000: against the cheaper of these two on all rows.
    - calibration_error: `metrics.expected_calibration_error`, with bins that are the same in every resample. Noise
      alone makes it positive: compare it with `calibration_error_under`.
    - calibration_slope: of the outcomes' log-odds on those predicted; 1 is right, lower is too extreme, higher too
      timid. calibration_intercept: what all log-odds lack to be right on average; 0 is right, negative is predicted
      too high. As defined by Cox (1958) and used by Van Calster et al. (2019), with a slight pull towards right.

    A ratio without any row beneath it is NaN; bounds are NaN with fewer than two units, or where most resamples
    have no value. Raises ValueError on malformed input, see `metrics.checked`.
    """
    truth, scores, bootstrap = _inputs(labels, probabilities, units, repeats, seed)
    line = _Line.of(truth, scores)
    withheld, all_cheaper = scores >= threshold, _acting_on_all_is_cheaper(truth, missed, false_alarm)
    rows = np.stack([np.ones(len(truth)), truth, withheld, withheld & truth, *line.terms(truth, scores)])
    sums = stacked(bootstrap.sums(rows), _gaps_per_unit(truth, scores, bootstrap))

    def measure(sums: Floats) -> Floats:
        decision, terms, gaps = sums[:4], sums[4:-BINS], sums[-BINS:]
        decided, moved = _decided(decision, missed, false_alarm, against_all=all_cheaper), line.moved(terms, decision)
        return np.concatenate([np.stack([*decided, *moved]), ratio(gaps, decision[0])])

    points, values = bootstrap.replicated(sums, measure)
    gaps, noise = points[-BINS:], values[-BINS:] - points[-BINS:, None]
    error = distance_interval(float(np.abs(gaps).sum()), np.abs(noise).sum(axis=0))
    names = tuple(name for name in DECISION_METRICS if name != "calibration_error")
    found = estimates(names, points[:-BINS], values[:-BINS]) | {"calibration_error": error}
    return {name: found[name] for name in DECISION_METRICS}


def _inputs(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, units: npt.ArrayLike, repeats: int, seed: int
) -> tuple[Flags, Floats, ClusterBootstrap]:
    truth, scores = checked(labels, probabilities)
    bootstrap = ClusterBootstrap(np.asarray(units), repeats, seed)
    if bootstrap.clusters.shape != truth.shape:
        raise ValueError(f"units {bootstrap.clusters.shape} and labels {truth.shape} must have equal length")
    return truth, scores, bootstrap


def _acting_on_all_is_cheaper(labels: Flags, missed: float, false_alarm: float) -> bool:
    """Which of the policies without a model a saving is against: acting on none where they cost the same."""
    return bool((~labels).sum() * false_alarm < labels.sum() * missed)


def _decided(decision: Floats, missed: float, false_alarm: float, *, against_all: bool) -> list[Floats]:
    """The first eight of `DECISION_METRICS`, each (r,), from (4, r): rows, positives, withheld, withheld positives."""
    rows, positives, withheld, caught = decision
    precision = ratio(caught, withheld)
    cost = (withheld - caught) * false_alarm + (positives - caught) * missed
    none, everything = positives * missed, (rows - positives) * false_alarm
    savings = (everything if against_all else none) - cost
    return [
        precision,
        ratio(caught, positives),
        ratio(precision, ratio(positives, rows)),
        ratio(withheld, rows),
        PER * ratio(cost, rows),
        PER * ratio(none, rows),
        PER * ratio(everything, rows),
        PER * ratio(savings, rows),
    ]


def _gaps_per_unit(labels: Flags, scores: Floats, bootstrap: ClusterBootstrap) -> Any:
    """Predicted minus observed, summed per bin and unit, sparse (BINS, units); the bins of `calibration_bins`."""
    bin_of = np.searchsorted(_cuts(scores), scores, side="right")
    return bootstrap.group_sums(scores - labels, bin_of, BINS)


def _cuts(scores: Floats) -> Floats:
    """Where a new bin begins, ascending and distinct: rows in equal number, equal probabilities together."""
    return np.unique(np.sort(scores)[np.arange(1, BINS) * len(scores) // BINS]) if len(scores) else np.empty(0)


@dataclass(frozen=True, eq=False)
class _Line:
    """Slope and intercept of the outcomes on the predictions, and how they move when units are weighted.

    A replicate is one step of Newton's method from the fit on all rows, which is as good as refitting where the
    step is small (Davidson and MacKinnon, 1999) and needs only sums per unit.
    """

    centred: Floats
    tilt: Floats
    level: Floats

    @classmethod
    def of(cls, labels: Flags, scores: Floats) -> "_Line":
        given = log_odds(scores)
        centred = given - (given.mean() if len(given) else 0.0)
        directions = np.stack([centred, np.ones_like(centred)])
        return cls(centred, fit_shift(labels, given, directions), fit_shift(labels, given, directions[1:]))

    def terms(self, labels: Flags, scores: Floats) -> Floats:
        """Per row, first and second derivatives at the fit: (2 + 4 + 1 + 1, n)."""
        given, ones, truth = log_odds(scores), np.ones_like(scores), labels.astype(np.float64)
        found = []
        for directions, shift in ((np.stack([self.centred, ones]), self.tilt), (ones[None], self.level)):
            fitted = sigmoid(given + (shift[:, None] * directions).sum(axis=0))
            first, second = shift_derivatives(truth, fitted, directions)
            found += [first, second.reshape(len(shift) ** 2, -1)]
        return np.concatenate(found)

    def moved(self, terms: Floats, decision: Floats) -> tuple[Floats, Floats]:
        """Slope and intercept, each (r,), from sums of `terms` (8, r); NaN where one outcome is absent."""
        up_tilt, up_level, a, b, _, d, up, curvature = terms
        u, v = up_tilt - RIDGE * self.tilt[0], up_level - RIDGE * self.tilt[1]
        a, d = a + RIDGE, d + RIDGE
        slope = 1 + self.tilt[0] + (d * u - b * v) / (a * d - b * b)
        intercept = self.level[0] + (up - RIDGE * self.level[0]) / (curvature + RIDGE)
        one_outcome = (decision[1] == 0) | (decision[1] == decision[0])
        return np.where(one_outcome, np.nan, slope), np.where(one_outcome, np.nan, intercept)


def calibration_error_under(probabilities: npt.ArrayLike, *, repeats: int = 300, seed: int = 0) -> Estimate:
    """The calibration error that noise alone gives to perfect probabilities: mean, and central 95 %.

    Labels are drawn from the probabilities (n,) themselves, `repeats` times, each row on its own: where rows of
    one unit share what no feature sees, noise is a little larger than this. NaN without rows.
    """
    _, scores = checked(np.zeros(np.shape(probabilities)), probabilities)
    if not len(scores):
        return Estimate(*[float("nan")] * 3)
    ordered = np.sort(scores)
    starts = np.unique(np.r_[0, np.searchsorted(ordered, _cuts(scores))])
    expected = np.add.reduceat(ordered, starts)
    generator = np.random.default_rng(seed)
    # Single precision halves the time; its step of 6e-8 is less than any probability that is not rounding.
    chances = ordered.astype(np.float32)
    errors = np.empty(repeats)
    for repeat in range(repeats):
        drawn = generator.random(len(chances), dtype=np.float32) < chances
        observed = np.add.reduceat(drawn, starts, dtype=np.int64)
        errors[repeat] = np.abs(expected - observed).sum() / len(scores)
    low, high = np.quantile(errors, [0.025, 0.975])
    return Estimate(float(errors.mean()), float(low), float(high))


@dataclass(frozen=True, eq=False)
class CostCurve:
    """Savings per 1,000 decisions at each threshold, with a 95 % interval; all (t,).

    They are against the cheaper of the policies that need no model, as `savings_per_1000` of `decision_metrics`:
    `without_model` is what 1,000 decisions cost under it, and `against_all` says whether it is acting on all.
    """

    thresholds: Floats
    savings: Floats
    low: Floats
    high: Floats
    without_model: float
    against_all: bool

    @property
    def costs(self) -> Floats:
        """Cost per 1,000 decisions at each threshold, (t,)."""
        return self.without_model - self.savings


def cost_curve(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    units: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    missed: float,
    false_alarm: float,
    repeats: int = 300,
    seed: int = 0,
) -> CostCurve:
    """What each of the thresholds (t,) would have cost on these rows; other arguments as for `decision_metrics`.

    The interval is that of the difference to the policy without a model. It is one per threshold, not a band that
    holds for all of them: the lowest point of the curve is lower than what its threshold would cost on other rows.
    """
    truth, scores, bootstrap = _inputs(labels, probabilities, units, repeats, seed)
    given = np.asarray(thresholds, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    # Rows that as many thresholds reach belong together: with each threshold one group fewer is withheld.
    reached = np.searchsorted(given[order], scores, side="right")
    gain, against_all = np.where(truth, missed, -false_alarm), _acting_on_all_is_cheaper(truth, missed, false_alarm)
    without = false_alarm * ~truth if against_all else missed * truth
    sums = stacked(
        bootstrap.sums(np.stack([np.ones(len(truth)), without, missed * truth])),
        bootstrap.group_sums(gain, reached, len(given) + 1),
    )

    def measure(sums: Floats) -> Floats:
        rows, without, none = sums[:1], sums[1:2], sums[2:3]
        withheld = np.cumsum(sums[:3:-1], axis=0)[::-1]
        return PER * ratio(np.concatenate([without, withheld + without - none]), rows)

    points, values = bootstrap.replicated(sums, measure)
    names = tuple(str(index) for index in range(len(points)))
    without_model, *found = estimates(names, points, values).values()
    back = np.argsort(order, kind="stable")
    savings, low, high = (np.array([getattr(e, name) for e in found])[back] for name in ("value", "low", "high"))
    return CostCurve(given, savings, low, high, without_model.value, against_all)


def threshold_grid(probabilities: npt.ArrayLike, threshold: float) -> Floats:
    """About CURVE_THRESHOLDS thresholds, ascending, that span the probabilities (n,) and hold `threshold`.

    Evenly spaced in log-odds, as the interesting ones of a rare event lie close together near 0.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    inner = log_odds(np.quantile(scores, [0.02, 0.999]) if len(scores) else [threshold, threshold])
    low, high = min(inner[0], log_odds(threshold)), max(inner[1], log_odds(threshold))
    return np.unique(np.r_[sigmoid(np.linspace(low, high, CURVE_THRESHOLDS)), threshold])


def minimum_detectable_difference(
    replicates: Replicates, a: str, b: str, metric: str, *, power: float = 0.8, level: float = 0.95
) -> float:
    """The true difference between models a and b that such rows would show with the given power.

    (z of the two-sided level + z of the power) x standard error of the paired difference, which is the standard
    deviation of its replicates (Bloom, 1995). A smaller difference than this may well go unnoticed: "no difference
    found" then says little. In units of the metric, never negative; NaN where no interval can be given.
    """
    normal = NormalDist()
    return (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * standard_error(replicates, a, b, metric)


def estimates(names: tuple[str, ...], points: Floats, values: Floats, level: float = 0.95) -> dict[str, Estimate]:
    """Percentile intervals by name, from points (m,) and replicates (m, repeats)."""
    rows = zip(names, points.tolist(), values, strict=True)
    return {name: percentile_interval(point, replicates, level) for name, point, replicates in rows}
