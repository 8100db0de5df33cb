"""Pictures of an evaluation, as PNG bytes small enough for asset metadata.

matplotlib's global state is left alone, and equal inputs give equal bytes. The title of a picture says what
is seen in it; how certain its numbers are belongs to `uncertainty`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.english import agreeing, counted
from mlguide_assets.statistics.arrays import Flags, Floats, Integers
from mlguide_assets.train.evaluation.metrics import (
    CalibrationBin,
    Confusion,
    checked,
    expected_calibration_error,
    point,
)
from mlguide_assets.train.plots.drawing import (
    INK,
    LINES,
    PALETTE,
    REFERENCE,
    as_percent,
    make_logarithmic,
    new_axes,
    no_picture,
    to_png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_POINTS = 500

Models = Mapping[str, npt.ArrayLike]


def _styles(names: Mapping[str, object], subject: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of each model and how its line is drawn: the colour by its position, the subject's solid, wide, on top."""
    others = itertools.cycle(LINES[1:])
    for index, name in enumerate(names):
        colour = PALETTE[index % len(PALETTE)]
        if name == subject:
            yield name, {"color": colour, "linestyle": LINES[0], "linewidth": 2.4, "zorder": 2.5}
        else:
            yield name, {"color": colour, "linestyle": next(others), "linewidth": 1.4}


def _thinned(position: Floats) -> Integers:
    """Indices of at most CURVE_POINTS points, about evenly along an ascending `position`, ends included."""
    if len(position) <= CURVE_POINTS:
        return np.arange(len(position))
    wanted = np.linspace(position[0], position[-1], CURVE_POINTS)
    return np.unique(np.r_[0, np.searchsorted(position, wanted[1:-1]), len(position) - 1])


def _has_both(labels: Flags) -> bool:
    return bool(labels.any() and not labels.all())


def _one_outcome(picture: str) -> bytes:
    return no_picture(f"No {picture}: these rows do not hold both outcomes")


def _subject(metric: str, labels: npt.ArrayLike, models: Models, given: str | None) -> tuple[str, float]:
    """The model that a title speaks of, the best unless one is given, and its value."""
    values = {name: point(metric, labels, probabilities) for name, probabilities in models.items()}
    subject = given or max(values, key=values.__getitem__)
    return subject, values[subject]


def roc_curves(labels: npt.ArrayLike, models: Models, *, subject: str | None = None) -> bytes:
    """True against false positive rate; labels (n,), `models` maps a name to probabilities (n,).

    The title speaks of the model `subject`, of the best by default: name one where an oracle is among them.
    """
    from sklearn.metrics import roc_curve

    inputs = {name: checked(labels, probabilities) for name, probabilities in models.items()}
    if not all(_has_both(truth) for truth, _ in inputs.values()):
        return _one_outcome("ROC curve")
    subject, auc = _subject("roc_auc", labels, models, subject)
    title = f"{subject} scores a random positive above a random negative {auc:.1%} of the time"
    axes = new_axes(title, "False positive rate (negatives flagged)", "True positive rate (positives flagged)")
    for name, style in _styles(inputs, subject):
        truth, scores = inputs[name]
        false, true, _ = roc_curve(truth, scores)
        at = _thinned(false + true)
        label = f"{name} (AUC {point('roc_auc', truth, scores):.3f})"
        axes.plot(false[at], true[at], label=label, **style)
    axes.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, label="guessing (AUC 0.500)")
    axes.set(xlim=(-0.005, 1.005), ylim=(-0.005, 1.005))
    as_percent(axes.xaxis)
    as_percent(axes.yaxis)
    axes.legend(loc="lower right", frameon=False)
    return to_png(axes)


def pr_curves(labels: npt.ArrayLike, models: Models, *, subject: str | None = None) -> bytes:
    """Precision against recall of each model, with the base rate; arguments as for `roc_curves`.

    The height leaves out recalls under 2 %, where a handful of rows decide and rare events hide the rest.
    """
    inputs = {name: checked(labels, probabilities) for name, probabilities in models.items()}
    if not all(_has_both(truth) for truth, _ in inputs.values()):
        return _one_outcome("precision-recall curve")
    subject, value = _subject("pr_auc", labels, models, subject)
    base = float(np.mean([truth.mean() for truth, _ in inputs.values()]))
    title = f"{subject} reaches an average precision of {value:.1%}, {value / base:.1f} times the base rate"
    axes = new_axes(title, "Recall (share of positives flagged)", "Precision (share of flags that are right)")
    top = base
    for name, style in _styles(inputs, subject):
        recall, precision = _precision_at_recall(*inputs[name])
        top = max(top, float(precision[recall >= 0.02].max()))
        label = f"{name} (AP {point('pr_auc', *inputs[name]):.3f})"
        axes.plot(recall, precision, label=label, **style)
    axes.axhline(base, color=REFERENCE, linewidth=1, label=f"base rate ({base:.2%})")
    axes.set(xlim=(0, 1.005), ylim=(0, min(1.02, 1.1 * top)))
    as_percent(axes.xaxis)
    as_percent(axes.yaxis)
    axes.legend(loc="upper right", frameon=False)
    return to_png(axes)


def _precision_at_recall(labels: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """Recall, ascending, and precision; level up to the highest score, as any part of it is as precise."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores, drop_intermediate=True)
    # scikit-learn ends with an artificial point of recall 0 and precision 1, which no threshold reaches.
    precision, recall = precision[-2::-1], recall[-2::-1]
    precision, recall = np.r_[precision[0], precision], np.r_[0.0, recall]
    at = _thinned(recall)
    return recall[at], precision[at]


def calibration_curve(bins: Mapping[str, Sequence[CalibrationBin]], *, subject: str | None = None) -> bytes:
    """Observed against predicted rate per bin, with interval; `bins` maps a model to its `calibration_bins`.

    Logarithmic where predictions span more than a factor of five. The title speaks of the model `subject`, by
    default of the first with the most bins: a constant prediction has only one, and agrees easily.
    """
    rows = [each for found in bins.values() for each in found]
    if not rows:
        return no_picture("No calibration curve: there are no predictions to compare")
    subject = subject or max(bins, key=lambda name: len(bins[name]))
    within = sum(each.low <= each.mean_predicted <= each.high for each in bins[subject])
    title = f"{subject}: predicted and observed rate agree in {within} of {len(bins[subject])} bins"
    axes = new_axes(title, "Predicted rate (mean of bin)", "Observed rate (with 95% interval)")
    predicted = [each.mean_predicted for each in rows]
    floor, ends = 0.0, [min(predicted), max(predicted)]
    if ends[0] > 0 and ends[1] > 5 * ends[0]:
        floor = 0.5 * min(predicted + [each.observed_rate for each in rows if each.observed_rate > 0])
        make_logarithmic(axes, "x", "y")
    for name, style in _styles(bins, subject):
        gap = 100 * expected_calibration_error(bins[name])
        _draw_bins(axes, bins[name], floor, style, f"{name} (mean gap {gap:.2f} points)")
    axes.plot(ends, ends, color=REFERENCE, linewidth=1, label="prediction = observation", zorder=1)
    if floor:
        axes.set_ylim(bottom=floor)
    as_percent(axes.xaxis)
    as_percent(axes.yaxis)
    hollow = "hollow: none observed" if floor and min(each.observed_rate for each in rows) == 0 else None
    axes.legend(loc="upper left", frameon=False, title=hollow, alignment="left")
    return to_png(axes)


def _draw_bins(
    axes: "Axes", bins: Sequence[CalibrationBin], floor: float, style: Mapping[str, Any], label: str
) -> None:
    """One model's bins. A rate of 0 has no place on a logarithmic axis: it is drawn hollow, at the floor."""
    predicted, observed, low, high = (
        np.array([getattr(each, name) for each in bins]) for name in ("mean_predicted", "observed_rate", "low", "high")
    )
    shown = np.maximum(observed, floor)
    colour, width = style["color"], style["linewidth"] - 0.6
    axes.plot(predicted, shown, label=label, **{**style, "linewidth": width})
    axes.vlines(predicted, np.maximum(low, floor), high, color=colour, linewidth=1.2, alpha=0.7)
    faces = [colour if rate > 0 else "white" for rate in observed]
    axes.scatter(predicted, shown, s=28, c=faces, edgecolors=colour, zorder=3, clip_on=False)


def confusion_matrix(confusion: Confusion, threshold: float) -> bytes:
    """Rows by outcome and decision, as counts and shares of the outcome, when flagged from `threshold` on."""
    counts = np.array([[confusion.tn, confusion.fp], [confusion.fn, confusion.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    found = (
        f"{confusion.tp:,} of {counted(confusion.tp + confusion.fn, 'positive')} {agreeing(confusion.tp, 'is')} found"
    )
    flagged = confusion.tp + confusion.fp
    right = f"{confusion.precision:.1%} of flags are right" if flagged else "nothing is flagged"
    title = f"Flagging from {threshold:.2%} on: {found}, {right}"
    axes = new_axes(title, "Decision", "Outcome", width=6.5, height=4.5)
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{shares[row, column]:.1%} of {('negatives', 'positives')[row]}"
        colour = "white" if shares[row, column] > 0.6 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=13)
    axes.set_xticks([0, 1], ["not flagged", "flagged"])
    axes.set_yticks([0, 1], ["negative", "positive"], rotation=90, va="center")
    axes.tick_params(length=0)
    return to_png(axes)


def score_histogram(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> bytes:
    """Distribution of the predicted probability by outcome; labels (n,), probabilities (n,)."""
    truth, scores = checked(labels, probabilities)
    if not _has_both(truth):
        return _one_outcome("comparison of scores")
    medians = {"negatives": float(np.median(scores[~truth])), "positives": float(np.median(scores[truth]))}
    title = "Median prediction: " + " and ".join(f"{value:.2%} for {name}" for name, value in medians.items())
    axes = new_axes(title, "Predicted probability", "Share of the rows of the outcome")
    low, high = np.quantile(scores, [0.001, 1])
    logarithmic = low > 0 and high > 5 * low
    if logarithmic:
        make_logarithmic(axes, "x")
    edges = np.geomspace(low, high, 41) if logarithmic else np.linspace(low, max(high, low + 1e-6), 41)
    for (name, median), colour, rows in zip(medians.items(), PALETTE, (~truth, truth), strict=False):
        # Rows under the first edge, one in a thousand, join the first bar.
        counts, _ = np.histogram(np.clip(scores[rows], edges[0], edges[-1]), edges)
        shares = counts / counts.sum()
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, label=f"{name} ({counted(counts.sum(), 'row')})")
        axes.axvline(median, color=colour, linewidth=1.2, linestyle="--")
    as_percent(axes.xaxis)
    as_percent(axes.yaxis)
    axes.margins(y=0.28)
    axes.legend(loc="upper right", frameon=False, title="dashed: median", alignment="left")
    return to_png(axes)
