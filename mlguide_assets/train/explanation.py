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

from mlguide_assets.prepare.features.tables import KEYS, LABEL
from mlguide_assets.train.candidate import matured_rows
from mlguide_assets.train.models import ServableModel
from mlguide_assets.train.shap_plots import shap_bar, shap_beeswarm

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


def explain(model: ServableModel, send_features: ibis.Table, *, seed: int, rows: int = SAMPLE_ROWS) -> Explanation:
    """Explain a seeded sample of matured sends."""
    sample = model.encoding.matrix(_sample(send_features, rows, seed))
    values = model.contributions(sample)
    names = model.encoding.names
    plots = {"shap_bar": shap_bar(names, values), "shap_beeswarm": shap_beeswarm(names, values, sample)}
    return Explanation(names, values, plots)


def _sample(send_features: ibis.Table, rows: int, seed: int) -> pa.Table:
    """Some matured sends, in order of time; of all others, the keys alone are read."""
    keys = matured_rows(send_features.select(*KEYS, LABEL)).select(list(KEYS))
    if keys.num_rows <= rows:
        return matured_rows(send_features)
    chosen = np.random.default_rng(seed).choice(keys.num_rows, rows, replace=False)
    return matured_rows(send_features.semi_join(ibis.memtable(keys.take(np.sort(chosen))), KEYS))
