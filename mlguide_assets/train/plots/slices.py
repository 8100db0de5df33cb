"""A picture of how well each slice is ranked, in the style of `plots`."""

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.english import plural
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.evaluation.slices import ALL_ROWS, worst_slice
from mlguide_assets.train.plots.drawing import INK, PALETTE, REFERENCE, as_text, new_axes, no_picture, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC = "roc_auc"
UNSUPPORTED = "#A0A0A0"
SUPPORTED, BELOW = PALETTE[:2]
LINE_HEIGHT = 0.24
LONGEST_NAME = 32

Row = dict[str, Any]


def slice_plot(table: pa.Table, unit: str) -> bytes:
    """ROC AUC of every slice with its interval, and of all rows as a line; `table` from `slices.slice_metrics`. PNG.

    Slices without support are grey and have no interval; one beyond the axis is an arrow at its end.

    Args:
        unit: the noun of the entity that intervals resample.
    """
    rows = table.filter(pc.equal(table["metric"], METRIC)).to_pylist()
    whole = next((row["value"] for row in rows if row["column"] == ALL_ROWS), float("nan"))
    slices = [row for row in rows if row["column"] != ALL_ROWS]
    if not slices or np.isnan(whole):
        return no_picture("No slices: there are none, or their rows do not hold both outcomes")
    lines = _lines(slices)
    title = METRICS[METRIC].title
    axes = new_axes(
        _title(table, whole, unit),
        f"{title} (with a 95% interval for each slice by itself)",
        "",
        height=1.5 + LINE_HEIGHT * len(lines),
    )
    label = f"all rows ({whole:.3f})"
    axes.axvline(whole, color=REFERENCE, linewidth=1.2, linestyle="--", zorder=1, label=label)
    _limit(axes, slices, whole)
    _name(axes, lines)
    for at, line in enumerate(lines):
        if isinstance(line, dict):
            _draw(axes, line, at, whole)
    key = {"slice": SUPPORTED, "wholly below": BELOW, f"too few {plural(unit)} for an interval": UNSUPPORTED}
    for label, colour in key.items():
        if any(_colour(row, whole) == colour for row in slices):
            axes.plot([], [], "o", color=colour, label=label)
    axes.get_figure(root=True).legend(loc="outside lower left", frameon=False, ncols=4)  # type: ignore[union-attr]
    return to_png(axes)


def _title(table: pa.Table, whole: float, unit: str) -> str:
    worst = worst_slice(table, METRIC)
    if worst is None:
        return f"ROC AUC is {whole:.3f} on all rows; no slice has enough {plural(unit)} to be compared"
    name = f"{as_text(worst['column'])} {_short(worst['slice'])}"
    if np.isnan(worst["high"]) or worst["high"] >= whole:
        return f"ROC AUC is {whole:.3f} on all rows, and no slice lies wholly below"
    return f"{name} is ranked worst: ROC AUC {worst['value']:.3f} against {whole:.3f} on all rows"


def _lines(slices: list[Row]) -> list[Row | str]:
    """From top to bottom: the name of each column, then its slices."""
    lines: list[Row | str] = []
    for column, rows in groupby(slices, key=lambda row: str(row["column"])):
        lines += [column, *rows]
    return lines


def _name(axes: "Axes", lines: list[Row | str]) -> None:
    """Slices to the left of the axis, columns in bold, and to the right how many rows are behind each."""
    axes.set_yticks(
        range(len(lines)), [as_text(line) if isinstance(line, str) else _short(str(line["slice"])) for line in lines]
    )
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if isinstance(line, str) else "normal")
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right", "color": INK, "fontsize": 9}
    axes.text(1.2, -0.9, "positives of rows", **beside)  # type: ignore[arg-type]
    for at, line in enumerate(lines):
        if isinstance(line, dict):
            axes.text(1.2, at, f"{line['positives']:,} of {line['rows']:,}", **beside)  # type: ignore[arg-type]


def _short(name: str) -> str:
    text = as_text(name)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _limit(axes: "Axes", slices: list[Row], whole: float) -> None:
    """As wide as the slices with support and all rows need: one positive alone may lie anywhere."""
    found = [row[name] for row in slices if row["supported"] for name in ("value", "low", "high")]
    known = [value for value in [*found, whole] if not np.isnan(value)]
    margin = 0.05 * (max(known) - min(known)) + 0.01
    axes.set_xlim(min(known) - margin, max(known) + margin)


def _draw(axes: "Axes", row: Row, at: int, whole: float) -> None:
    if np.isnan(row["value"]):
        return
    left, right = axes.get_xlim()
    colour = _colour(row, whole)
    marker = "<" if row["value"] < left else ">" if row["value"] > right else "o"
    axes.plot([np.clip(row["value"], left, right)], [at], marker, color=colour, markersize=5, clip_on=False, zorder=3)
    if row["supported"] and not np.isnan(row["low"]):
        axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=1.6)


def _colour(row: Row, whole: float) -> str:
    if not row["supported"]:
        return UNSUPPORTED
    return BELOW if row["high"] < whole else SUPPORTED
