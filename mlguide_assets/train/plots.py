"""Pictures of an evaluation, as PNG bytes small enough for asset metadata.

matplotlib's global state is left alone, and equal inputs give equal bytes. The title of a picture says what
is seen in it; how certain its numbers are belongs to `uncertainty`.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlguide_assets.train.metrics import (
    CalibrationBin,
    Confusion,
    Flags,
    Floats,
    Integers,
    checked,
    expected_calibration_error,
    point,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Okabe and Ito (2008): told apart with any colour vision; the line styles help in grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":")
REFERENCE = "#767676"
INK = "#333333"

CURVE_POINTS = 500
TOP_FEATURES = 15
SWARM_ROWS = 1500

Models = Mapping[str, npt.ArrayLike]


def _axes(title: str, x: str, y: str, *, width: float = 8.0, height: float = 5.0) -> "Axes":
    """Axes of a new figure in the style that all pictures share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=80, layout="constrained")
    # A title of the figure may begin above the labels of the y axis, which leaves it the whole width.
    lines = fill(title, int(10 * width))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    axes = figure.add_subplot()
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)
    return axes


def _png(axes: "Axes") -> bytes:
    """The figure as a PNG of 256 colours: a third of the size, and no difference to the eye."""
    from PIL import Image

    drawn, packed = BytesIO(), BytesIO()
    axes.get_figure(root=True).savefig(drawn, format="png", dpi=80)  # type: ignore[union-attr]
    picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _percent(axis: "Axis") -> None:
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")


def _logarithmic(axes: "Axes", *names: str) -> None:
    """Logarithmic x or y axes with few, round ticks."""
    from matplotlib.ticker import LogLocator, NullLocator

    for name in names:
        axes.set(**{f"{name}scale": "log"})
        axis: Axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())


def _styles(names: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Name, colour and line style of each model, by its position."""
    for index, name in enumerate(names):
        yield name, PALETTE[index % len(PALETTE)], LINES[index % len(LINES)]


def _thinned(position: Floats) -> Integers:
    """Indices of at most CURVE_POINTS points, about evenly along an ascending `position`, ends included."""
    if len(position) <= CURVE_POINTS:
        return np.arange(len(position))
    wanted = np.linspace(position[0], position[-1], CURVE_POINTS)
    return np.unique(np.r_[0, np.searchsorted(position, wanted[1:-1]), len(position) - 1])


def _has_both(labels: Flags) -> bool:
    return bool(labels.any() and not labels.all())


def _no_picture(reason: str) -> bytes:
    axes = _axes(reason, "", "", height=1.0)
    axes.set_axis_off()
    return _png(axes)


def _one_outcome(picture: str) -> bytes:
    return _no_picture(f"No {picture}: these rows do not hold both outcomes")


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
    axes = _axes(title, "False positive rate (negatives flagged)", "True positive rate (positives flagged)")
    for name, colour, line in _styles(inputs):
        truth, scores = inputs[name]
        false, true, _ = roc_curve(truth, scores)
        at = _thinned(false + true)
        label = f"{name} (AUC {point('roc_auc', truth, scores):.3f})"
        axes.plot(false[at], true[at], line, color=colour, linewidth=1.8, label=label)
    axes.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, label="guessing (AUC 0.500)")
    axes.set(xlim=(-0.005, 1.005), ylim=(-0.005, 1.005))
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    axes.legend(loc="lower right", frameon=False)
    return _png(axes)


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
    axes = _axes(title, "Recall (share of positives flagged)", "Precision (share of flags that are right)")
    top = base
    for name, colour, line in _styles(inputs):
        recall, precision = _precision_at_recall(*inputs[name])
        top = max(top, float(precision[recall >= 0.02].max()))
        label = f"{name} (AP {point('pr_auc', *inputs[name]):.3f})"
        axes.plot(recall, precision, line, color=colour, linewidth=1.8, label=label)
    axes.axhline(base, color=REFERENCE, linewidth=1, label=f"base rate ({base:.2%})")
    axes.set(xlim=(0, 1.005), ylim=(0, min(1.02, 1.1 * top)))
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    axes.legend(loc="upper right", frameon=False)
    return _png(axes)


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
        return _no_picture("No calibration curve: there are no predictions to compare")
    subject = subject or max(bins, key=lambda name: len(bins[name]))
    agreeing = sum(each.low <= each.mean_predicted <= each.high for each in bins[subject])
    title = f"{subject}: predicted and observed rate agree in {agreeing} of {len(bins[subject])} bins"
    axes = _axes(title, "Predicted rate (mean of bin)", "Observed rate (with 95% interval)")
    predicted = [each.mean_predicted for each in rows]
    floor, ends = 0.0, [min(predicted), max(predicted)]
    if ends[0] > 0 and ends[1] > 5 * ends[0]:
        floor = 0.5 * min(predicted + [each.observed_rate for each in rows if each.observed_rate > 0])
        _logarithmic(axes, "x", "y")
    for name, colour, line in _styles(bins):
        gap = 100 * expected_calibration_error(bins[name])
        _draw_bins(axes, bins[name], floor, colour, line, f"{name} (mean gap {gap:.2f} points)")
    axes.plot(ends, ends, color=REFERENCE, linewidth=1, label="prediction = observation", zorder=1)
    if floor:
        axes.set_ylim(bottom=floor)
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    hollow = "hollow: none observed" if floor and min(each.observed_rate for each in rows) == 0 else None
    axes.legend(loc="upper left", frameon=False, title=hollow, alignment="left")
    return _png(axes)


def _draw_bins(axes: "Axes", bins: Sequence[CalibrationBin], floor: float, colour: str, line: str, label: str) -> None:
    """One model's bins. A rate of 0 has no place on a logarithmic axis: it is drawn hollow, at the floor."""
    predicted, observed, low, high = (
        np.array([getattr(each, name) for each in bins]) for name in ("mean_predicted", "observed_rate", "low", "high")
    )
    shown = np.maximum(observed, floor)
    axes.plot(predicted, shown, line, color=colour, linewidth=1.2, label=label)
    axes.vlines(predicted, np.maximum(low, floor), high, color=colour, linewidth=1.2, alpha=0.7)
    faces = [colour if rate > 0 else "white" for rate in observed]
    axes.scatter(predicted, shown, s=28, c=faces, edgecolors=colour, zorder=3, clip_on=False)


def confusion_matrix(confusion: Confusion, threshold: float) -> bytes:
    """Rows by outcome and decision, as counts and shares of the outcome, when flagged from `threshold` on."""
    counts = np.array([[confusion.tn, confusion.fp], [confusion.fn, confusion.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    found = f"{confusion.tp:,} of {confusion.tp + confusion.fn:,} positives are found"
    flagged = confusion.tp + confusion.fp
    right = f"{confusion.precision:.1%} of flags are right" if flagged else "nothing is flagged"
    title = f"Flagging from {threshold:.2%} on: {found}, {right}"
    axes = _axes(title, "Decision", "Outcome", width=6.5, height=4.5)
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{shares[row, column]:.1%} of {('negatives', 'positives')[row]}"
        colour = "white" if shares[row, column] > 0.6 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=13)
    axes.set_xticks([0, 1], ["not flagged", "flagged"])
    axes.set_yticks([0, 1], ["negative", "positive"], rotation=90, va="center")
    axes.tick_params(length=0)
    return _png(axes)


def score_histogram(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> bytes:
    """Distribution of the predicted probability by outcome; labels (n,), probabilities (n,)."""
    truth, scores = checked(labels, probabilities)
    if not _has_both(truth):
        return _one_outcome("comparison of scores")
    medians = {"negatives": float(np.median(scores[~truth])), "positives": float(np.median(scores[truth]))}
    title = "Median prediction: " + " and ".join(f"{value:.2%} for {name}" for name, value in medians.items())
    axes = _axes(title, "Predicted probability", "Share of the rows of the outcome")
    low, high = np.quantile(scores, [0.001, 1])
    logarithmic = low > 0 and high > 5 * low
    if logarithmic:
        _logarithmic(axes, "x")
    edges = np.geomspace(low, high, 41) if logarithmic else np.linspace(low, max(high, low + 1e-6), 41)
    for (name, median), colour, rows in zip(medians.items(), PALETTE, (~truth, truth), strict=False):
        # Rows under the first edge, one in a thousand, join the first bar.
        counts, _ = np.histogram(np.clip(scores[rows], edges[0], edges[-1]), edges)
        shares = counts / counts.sum()
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, label=f"{name} ({counts.sum():,} rows)")
        axes.axvline(median, color=colour, linewidth=1.2, linestyle="--")
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    axes.margins(y=0.28)
    axes.legend(loc="upper right", frameon=False, title="dashed: median", alignment="left")
    return _png(axes)


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
    names = [feature_names[index] for index in top]
    title = f"{names[0]} moves predictions most: by {strength[0]:#.2g} log-odds on average"
    axes = _axes(title, "Mean absolute contribution (log-odds)", "", height=1.4 + 0.3 * len(top))
    axes.bar_label(axes.barh(names, strength, color=PALETTE[0], height=0.7), fmt=" {:#.2g}", color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08, y=0.02)
    return _png(axes)


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
    names = [feature_names[index] for index in top]
    title = _swarm_title(names[0], pushes[:, top[0]], values[:, top[0]])
    axes = _axes(title, "", "", height=1.6 + 0.36 * len(top))
    rows = np.arange(len(values))
    if len(rows) > SWARM_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SWARM_ROWS, replace=False))
    sample = shap.Explanation(pushes[np.ix_(rows, top)], data=values[np.ix_(rows, top)], feature_names=names)
    order = np.arange(len(top))
    with _seeded_and_quiet(seed):
        shap.plots.beeswarm(sample, max_display=None, order=order, ax=axes, show=False, plot_size=None, s=9)
    axes.set_xlabel("Contribution to the prediction (log-odds)", color=INK, fontsize=10)
    axes.tick_params(axis="both", labelsize=10)
    return _png(axes)


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
