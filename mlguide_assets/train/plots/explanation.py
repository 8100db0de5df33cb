"""Pictures of an explanation: which features move the risk, and which way."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets.train.plots.drawing import INK, PALETTE, as_text, new_axes, to_png

TOP_FEATURES = 15
SWARM_ROWS = 1500


def _per_feature(feature_names: Sequence[str], values: npt.ArrayLike, what: str) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(feature_names) or not len(table):
        raise ValueError(
            f"{what} must be (n, {len(feature_names)}) with n > 0, one column per feature, got {table.shape}"
            " (the last column of XGBoost's pred_contribs is the bias: leave it out)"
        )
    return table


def _strongest(contributions: Floats) -> tuple[Integers, Floats]:
    """Indices of the TOP_FEATURES columns with the largest mean absolute contribution, and those means."""
    strength = np.abs(contributions).mean(axis=0)
    top = np.argsort(-strength, kind="stable")[:TOP_FEATURES]
    return top, strength[top]


def shap_bar(feature_names: Sequence[str], contributions: npt.ArrayLike) -> bytes:
    """Mean absolute contribution (log-odds) of the strongest features; contributions (n, k), no bias.

    Raises ValueError where the columns of `contributions` are not the features.
    """
    top, strength = _strongest(_per_feature(feature_names, contributions, "contributions"))
    names = [as_text(feature_names[index]) for index in top]
    title = f"{names[0]} moves predictions most: by {strength[0]:#.2g} log-odds on average"
    axes = new_axes(title, "Mean absolute contribution (log-odds)", "", height=1.4 + 0.3 * len(top))
    axes.bar_label(axes.barh(names, strength, color=PALETTE[0], height=0.7), fmt=" {:#.2g}", color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08, y=0.02)
    return to_png(axes)


def shap_beeswarm(
    feature_names: Sequence[str],
    contributions: npt.ArrayLike,
    feature_values: npt.ArrayLike,
    *,
    seed: int = 0,
) -> bytes:
    """Contributions (n, k) of the strongest features, a dot per row, coloured by feature value (n, k).

    A value of NaN is grey: use it where a value is missing or, as in a category, has no order. Of many rows a
    sample of SWARM_ROWS is drawn. Raises ValueError where the columns of either table are not the features.
    """
    import shap

    pushes = _per_feature(feature_names, contributions, "contributions")
    values = _per_feature(feature_names, feature_values, "feature_values")
    top, _ = _strongest(pushes)
    names = [as_text(feature_names[index]) for index in top]
    title = _swarm_title(names[0], pushes[:, top[0]], values[:, top[0]])
    axes = new_axes(title, "", "", height=1.6 + 0.36 * len(top))
    rows = np.arange(len(values))
    if len(rows) > SWARM_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SWARM_ROWS, replace=False))
    sample = shap.Explanation(pushes[np.ix_(rows, top)], data=values[np.ix_(rows, top)], feature_names=names)
    order = np.arange(len(top))
    with _seeded_and_quiet(seed):
        shap.plots.beeswarm(sample, max_display=None, order=order, ax=axes, show=False, plot_size=None, s=9)
    axes.set_xlabel("Contribution to the prediction (log-odds)", color=INK, fontsize=10)
    axes.tick_params(axis="both", labelsize=10)
    return to_png(axes)


def _swarm_title(feature: str, contributions: Floats, values: Floats) -> str:
    known = ~np.isnan(values)
    if known.sum() > 2 and np.ptp(values[known]) > 0 and np.ptp(contributions[known]) > 0:
        correlation = np.corrcoef(_ranks(values[known]), _ranks(contributions[known]))[0, 1]
        if abs(correlation) > 0.5:
            effect = "raise" if correlation > 0 else "lower"
            return f"{feature} moves predictions most: high values {effect} them"
    return f"{feature} moves predictions most, in no single direction"


def _ranks(values: Floats) -> Integers:
    return np.unique(values, return_inverse=True)[1]


@contextmanager
def _seeded_and_quiet(seed: int) -> Iterator[None]:
    """shap shuffles with numpy's global generator, and warns of columns without values, which is intended."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            yield
    finally:
        np.random.set_state(state)
