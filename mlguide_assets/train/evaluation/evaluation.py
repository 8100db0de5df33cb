"""Evaluates the models on the test window: every metric with an interval, and pictures."""

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.decisions import cost_curve, decision_metrics, threshold_grid
from mlguide_assets.train.evaluation.fairness import fairness
from mlguide_assets.train.evaluation.metrics import calibration_bins, confusion
from mlguide_assets.train.evaluation.slices import SliceSettings, slice_gaps, slice_metrics
from mlguide_assets.train.evaluation.uncertainty import bootstrap_metrics
from mlguide_assets.train.plots.decisions import cost_plot
from mlguide_assets.train.plots.evaluation import (
    calibration_curve,
    confusion_matrix,
    pr_curves,
    roc_curves,
    score_histogram,
)
from mlguide_assets.train.plots.slices import slice_plot
from mlguide_assets.train.rows import clusters_of

ORACLE = "oracle"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Estimates per model and metric, slices and groups of the candidate, and plots as PNG bytes.

    `candidate` names the model that is the candidate. `slices` and `groups` are tables as `slices.py` makes them.
    """

    candidate: str
    estimates: dict[str, dict[str, Estimate]]
    slices: pa.Table
    groups: pa.Table
    plots: dict[str, bytes]

    def numbers(self) -> dict[str, float]:
        """The candidate's figures under names that stay the same from run to run."""
        return {metric: estimate.value for metric, estimate in self.estimates[self.candidate].items()}

    def table(self) -> pa.Table:
        """One row per model and metric: model, metric, value, low, high."""
        rows = [
            {"model": model, "metric": metric, "value": e.value, "low": e.low, "high": e.high}
            for model, metrics in self.estimates.items()
            for metric, e in metrics.items()
        ]
        return pa.Table.from_pylist(rows)


def evaluate(scores: pa.Table, rows: pa.Table, candidate: str, problem: Problem) -> Evaluation:
    """Evaluate every model whose scores are a column of the table, the oracle among them where it is known.

    Args:
        scores: keys of the decision, label and one column of probabilities per model; the rows of the test window.
        rows: `with_columns` of the same decisions.
        candidate: which of the models is the candidate, which is evaluated in more detail than the others.
    """
    labels, units = scores["label"].to_numpy(), clusters_of(scores, problem)
    others = ("label", *problem.decision.keys)
    models = {name: scores[name].to_numpy() for name in scores.column_names if name not in others}
    settings = problem.evaluation
    draws: dict[str, Any] = {"repeats": settings.bootstrap_repeats, "seed": settings.seed}
    estimates = bootstrap_metrics(labels, models, units, **draws)
    costs = problem.costs
    for name in (candidate, ORACLE):
        if name in models:
            estimates[name] |= decision_metrics(
                labels,
                models[name],
                units,
                threshold=costs.threshold,
                missed=costs.missed,
                false_alarm=costs.false_alarm,
                **draws,
            )
    unit, least = problem.decision.unit_id, settings.min_positives
    sliced = SliceSettings(candidate, unit, costs.threshold, least, settings.bootstrap_repeats, settings.seed)
    slices = slice_metrics(rows, problem.slices, sliced)
    gaps = slice_gaps(rows, problem.slices, sliced)
    groups = fairness(rows, settings.sensitive, sliced)
    plots = _plots(labels, units, models, candidate, slices, problem)
    return Evaluation(candidate, estimates, pa.concat_tables([slices, gaps]), groups, plots)


def with_columns(test_predictions: ibis.Table, features: ibis.Table, candidate: str, problem: Problem) -> ibis.Table:
    """The candidate's scores of the test window beside the columns that slices and groups are made of."""
    columns = dict.fromkeys((*problem.slices, *problem.evaluation.sensitive))
    keys = problem.decision.keys
    joined = test_predictions.select(*keys, "label", candidate).inner_join(features.select(*keys, *columns), keys)
    return joined.order_by(*problem.decision.order)


def _plots(
    labels: npt.NDArray[np.int8],
    units: npt.NDArray[np.int64],
    models: dict[str, npt.NDArray[np.float64]],
    candidate: str,
    slices: pa.Table,
    problem: Problem,
) -> dict[str, bytes]:
    costs, own = problem.costs, models[candidate]
    threshold = costs.threshold
    curve = cost_curve(
        labels,
        own,
        units,
        threshold_grid(own, threshold),
        missed=costs.missed,
        false_alarm=costs.false_alarm,
        repeats=problem.evaluation.bootstrap_repeats,
        seed=problem.evaluation.seed,
    )
    bins = {name: calibration_bins(labels, models[name]) for name in (candidate, ORACLE) if name in models}
    return {
        "roc_curve": roc_curves(labels, models, subject=candidate),
        "pr_curve": pr_curves(labels, models, subject=candidate),
        "calibration": calibration_curve(bins, subject=candidate),
        "confusion_matrix": confusion_matrix(confusion(labels, own, threshold), threshold),
        "cost_curve": cost_plot(curve, threshold, problem.decision),
        "score_histogram": score_histogram(labels, own),
        "slices": slice_plot(slices, problem.decision.unit),
    }


def evaluation_columns(problem: Problem) -> dict[str, str]:
    """Column of `Evaluation.table` → meaning."""
    return {
        "model": "The model: the candidate, a baseline, or the oracle, which is the simulator's own probability.",
        "metric": "The metric.",
        "value": "The metric on the test window.",
        "low": f"Lower end of the 95 % interval, from a bootstrap of {plural(problem.decision.unit)}.",
        "high": "Upper end of the 95 % interval.",
    }
