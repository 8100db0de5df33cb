"""Why the model says what it says: exact SHAP contributions.

XGBoost computes those of its trees itself (`pred_contribs`, path-dependent TreeSHAP, Lundberg et al. 2020); a
linear model is the sum of its own. The `shap` package draws the beeswarm. A sample is explained, since the cost is
per row and a mean over some thousand rows moves no more.
"""

from dataclasses import dataclass

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.plots.explanation import shap_bar, shap_beeswarm
from mlguide_assets.train.rows import matured_rows, sampled_rows

SAMPLE_ROWS = 2_000


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions (rows, features) in log-odds for a sample of rows, and their pictures."""

    names: list[str]
    contributions: npt.NDArray[np.float32]
    plots: dict[str, bytes]

    def table(self) -> pa.Table:
        """One row per feature, the most important first: feature, mean_abs_contribution, share, rank."""
        strength = np.abs(self.contributions).mean(axis=0, dtype=np.float64)
        order = np.argsort(-strength, kind="stable")
        total = strength.sum() or 1.0
        return pa.table(
            {
                "feature": [self.names[i] for i in order],
                "mean_abs_contribution": strength[order],
                "share": strength[order] / total,
                "rank": np.arange(1, len(order) + 1),
            }
        )


def explain(model: ServableModel, features: ibis.Table, problem: Problem, *, rows: int = SAMPLE_ROWS) -> Explanation:
    """Explain a seeded sample of matured decisions."""
    sample = model.encoding.matrix(_sample(features, problem, rows))
    values = model.contributions(sample)
    names = model.encoding.names
    plots = {"shap_bar": shap_bar(names, values), "shap_beeswarm": shap_beeswarm(names, values, sample)}
    return Explanation(names, values, plots)


def _sample(features: ibis.Table, problem: Problem, rows: int) -> pa.Table:
    """Some matured decisions, in order of time; of all others, the keys alone are read."""
    names = problem.decision.keys
    keys = sampled_rows(features.select(*names, problem.label.column), problem).select(list(names))
    if keys.num_rows <= rows:
        return matured_rows(features, problem)
    chosen = np.random.default_rng(problem.evaluation.seed).choice(keys.num_rows, rows, replace=False)
    return matured_rows(features.semi_join(ibis.memtable(keys.take(np.sort(chosen))), names), problem)


COLUMNS = {
    "feature": "The feature.",
    "mean_abs_contribution": "Mean absolute SHAP contribution to the log-odds, over the rows explained.",
    "share": "Its share of the sum over all features.",
    "rank": "1 is the feature that moves the risk most.",
}
"""Column → meaning."""
