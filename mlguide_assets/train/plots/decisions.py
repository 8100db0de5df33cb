"""A picture of what each threshold would have cost, in the style of `plots`."""

import numpy as np

from mlguide_assets.define.decision import Decision
from mlguide_assets.train.evaluation.decisions import PER, CostCurve
from mlguide_assets.train.plots.drawing import (
    PALETTE,
    REFERENCE,
    as_percent,
    make_logarithmic,
    new_axes,
    no_picture,
    to_png,
)


def cost_plot(curve: CostCurve, threshold: float, decision: Decision) -> bytes:
    """Cost per 1,000 decisions against the threshold, with the chosen one marked; PNG.

    The line across is the cheaper of acting on nothing and on everything, which need no model. The band is the
    interval of the difference to it: where it lies wholly below, the saving is more than noise. Raises ValueError where
    `threshold` is not one of the curve's.
    """
    chosen = np.flatnonzero(curve.thresholds == threshold)
    if not len(chosen):
        raise ValueError(f"the curve has no threshold {threshold}: make its thresholds with threshold_grid")
    if np.isnan(curve.without_model):
        return no_picture(f"No cost curve: there are no {decision.plural} to count")
    beneath, beside = f"{decision.above.capitalize()} from this probability on", f"Cost per {PER:,} {decision.plural}"
    axes = new_axes(_title(curve, int(chosen[0]), decision), beneath, beside)
    order = np.argsort(curve.thresholds, kind="stable")
    at, costs, cost = curve.thresholds[order], curve.costs[order], float(curve.costs[chosen[0]])
    # Acting on nearly everything costs many times what the decision is about: it would flatten the rest.
    top = 1.05 * min(1.5 * max(curve.without_model, cost), max(curve.without_model, float(costs.max())))
    shown = at[costs <= top]
    if at[0] > 0 and shown[-1] > 5 * shown[0]:
        make_logarithmic(axes, "x")
    low, high = curve.without_model - curve.high[order], curve.without_model - curve.low[order]
    label = "95% interval of the difference"
    axes.fill_between(at, low, high, color=PALETTE[0], alpha=0.2, linewidth=0, label=label)
    axes.plot(at, costs, color=PALETTE[0], linewidth=1.8, label="this model")
    label = _without_model(curve, decision)
    axes.axhline(curve.without_model, color=REFERENCE, linewidth=1.2, linestyle="--", label=label)
    axes.axvline(threshold, color=PALETTE[1], linewidth=1.2, linestyle=":")
    label = f"chosen: {threshold:.2%} costs {_number(cost, cost)}"
    axes.plot([threshold], [cost], "o", color=PALETTE[1], label=label, zorder=4)
    axes.set_ylim(0, top or 1)
    if shown[0] < shown[-1]:
        axes.set_xlim(shown[0], shown[-1])
    as_percent(axes.xaxis)
    # The curve may be anywhere within the axes.
    axes.get_figure(root=True).legend(loc="outside lower left", frameon=False, ncols=2)  # type: ignore[union-attr]
    return to_png(axes)


def _without_model(curve: CostCurve, decision: Decision) -> str:
    return f"{decision.above_doing} {'everything' if curve.against_all else 'nothing'}"


def _title(curve: CostCurve, chosen: int, decision: Decision) -> str:
    saved, low, high = (float(each[chosen]) for each in (curve.savings, curve.low, curve.high))
    other, unit = _without_model(curve, decision), f"per {PER:,} {decision.plural}"
    start = f"{decision.above_doing.capitalize()} what reaches {curve.thresholds[chosen]:.2%}"
    between = "" if np.isnan(low) else f" ({_number(low, saved)} to {_number(high, saved)})"
    if low > 0:
        share = saved / curve.without_model
        return f"{start} saves {_number(saved, saved)}{between} {unit}: {share:.0%} less than {other}"
    if high < 0:
        return f"{start} costs {_number(-saved, saved)} {unit} more than {other}"
    figures = f"it saves {_number(saved, saved)}{between} {unit}"
    return f"{start} does not differ significantly from {other}: {figures}"


def _number(value: float, like: float) -> str:
    """With as many decimals as show three digits of `like`."""
    decimals = 2 - int(np.floor(np.log10(abs(like)))) if like else 0
    return f"{value:,.{min(max(decimals, 0), 6)}f}"
