"""The decision's figures equal a plain count, resample by resample; their intervals hold; the picture shows them."""

import hashlib
import os
import struct
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlguide_assets.define.decision import Decision
from mlguide_assets.statistics.arrays import Flags, Floats, Integers
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.decisions import (
    DECISION_METRICS,
    calibration_error_under,
    cost_curve,
    decision_metrics,
    minimum_detectable_difference,
    threshold_grid,
)
from mlguide_assets.train.evaluation.metrics import calibration_bins, confusion, expected_calibration_error
from mlguide_assets.train.evaluation.uncertainty import paired_difference, replicate_metrics
from mlguide_assets.train.models.calibration import fit_shift, log_odds, sigmoid
from mlguide_assets.train.plots import decisions as decision_plots
from mlguide_assets.train.plots import drawing
from mlguide_assets.train.plots.decisions import cost_plot

THRESHOLD, LOST, WITHHELD = 0.08, 12.0, 1.0
SENDS = Decision("send", ("user", "email"), "delivered_at", (), "email")
PAYMENTS = Decision("payment", ("card", "shop"), "paid", ())
measured = partial(decision_metrics, threshold=THRESHOLD, missed=LOST, false_alarm=WITHHELD)

Rows = tuple[Flags, Floats, Integers]


def clustered_rows(users: int, each: int, seed: int = 0, *, slope: float = 1.0, shift: float = 0.0) -> Rows:
    """Outcomes, probabilities and users (n,); rows of a user share a taste.

    The probabilities lack `shift` in log-odds, and must be stretched by `slope`, to be those of the outcomes.
    """
    generator = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), each)
    truth = sigmoid(-3.2 + 0.8 * generator.standard_normal(users)[user] + 0.5 * generator.standard_normal(len(user)))
    return generator.random(len(user)) < truth, sigmoid((log_odds(truth) - shift) / slope), user


def test_figures_are_those_of_a_plain_count() -> None:
    labels, probabilities, users = clustered_rows(400, 5)
    found = measured(labels, probabilities, users, repeats=60)
    plain = confusion(labels, probabilities, THRESHOLD)
    n = len(labels)
    expected = {
        "precision": plain.precision,
        "recall": plain.recall,
        "lift": plain.lift,
        "withheld_share": (plain.tp + plain.fp) / n,
        "cost_per_1000": 1000 * plain.cost(fp=WITHHELD, fn=LOST) / n,
        "cost_of_none_per_1000": 1000 * LOST * labels.mean(),
        "cost_of_all_per_1000": 1000 * WITHHELD * (1 - labels.mean()),
        "savings_per_1000": 1000 * (labels.sum() * LOST - plain.cost(fp=WITHHELD, fn=LOST)) / n,
        "calibration_error": expected_calibration_error(calibration_bins(labels, probabilities)),
    }
    assert tuple(found) == DECISION_METRICS
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert all(each.low <= each.value <= each.high for each in found.values())


def test_intervals_are_the_percentiles_of_counts_in_each_resample() -> None:
    labels, probabilities, users = clustered_rows(100, 6)
    found = measured(labels, probabilities, users, repeats=50, seed=3)
    bootstrap = ClusterBootstrap(users, 50, 3)
    weights = np.hstack([bootstrap.row_weights(counts) for counts in bootstrap.draws()])
    resampled = [np.repeat(np.arange(len(users)), weight.astype(int)) for weight in weights.T]
    outcomes = [confusion(labels[rows], probabilities[rows], THRESHOLD) for rows in resampled]
    savings = [
        1000 * (each.tp * LOST - each.fp * WITHHELD) / len(rows) for each, rows in zip(outcomes, resampled, strict=True)
    ]
    for name, values in (("lift", [each.lift for each in outcomes]), ("savings_per_1000", savings)):
        expected = np.quantile(values, [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx(tuple(expected))


@settings(deadline=None, max_examples=30)
@given(tenths=st.lists(st.integers(0, 10), min_size=1, max_size=60), seed=st.integers(0, 9))
def test_calibration_error_is_that_of_the_bins_also_where_probabilities_tie(tenths: list[int], seed: int) -> None:
    probabilities = np.array(tenths) / 10
    labels = np.random.default_rng(seed).random(len(tenths)) < 0.5
    found = measured(labels, probabilities, np.arange(len(tenths)) // 2, repeats=2)["calibration_error"]
    assert found.value == pytest.approx(expected_calibration_error(calibration_bins(labels, probabilities)))


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, -0.9), (1.5, 0.5)])
def test_slope_and_intercept_are_the_planted_ones(slope: float, shift: float) -> None:
    labels, probabilities, users = clustered_rows(6000, 5, slope=slope, shift=shift)
    found = measured(labels, probabilities, users)
    assert found["calibration_slope"].low < slope < found["calibration_slope"].high
    given = log_odds(probabilities)
    level = fit_shift(labels, given, np.ones((1, len(given))), ridge=1e-9)[0]
    assert found["calibration_intercept"].value == pytest.approx(level, abs=2e-3)


def test_one_step_of_newton_is_as_good_as_fitting_every_resample() -> None:
    labels, probabilities, users = clustered_rows(800, 5, slope=0.8)
    bootstrap = ClusterBootstrap(users, 40, 1)
    found = measured(labels, probabilities, users, repeats=40, seed=1)["calibration_slope"]
    given = log_odds(probabilities)
    directions = np.stack([given - given.mean(), np.ones_like(given)])
    refitted = []
    for counts in bootstrap.draws():
        for weight in bootstrap.row_weights(counts).T:
            rows = np.repeat(np.arange(len(users)), weight.astype(int))
            refitted.append(1 + fit_shift(labels[rows], given[rows], directions[:, rows])[0])
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(refitted, [0.025, 0.975])), abs=0.05 * width)


@pytest.fixture(scope="module")
def simulated() -> list[tuple[dict[str, Estimate], dict[str, Estimate]]]:
    """The figures of 100 small samples of one world, by user: with right probabilities and with shifted ones."""
    worlds = []
    for seed in range(100):
        right, shifted = (clustered_rows(700, 4, seed, shift=shift) for shift in (0.0, 0.5))
        worlds.append((measured(*right, repeats=120, seed=seed), measured(*shifted, repeats=120, seed=seed)))
    return worlds


def test_intervals_cover_the_truth(simulated: list[tuple[dict[str, Estimate], dict[str, Estimate]]]) -> None:
    labels, probabilities, users = clustered_rows(150_000, 4, seed=999)
    truth = measured(labels, probabilities, users, repeats=2)
    for name in ("savings_per_1000", "cost_per_1000", "recall", "lift", "withheld_share"):
        covered = np.mean([right[name].low <= truth[name].value <= right[name].high for right, _ in simulated])
        assert covered >= 0.87, name
    slopes = [right["calibration_slope"] for right, _ in simulated]
    assert np.mean([each.low <= 1 <= each.high for each in slopes]) >= 0.88
    intercepts = [shifted["calibration_intercept"] for _, shifted in simulated]
    assert np.mean([each.low <= 0.5 <= each.high for each in intercepts]) >= 0.88


def test_interval_of_the_calibration_error_reaches_zero_only_where_it_is(
    simulated: list[tuple[dict[str, Estimate], dict[str, Estimate]]],
) -> None:
    assert np.mean([right["calibration_error"].low > 0 for right, _ in simulated]) <= 0.12
    assert np.mean([shifted["calibration_error"].low > 0 for _, shifted in simulated]) >= 0.9


def test_perfect_probabilities_stay_below_what_noise_gives_and_wrong_ones_do_not() -> None:
    beyond = {0.0: 0, 0.5: 0}
    for seed in range(60):
        for shift in beyond:
            labels, probabilities, _ = clustered_rows(1500, 2, seed, shift=shift)
            error = expected_calibration_error(calibration_bins(labels, probabilities))
            beyond[shift] += error > calibration_error_under(probabilities, repeats=100, seed=seed).high
    assert beyond[0.0] <= 6
    assert beyond[0.5] >= 54


def test_noise_of_the_calibration_error_is_that_of_drawn_labels_and_shrinks_with_rows() -> None:
    probabilities = np.random.default_rng(0).beta(1, 49, 4000).round(3)
    found = calibration_error_under(probabilities, repeats=400)
    generator = np.random.default_rng(1)
    drawn = [
        expected_calibration_error(calibration_bins(generator.random(4000) < probabilities, probabilities))
        for _ in range(400)
    ]
    assert found.value == pytest.approx(np.mean(drawn), rel=0.05)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=0.1)
    assert calibration_error_under(np.tile(probabilities, 4)).value == pytest.approx(found.value / 2, rel=0.1)
    certain = calibration_error_under([0.0, 1.0, 1.0])
    assert (certain.value, certain.high) == (0, 0)
    assert np.isnan(calibration_error_under([]).high)


def test_costs_of_the_extremes_and_of_the_chosen_threshold() -> None:
    labels, probabilities, users = clustered_rows(300, 5)
    curve = cost_curve(
        labels, probabilities, users, [2.0, THRESHOLD, 0.0], missed=LOST, false_alarm=WITHHELD, repeats=80
    )
    rate = labels.mean()
    assert curve.without_model == pytest.approx(1000 * LOST * rate)
    assert not curve.against_all
    assert curve.costs[[0, 2]] == pytest.approx([1000 * LOST * rate, 1000 * WITHHELD * (1 - rate)])
    assert (curve.savings[0], curve.low[0], curve.high[0]) == (0, 0, 0)
    found = measured(labels, probabilities, users, repeats=80)
    chosen = found["savings_per_1000"]
    assert (curve.savings[1], curve.low[1], curve.high[1]) == pytest.approx((chosen.value, chosen.low, chosen.high))
    assert curve.costs[1] == pytest.approx(found["cost_per_1000"].value)


def test_savings_are_against_acting_on_all_where_that_is_the_cheaper_policy_without_a_model() -> None:
    """Where a missed outcome costs 50 times a needless act, acting on all costs less than acting on none."""
    labels, probabilities, users = clustered_rows(300, 5)
    costs = {"missed": 50.0, "false_alarm": 1.0, "repeats": 80}
    found = decision_metrics(labels, probabilities, users, threshold=THRESHOLD, **costs)
    none, everything = (found[name].value for name in ("cost_of_none_per_1000", "cost_of_all_per_1000"))
    assert everything < none
    assert found["savings_per_1000"].value == pytest.approx(everything - found["cost_per_1000"].value)
    curve = cost_curve(labels, probabilities, users, [THRESHOLD, 0.0], **costs)
    assert (curve.against_all, curve.without_model) == (True, pytest.approx(everything))
    saved = found["savings_per_1000"]
    assert (curve.savings[0], curve.low[0], curve.high[0]) == pytest.approx((saved.value, saved.low, saved.high))
    assert (curve.savings[1], curve.low[1], curve.high[1]) == pytest.approx((0, 0, 0), abs=1e-9)
    assert curve.costs[0] == pytest.approx(found["cost_per_1000"].value)


def test_right_probabilities_cost_least_near_the_threshold_of_the_costs() -> None:
    labels, probabilities, users = clustered_rows(40_000, 3)
    best = WITHHELD / (WITHHELD + LOST)
    thresholds = threshold_grid(probabilities, best)
    curve = cost_curve(labels, probabilities, users, thresholds, missed=LOST, false_alarm=WITHHELD, repeats=2)
    assert best in thresholds
    assert (np.diff(thresholds) > 0).all()
    assert best / 1.5 < thresholds[curve.costs.argmin()] < best * 1.5


def test_detectable_difference_follows_level_power_and_rows() -> None:
    found = []
    for users in (300, 1200):
        labels, probabilities, user = clustered_rows(users, 5, seed=4)
        blurred = 0.7 * probabilities + 0.3 * np.random.default_rng(0).random(len(labels)) * probabilities.mean()
        replicates = replicate_metrics(labels, {"a": probabilities, "b": blurred}, user)
        error = np.std(replicates.of("a", "roc_auc")[1] - replicates.of("b", "roc_auc")[1], ddof=1)
        found.append(minimum_detectable_difference(replicates, "a", "b", "roc_auc"))
        assert found[-1] == pytest.approx((1.959964 + 0.841621) * error)
        assert found[-1] == minimum_detectable_difference(replicates, "b", "a", "roc_auc")
        assert minimum_detectable_difference(replicates, "a", "b", "roc_auc", power=0.9) > found[-1]
        assert minimum_detectable_difference(replicates, "a", "b", "roc_auc", level=0.99) > found[-1]
        assert minimum_detectable_difference(replicates, "a", "a", "roc_auc") == 0
    assert found[0] / found[1] == pytest.approx(2, rel=0.35)
    nothing = replicate_metrics([0, 0], {"a": [0.1, 0.2], "b": [0.2, 0.1]}, [1, 2])
    assert np.isnan(minimum_detectable_difference(nothing, "a", "b", "roc_auc"))


def test_a_true_difference_of_that_size_is_found_as_often_as_the_power_says() -> None:
    rows, worlds = 600, 150
    # Without positives the Brier score is the mean square: of u uniform in [0, 0.4] it has the standard deviation
    # 0.16 x sqrt(1/5 - 1/9), and the difference of two independent ones sqrt(2) times that.
    planted = (1.959964 + 0.841621) * 0.16 * np.sqrt(1 / 5 - 1 / 9) * np.sqrt(2 / rows)
    detectable, seen = [], 0
    for seed in range(worlds):
        better, worse = np.random.default_rng(seed).uniform(0, 0.4, (2, rows))
        models = {"better": better, "worse": np.sqrt(worse**2 + planted)}
        replicates = replicate_metrics(np.zeros(rows), models, np.arange(rows), repeats=150, seed=seed)
        detectable.append(minimum_detectable_difference(replicates, "better", "worse", "brier"))
        seen += paired_difference(replicates, "better", "worse", "brier").low > 0
    assert np.mean(detectable) == pytest.approx(planted, rel=0.05)
    assert seen / worlds == pytest.approx(0.8, abs=0.1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("label", [0, 1])
def test_one_outcome_or_no_rows_are_nan_where_undefined(rows: int, label: int) -> None:
    found = measured([label] * rows, [0.0, 1.0, 0.5, 0.1, 0.2][:rows], np.arange(rows), repeats=20)
    assert np.isnan([found["calibration_slope"].value, found["calibration_intercept"].high]).all()
    assert np.isnan(found["cost_per_1000"].value) == (rows == 0)
    assert np.isnan(found["recall"].value) == (label == 0 or rows == 0)
    assert np.isfinite(found["savings_per_1000"].low) == (rows == 5)
    curve = cost_curve([label] * rows, [0.3] * rows, [1] * rows, [0.1, 0.5], missed=1, false_alarm=1)
    assert np.isnan(curve.without_model) == (rows == 0)
    cost_plot(curve, 0.1, SENDS)


@pytest.mark.filterwarnings("error")
def test_one_user_a_constant_and_nothing_withheld() -> None:
    labels, probabilities = np.arange(40) % 4 == 0, np.full(40, 0.05)
    found = measured(labels, probabilities, ["only"] * 40, repeats=20)
    assert found["withheld_share"].value == 0
    assert np.isnan([found["precision"].value, found["lift"].value, found["recall"].low]).all()
    assert found["recall"].value == 0
    # Here acting on none costs less than acting on all.
    several = measured(labels, probabilities, np.arange(40) % 8, missed=2.0, repeats=20)
    assert several["savings_per_1000"] == Estimate(0, 0, 0)
    assert len(threshold_grid([], 0.04)) >= 1


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"units \(3,\) and labels \(2,\)"):
        measured([0, 1], [0.1, 0.2], [1, 2, 3])
    with pytest.raises(ValueError, match="probabilities must lie in"):
        measured([0, 1], [0.1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="probabilities must lie in"):
        calibration_error_under([0.1, np.nan])


def digest() -> str:
    """Of every figure and picture of one sample."""
    labels, probabilities, users = clustered_rows(500, 4)
    costs = cost_curve(
        labels,
        probabilities,
        users,
        threshold_grid(probabilities, 0.08),
        missed=LOST,
        false_alarm=WITHHELD,
        repeats=40,
    )
    figures = measured(labels, probabilities, users, repeats=40), calibration_error_under(probabilities, repeats=40)
    return hashlib.sha256(repr(figures).encode() + cost_plot(costs, 0.08, SENDS)).hexdigest()


def test_every_process_gives_the_same_bytes() -> None:
    code = "from mlguide_assets_tests.train.evaluation.test_decisions import digest; print(digest())"
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "5"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, env=environment)
    assert other.stdout.strip() == digest()


def test_order_of_rows_moves_nothing_but_the_last_digits() -> None:
    labels, probabilities, users = clustered_rows(200, 4)
    order = np.random.default_rng(0).permutation(len(labels))
    found, shuffled = (
        measured(labels[at], probabilities[at], users[at], repeats=30) for at in (np.arange(len(labels)), order)
    )
    for name in DECISION_METRICS:
        estimate, other = found[name], shuffled[name]
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((other.value, other.low, other.high))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles and the names of the axes of the pictures that a test draws."""
    texts: list[str] = []
    axes = drawing.new_axes

    def recording(title: str, x: str, y: str) -> object:
        texts.extend((title, x, y))
        return axes(title, x, y)

    monkeypatch.setattr(decision_plots, "new_axes", recording)
    return texts


@pytest.mark.parametrize(
    ("users", "seen"), [(4000, " saves "), (20, "does not differ significantly from withholding nothing")]
)
def test_picture_of_the_costs(users: int, seen: str, written: list[str]) -> None:
    labels, probabilities, user = clustered_rows(users, 4)
    grid = threshold_grid(probabilities, THRESHOLD)
    curve = cost_curve(labels, probabilities, user, grid, missed=LOST, false_alarm=WITHHELD)
    png = cost_plot(curve, THRESHOLD, SENDS)
    width, height = struct.unpack(">II", png[16:24])
    assert png.startswith(b"\x89PNG")
    assert 400 <= width <= 700
    assert 300 <= height <= 700
    assert len(png) < 60_000
    assert seen in written[0]
    assert written[0].startswith("Withholding what reaches 8.00%")
    assert written[1:] == ["Withhold from this probability on", "Cost per 1,000 sends"]
    with pytest.raises(ValueError, match="make its thresholds with threshold_grid"):
        cost_plot(curve, 0.123, SENDS)
    assert len(threshold_grid([], 0.04)) >= 1


def test_the_legend_of_the_costs_hides_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(decision_plots, "to_png", lambda axes: drawn.append(axes) or b"")
    labels, probabilities, card = clustered_rows(20, 4)
    grid = threshold_grid(probabilities, THRESHOLD)
    cost_plot(cost_curve(labels, probabilities, card, grid, missed=50, false_alarm=1), THRESHOLD, PAYMENTS)
    [axes] = drawn
    assert axes.get_legend() is None
    assert len(axes.get_figure().legends) == 1


def test_a_picture_names_the_policy_that_the_saving_is_against(written: list[str]) -> None:
    labels, probabilities, card = clustered_rows(20, 4)
    grid = threshold_grid(probabilities, THRESHOLD)
    cost_plot(cost_curve(labels, probabilities, card, grid, missed=50, false_alarm=1), THRESHOLD, PAYMENTS)
    assert "acting on everything" in written[0]


def test_a_picture_of_payments_speaks_of_payments(written: list[str]) -> None:
    labels, probabilities, card = clustered_rows(20, 4)
    grid = threshold_grid(probabilities, THRESHOLD)
    cost_plot(cost_curve(labels, probabilities, card, grid, missed=LOST, false_alarm=WITHHELD), THRESHOLD, PAYMENTS)
    assert written[0].startswith("Acting on what reaches 8.00% does not differ significantly from acting on nothing")
    assert written[0].endswith(" per 1,000 payments")
    assert written[1:] == ["Act from this probability on", "Cost per 1,000 payments"]
