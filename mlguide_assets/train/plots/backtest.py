"""The picture of a model that ages, in the style of `evaluation.py`."""

from collections.abc import Sequence

import numpy as np

from mlguide_assets.train.backtest.staleness import Staleness
from mlguide_assets.train.plots.drawing import INK, PALETTE, REFERENCE, new_axes, no_picture, to_png


def staleness_plot(staleness: Staleness) -> bytes:
    """Above, ROC AUC of the ageing model and of one retrained before each period; below, their paired difference.

    The two intervals of ROC AUC are wide, for all decisions of a period are easy or hard for both models; whether they
    differ is seen below.
    """
    from matplotlib.gridspec import GridSpec

    table = staleness.table().to_pydict()
    if not np.isfinite(table["roc_auc"]).any():
        return no_picture("No picture of ageing: no period holds both outcomes")
    axes = new_axes(staleness.loss_per_30_days, "", "ROC AUC", height=6.0)
    figure, grid = axes.figure, GridSpec(2, 1, figure=axes.get_figure(root=True), height_ratios=(3, 2))
    axes.set_subplotspec(grid[0])
    below = figure.add_subplot(grid[1], sharex=axes)
    below.set_xlabel("Days since the model was trained (ticks: where the periods begin and end)", color=INK)
    below.set_ylabel("ROC AUC lost", color=INK)
    below.spines[["top", "right"]].set_visible(False)
    below.grid(color="#E6E6E6", linewidth=0.8)
    below.set_axisbelow(True)
    below.tick_params(colors=INK)
    axes.tick_params(labelbottom=False)

    middles = np.array([table["age_days_low"], table["age_days_high"]]).mean(axis=0)
    new = table["retrained_roc_auc"]
    axes.plot(middles, new, "--o", color=PALETTE[0], linewidth=1.8, label="retrained just before each period")
    label = "trained once (with 95% interval)"
    axes.plot(middles, table["roc_auc"], "-o", color=PALETTE[1], linewidth=1.8, label=label)
    axes.vlines(middles, table["low"], table["high"], color=PALETTE[1], linewidth=1.2, alpha=0.6)
    axes.legend(loc="lower left", frameon=False)

    below.axhline(0, color=REFERENCE, linewidth=1)
    below.vlines(middles, table["loss_low"], table["loss_high"], color=PALETTE[1], linewidth=2)
    below.plot(middles, table["loss"], "o", color=PALETTE[1])
    below.set_xticks(_edges(table["age_days_low"], table["age_days_high"]))
    return to_png(axes)


def _edges(low: Sequence[float], high: Sequence[float]) -> list[int]:
    return [round(edge) for edge in (*low, high[-1])]
