"""Judging the models on the test window: every metric with an interval, and pictures."""

from dataclasses import dataclass

import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.train.metrics import Confusion, calibration_bins, confusion, expected_calibration_error
from mlguide_assets.train.models import CANDIDATE
from mlguide_assets.train.plots import (
    calibration_curve,
    confusion_matrix,
    pr_curves,
    roc_curves,
    score_histogram,
)
from mlguide_assets.train.uncertainty import Estimate, bootstrap_metrics

ORACLE = "oracle"
_NOT_MODELS = ("user_id", "email_id", "delivered_at", "label")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Estimates per model and metric, the decision's outcome at the threshold, and plots as PNG bytes."""

    estimates: dict[str, dict[str, Estimate]]
    confusion: Confusion
    threshold: float
    calibration_error: float
    plots: dict[str, bytes]

    def numbers(self) -> dict[str, float]:
        """The candidate's figures under names that stay the same from run to run."""
        own = {metric: estimate.value for metric, estimate in self.estimates[CANDIDATE].items()}
        return own | {
            "calibration_error": self.calibration_error,
            "precision": self.confusion.precision,
            "recall": self.confusion.recall,
            "lift": self.confusion.lift,
        }

    def table(self) -> pa.Table:
        """One row per model and metric: model, metric, value, low, high."""
        rows = [
            {"model": model, "metric": metric, "value": e.value, "low": e.low, "high": e.high}
            for model, metrics in self.estimates.items()
            for metric, e in metrics.items()
        ]
        return pa.Table.from_pylist(rows)


def evaluate(scores: pa.Table, problem: Problem) -> Evaluation:
    """Evaluate every model whose scores are a column of the table, the oracle among them where it is known.

    Args:
        scores: user_id, label and one column of probabilities per model; the rows of the test window.
    """
    labels = scores["label"].to_numpy()
    models = {name: scores[name].to_numpy() for name in scores.column_names if name not in _NOT_MODELS}
    settings = problem.evaluation
    estimates = bootstrap_metrics(
        labels, models, scores["user_id"].to_numpy(), repeats=settings.bootstrap_repeats, seed=settings.seed
    )
    threshold = problem.costs.threshold
    candidate = models[CANDIDATE]
    outcome = confusion(labels, candidate, threshold)
    bins = {name: calibration_bins(labels, models[name]) for name in (CANDIDATE, ORACLE) if name in models}
    plots = {
        "roc_curve": roc_curves(labels, models, subject=CANDIDATE),
        "pr_curve": pr_curves(labels, models, subject=CANDIDATE),
        "calibration": calibration_curve(bins, subject=CANDIDATE),
        "confusion_matrix": confusion_matrix(outcome, threshold),
        "score_histogram": score_histogram(labels, candidate),
    }
    return Evaluation(estimates, outcome, threshold, expected_calibration_error(bins[CANDIDATE]), plots)
