"""A picture of an experiment over its looks: the estimate with its interval, and the test beside its boundary."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlguide_assets.experiment.started import Started
from mlguide_assets.train.plots.drawing import INK, LINES, PALETTE, REFERENCE, as_text, to_png


def looks_picture(started: Started, rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The looks of one experiment as a PNG; None where no look has numbers, as of an unhealthy experiment.

    Args:
        rows: of `experiment_results`, the oldest first.
    """
    from matplotlib.figure import Figure

    shown = [row for row in rows if row["ratio"] is not None and row["ratio_low"] is not None]
    if not shown:
        return None
    figure = Figure(figsize=(8, 6), dpi=80, layout="constrained")
    title = f"{as_text(started.experiment.title)}: {as_text(rows[-1]['verdict'])} after look {rows[-1]['look']}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    above, below = figure.subplots(2, 1, sharex=True)
    days = [row["look_day"][5:] for row in shown]
    _ratios(above, days, shown, started)
    _tests(below, shown)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#E6E6E6", linewidth=0.8)
        axes.tick_params(colors=INK)
        axes.set_xlim(-0.5, len(shown) - 0.5)
    below.set_xlabel("look (month-day)", color=INK)
    return to_png(above)


def _ratios(axes: Any, days: list[str], rows: Sequence[Mapping[str, Any]], started: Started) -> None:
    places, values = list(range(len(rows))), [row["ratio"] for row in rows]
    errors = [
        [value - row["ratio_low"] for value, row in zip(values, rows, strict=True)],
        [row["ratio_high"] - value for value, row in zip(values, rows, strict=True)],
    ]
    primary = started.experiment.primary
    aim = 1 - primary.smallest_effect if primary.better == "lower" else 1 + primary.smallest_effect
    axes.axhline(1, color=INK, linewidth=1, label="no difference")
    axes.axhline(aim, color=REFERENCE, linewidth=1, linestyle=LINES[1], label="smallest effect worth finding")
    axes.errorbar(places, values, yerr=errors, fmt="o", color=PALETTE[0], capsize=4, label="estimate with its interval")
    axes.set_xticks(places, days)
    axes.set_ylabel("treatment / control", color=INK)
    axes.legend(frameon=False, fontsize=9)


def _tests(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    places, bounds = list(range(len(rows))), [row["boundary"] for row in rows]
    found = [(place, value) for place, row in zip(places, rows, strict=True) if (value := _statistic(row)) is not None]
    for sign, label in ((1, "boundary"), (-1, None)):
        axes.plot(
            places, [sign * bound for bound in bounds], color=PALETTE[1], linestyle=LINES[1], marker="_", label=label
        )
    axes.plot(
        [place for place, _ in found],
        [value for _, value in found],
        color=PALETTE[0],
        marker="o",
        label="z of the difference",
    )
    axes.set_ylabel("z", color=INK)
    axes.legend(frameon=False, fontsize=9)


def _statistic(row: Mapping[str, Any]) -> float | None:
    """How many standard errors the difference of a look is from none, as its interval says; None where it has none."""
    width = (row["difference_high"] or 0.0) - (row["difference_low"] or 0.0)
    if not width or row["difference"] is None:
        return None
    return float(row["difference"] / (width / (2 * row["boundary"])))
