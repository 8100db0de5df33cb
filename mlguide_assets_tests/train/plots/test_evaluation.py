"""Pictures are small PNGs, equal for equal inputs, drawn without global state, and hold what they claim."""

import struct
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes

from mlguide_assets.train.evaluation.metrics import Confusion, calibration_bins, confusion, point
from mlguide_assets.train.plots import drawing
from mlguide_assets.train.plots import evaluation as plots
from mlguide_assets.train.plots import explanation as shap_plots

# shap 0.51 calls what matplotlib 3.11 is about to deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:The set_.* function:PendingDeprecationWarning")

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.standard_normal((6000, 20))
NAMES = [f"feature_{index}" for index in range(20)]
CONTRIBUTIONS = FEATURES * np.linspace(1, 0.01, 20)
VALUES = np.where(GENERATOR.random(FEATURES.shape) < 0.1, np.nan, FEATURES)
RISK = 1 / (1 + np.exp(4 - CONTRIBUTIONS[:, 0]))
LABELS = GENERATOR.random(6000) < RISK
NOISE = GENERATOR.random(6000)
MODELS = {"xgboost": RISK, "blurred": 0.5 * RISK + 0.1 * NOISE, "base rate": np.full(6000, 0.02)}
BINS = {name: calibration_bins(LABELS, probabilities) for name, probabilities in MODELS.items()}

PICTURES: dict[str, Callable[[], bytes]] = {
    "roc": partial(plots.roc_curves, LABELS, MODELS),
    "pr": partial(plots.pr_curves, LABELS, MODELS),
    "calibration": partial(plots.calibration_curve, BINS),
    "confusion": partial(plots.confusion_matrix, confusion(LABELS, RISK, 0.04), 0.04),
    "scores": partial(plots.score_histogram, LABELS, RISK),
    "bar": partial(shap_plots.shap_bar, NAMES, CONTRIBUTIONS),
    "beeswarm": partial(shap_plots.shap_beeswarm, NAMES, CONTRIBUTIONS[:800], VALUES[:800]),
}


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[str, bytes]]:
    """Title and bytes of every picture, drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        titles = record_titles(patch)
        pictures = {name: draw() for name, draw in PICTURES.items()}
    return dict(zip(PICTURES, zip(titles, pictures.values(), strict=True), strict=True))


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the pictures drawn during the test."""
    return record_titles(monkeypatch)


def record_titles(patch: pytest.MonkeyPatch) -> list[str]:
    recorded: list[str] = []
    axes = drawing.new_axes

    def recording(title: str, x: str, y: str, *, width: float = 8.0, height: float = 5.0) -> object:
        recorded.append(title)
        return axes(title, x, y, width=width, height=height)

    # `drawing` too: it draws where there is nothing to show.
    for module in (drawing, plots, shap_plots):
        patch.setattr(module, "new_axes", recording)
    return recorded


@pytest.mark.parametrize("subject", MODELS)
def test_the_line_of_the_model_that_would_ship_is_the_plainest(subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Axes] = []
    monkeypatch.setattr(plots, "to_png", lambda axes: kept.append(axes) or b"")
    plots.roc_curves(LABELS, MODELS, subject=subject)
    plots.pr_curves(LABELS, MODELS, subject=subject)
    plots.calibration_curve(BINS, subject=subject)
    for axes in kept:
        lines = [line for line in axes.lines if line.get_color() != drawing.REFERENCE]
        own, *others = sorted(lines, key=lambda line: not str(line.get_label()).startswith(f"{subject} ("))
        assert len(others) == 2
        assert own.get_linestyle() == "-"
        assert "-" not in {line.get_linestyle() for line in others}
        assert own.get_linewidth() > max(line.get_linewidth() for line in others)
        assert own.get_zorder() > max(line.get_zorder() for line in others)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_a_small_png(name: str, drawn: dict[str, tuple[str, bytes]]) -> None:
    _, png = drawn[name]
    width, height = size(png)
    assert 400 <= width <= 700
    assert 300 <= height <= 700
    assert len(png) < 60_000


@pytest.mark.parametrize("name", PICTURES)
def test_equal_inputs_give_equal_bytes_and_global_state_is_left_alone(
    name: str, drawn: dict[str, tuple[str, bytes]]
) -> None:
    import matplotlib.pyplot as plt

    np.random.seed(1)
    before = dict(plt.rcParams), repr(np.random.get_state())
    assert PICTURES[name]() == drawn[name][1]
    assert (dict(plt.rcParams), repr(np.random.get_state())) == before
    assert plt.get_fignums() == []


def test_titles_say_what_is_seen(drawn: dict[str, tuple[str, bytes]]) -> None:
    roc, pr, calibration, matrix, scores, bar, beeswarm = (title for title, _ in drawn.values())
    auc, precision = (point(metric, LABELS, RISK) for metric in ("roc_auc", "pr_auc"))
    assert roc == f"xgboost scores a random positive above a random negative {auc:.1%} of the time"
    assert pr.startswith(f"xgboost reaches an average precision of {precision:.1%}, ")
    assert calibration.startswith("xgboost: predicted and observed rate agree in ")
    assert f" of {LABELS.sum()} positives are found" in matrix
    assert scores.startswith("Median prediction: 1.")
    assert bar == "feature_0 moves predictions most: by 0.80 log-odds on average"
    assert beeswarm == "feature_0 moves predictions most: high values raise them"


def test_title_speaks_of_the_subject_given(titles: list[str]) -> None:
    plots.roc_curves(LABELS, MODELS, subject="blurred")
    plots.pr_curves(LABELS, MODELS, subject="blurred")
    plots.calibration_curve(BINS, subject="base rate")
    assert [title.split()[0].rstrip(":") for title in titles] == ["blurred", "blurred", "base"]


def test_direction_is_named_only_where_there_is_one(titles: list[str]) -> None:
    values = np.linspace(-1, 1, 201)[:, None]
    for contributions in (-values, values**2, np.zeros_like(values)):
        shap_plots.shap_beeswarm(["age"], contributions, values)
    shap_plots.shap_beeswarm(["country"], values, np.full_like(values, np.nan))
    lowering, *others = titles
    assert lowering == "age moves predictions most: high values lower them"
    assert all(title.endswith("in no single direction") for title in others)


@pytest.mark.parametrize("labels", [np.zeros(50, dtype=bool), np.ones(50, dtype=bool)])
def test_one_outcome_alone_is_said_not_drawn(labels: npt.NDArray[np.bool_], titles: list[str]) -> None:
    probabilities = np.linspace(0.01, 0.5, 50)
    plots.roc_curves(labels, {"model": probabilities})
    plots.pr_curves(labels, {"model": probabilities})
    plots.score_histogram(labels, probabilities)
    assert all(title.endswith("these rows do not hold both outcomes") for title in titles)
    assert len(titles) == 3


@pytest.mark.filterwarnings("error")
def test_awkward_inputs_are_drawn() -> None:
    labels = np.arange(40) % 2 == 0
    flat = np.full(40, 0.3)
    size(plots.roc_curves(labels, {"flat": flat}))
    size(plots.pr_curves(labels, {"flat": flat, "certain": labels.astype(float)}))
    size(plots.score_histogram(labels, flat))
    size(plots.score_histogram(labels, labels.astype(float)))
    size(plots.calibration_curve({"flat": calibration_bins(labels, flat)}))
    size(plots.calibration_curve({"none seen": calibration_bins(np.zeros(40), np.linspace(0.01, 0.9, 40))}))
    size(plots.calibration_curve({}))
    size(plots.confusion_matrix(Confusion(0, 0, 0, 40), 0.5))
    size(shap_plots.shap_bar(["only"], np.zeros((3, 1))))


def test_curves_are_thinned_to_points_of_the_curve() -> None:
    position = np.sort(np.random.default_rng(0).random(20_000))
    kept = plots._thinned(position)
    assert len(kept) <= plots.CURVE_POINTS
    assert (kept[0], kept[-1]) == (0, 19_999)
    assert np.diff(position[kept]).max() < 2.5 / plots.CURVE_POINTS
    np.testing.assert_array_equal(plots._thinned(position[:300]), np.arange(300))


def test_bias_column_is_refused_with_the_remedy() -> None:
    message = r"contributions must be \(n, 2\) .* got \(5, 3\) .* bias: leave it out"
    with pytest.raises(ValueError, match=message):
        shap_plots.shap_bar(["a", "b"], np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"feature_values must be \(n, 2\)"):
        shap_plots.shap_beeswarm(["a", "b"], np.zeros((5, 2)), np.zeros((5, 1)))


def test_many_rows_are_sampled_by_seed() -> None:
    draw = partial(shap_plots.shap_beeswarm, NAMES[:1], CONTRIBUTIONS[:, :1], VALUES[:, :1])
    assert draw(seed=1) != draw(seed=2)
