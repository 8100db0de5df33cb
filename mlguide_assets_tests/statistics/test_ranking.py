"""Ranking metrics under weights against scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle  # type: ignore[import-untyped]

from mlguide_assets.statistics.ranking import RANKED, Ranking, RankSums

ORACLES: dict[str, Callable[..., float]] = {
    "roc_auc": oracle.roc_auc_score,
    "pr_auc": oracle.average_precision_score,
}
# Scores on a coarse grid, so that ties within and between the classes are the rule.
TIED_ROWS = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=2, max_size=40)


@pytest.mark.parametrize("metric", RANKED)
@settings(deadline=None, max_examples=50)
@given(rows=TIED_ROWS, seed=st.integers(0, 99))
def test_each_form_is_scikit_learns_with_weights(metric: str, rows: list[tuple[bool, int]], seed: int) -> None:
    labels, tenths = np.array(rows).T
    weights = np.random.default_rng(seed).integers(0, 3, len(labels)).astype(np.float64)
    if not weights[labels == 1].any() or not weights[labels == 0].any():
        return
    expected = ORACLES[metric](labels, tenths / 10, sample_weight=weights)
    ranking = Ranking.of(labels == 1, tenths / 10)
    by_segment = ranking.sums(np.bincount(ranking.segment, weights, ranking.segments)[:, None])
    by_level = RankSums.of_levels(*(np.bincount(tenths, weights * (labels == each))[:, None] for each in (1, 0)))
    repeated = np.repeat(np.arange(len(labels)), weights.astype(int))
    by_row = RankSums.of(labels[repeated] == 1, tenths[repeated] / 10)
    for sums in (by_segment, by_level, by_row):
        assert RANKED[metric](sums)[0] == pytest.approx(expected, abs=1e-12)
