"""What the evaluation measures: four metrics, the confusion matrix at a threshold, and calibration.

Every metric is written so that it also takes weights cheaply (see `ROW_LOSSES` and `statistics.ranking`),
because the bootstrap in `uncertainty` computes it hundreds of times. How certain a number is belongs there, not here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Flags, Floats
from mlguide_assets.statistics.intervals import wilson_bounds
from mlguide_assets.statistics.ranking import RANKED, RankSums

# XGBoost's probabilities are float32, whose resolution near 1 is 6e-8: anything closer to 0 or 1 than this
# is rounding, and without a limit a single certain and wrong row would make the whole mean infinite.
SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Metric:
    """One quality measure: its name in code, and how to present it to a reader."""

    name: str
    title: str
    description: str
    higher_is_better: bool

    @property
    def sign(self) -> float:
        """What a difference of two values is multiplied with, so that more is better."""
        return 1.0 if self.higher_is_better else -1.0


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "roc_auc",
            "ROC AUC",
            "Chance that a random positive is scored above a random negative: 0.5 is guessing, 1 is perfect.",
            higher_is_better=True,
        ),
        Metric(
            "pr_auc",
            "PR AUC",
            "Average precision over all thresholds: guessing reaches the base rate, 1 is perfect.",
            higher_is_better=True,
        ),
        Metric(
            "log_loss",
            "Log-loss",
            "Mean surprise at the outcome, in nats: certain mistakes cost most, 0 is perfect.",
            higher_is_better=False,
        ),
        Metric(
            "brier",
            "Brier score",
            "Mean squared distance between probability and outcome: 0 is perfect.",
            higher_is_better=False,
        ),
    )
}


def checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Flags, Floats]:
    """Labels as booleans (n,) and probabilities as float64 (n,).

    Raises ValueError where the lengths differ, a label is not 0 or 1, or a probability is missing or
    outside [0, 1].
    """
    truth = np.asarray(labels, dtype=np.float64)
    scores = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise ValueError(f"labels {truth.shape} and probabilities {scores.shape} must both be (n,) arrays")
    known = np.isin(truth, (0.0, 1.0))
    _refuse_first(truth, ~known, "labels must be 0 or 1 (leave out rows whose label is not known yet)")
    _refuse_first(scores, ~((scores >= 0) & (scores <= 1)), "probabilities must lie in [0, 1]")
    return truth == 1, scores


def _refuse_first(values: Floats, wrong: Flags, rule: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{rule}, got {values[row]} in row {row} ({int(wrong.sum())} such rows)")


def log_loss_rows(labels: Flags, probabilities: Floats) -> Floats:
    """Log-loss of each row (n,), in nats: -log of the probability given to what happened."""
    clipped = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -np.log(np.where(labels, clipped, 1 - clipped))


def brier_rows(labels: Flags, probabilities: Floats) -> Floats:
    """Squared error of each row (n,)."""
    return np.square(probabilities - labels)


# Metrics that are a weighted mean of a loss per row.
ROW_LOSSES: dict[str, Callable[[Flags, Floats], Floats]] = {"log_loss": log_loss_rows, "brier": brier_rows}


def metric_named(name: str) -> Metric:
    """The metric called `name`; ValueError listing the known names otherwise."""
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}: expected one of {', '.join(METRICS)}")
    return METRICS[name]


def point(metric: str, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Value of one of `METRICS` on labels (n,) in {0, 1} and probabilities (n,) in [0, 1].

    NaN where it is undefined: without rows, without positives, or (roc_auc) without negatives.

    >>> point("roc_auc", labels=[0, 1, 0, 1], probabilities=[0.1, 0.8, 0.3, 0.2])
    0.75
    """
    metric_named(metric)
    truth, scores = checked(labels, probabilities)
    if not len(truth):
        return float("nan")
    if metric in ROW_LOSSES:
        return float(ROW_LOSSES[metric](truth, scores).mean())
    return float(RANKED[metric](RankSums.of(truth, scores))[0])


@dataclass(frozen=True)
class Confusion:
    """Counts of rows by decision and outcome. A ratio without any row beneath it is NaN."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def precision(self) -> float:
        """Share of flagged rows that are positive."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of positive rows that are flagged."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def base_rate(self) -> float:
        """Share of all rows that are positive."""
        return _share(self.tp + self.fn, self.tp + self.fp + self.fn + self.tn)

    @property
    def lift(self) -> float:
        """Precision over base rate: how much richer in positives the flagged rows are than all rows."""
        base_rate = self.base_rate
        return self.precision / base_rate if base_rate else float("nan")

    def cost(self, *, tp: float = 0.0, fp: float = 0.0, fn: float = 0.0, tn: float = 0.0) -> float:
        """Total cost, given the cost of one row of each kind; a gain is a negative cost."""
        return tp * self.tp + fp * self.fp + fn * self.fn + tn * self.tn


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def confusion(labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float) -> Confusion:
    """Decisions against outcomes; a row is flagged where its probability is at least `threshold`.

    >>> confusion([0, 1, 0, 1], [0.1, 0.8, 0.3, 0.2], threshold=0.3)
    Confusion(tp=1, fp=1, fn=1, tn=1)
    """
    truth, scores = checked(labels, probabilities)
    flagged = scores >= threshold
    tp, fp = int((flagged & truth).sum()), int((flagged & ~truth).sum())
    positives = int(truth.sum())
    return Confusion(tp, fp, positives - tp, len(truth) - positives - fp)


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of similar probability: what was predicted, what happened, and the interval of the true rate."""

    mean_predicted: float
    observed_rate: float
    low: float
    high: float
    n: int


def calibration_bins(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 10, *, level: float = 0.95
) -> list[CalibrationBin]:
    """Rows sorted by probability and cut into at most `bins` groups of equal count, lowest first.

    Equal probabilities stay together, so that the order of the rows cannot matter: where they are many
    there are fewer bins, down to one for a constant prediction. The interval is Wilson's (1927), which
    stays inside [0, 1] and holds at low rates; it takes rows as independent, so it is somewhat narrow where
    rows of one unit are alike.
    """
    truth, scores = checked(labels, probabilities)
    if not len(truth):
        return []
    order = np.argsort(scores, kind="stable")
    truth, scores = truth[order], scores[order]
    cuts = scores[np.arange(1, bins) * len(scores) // bins]
    starts = np.unique(np.r_[0, np.searchsorted(scores, cuts)])
    counts = np.diff(np.r_[starts, len(scores)])
    predicted = np.add.reduceat(scores, starts) / counts
    positives = np.add.reduceat(truth.astype(np.float64), starts)
    observed = positives / counts
    low, high = wilson_bounds(positives, counts, level)
    columns = (values.tolist() for values in (predicted, observed, low, high, counts))
    return [CalibrationBin(*row) for row in zip(*columns, strict=True)]


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean distance between predicted and observed rate, bins weighted by their rows; NaN without bins.

    Never negative, so noise alone makes it positive even for perfect probabilities: compare it with the
    value that the oracle, or labels drawn from the probabilities, reach on as many rows.
    """
    rows = sum(each.n for each in bins)
    gaps = sum(each.n * abs(each.mean_predicted - each.observed_rate) for each in bins)
    return gaps / rows if rows else float("nan")
