"""Metrics against scikit-learn, the cases where they are undefined, confusion, and calibration."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle  # type: ignore[import-untyped]

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.evaluation.metrics import (
    METRICS,
    SMALLEST_PROBABILITY,
    Confusion,
    calibration_bins,
    confusion,
    expected_calibration_error,
    point,
)

ORACLES: dict[str, Callable[..., float]] = {
    "roc_auc": oracle.roc_auc_score,
    "pr_auc": oracle.average_precision_score,
    "log_loss": oracle.log_loss,
    "brier": oracle.brier_score_loss,
}
# Probabilities on a coarse grid, so that ties within and between the classes are the rule.
TIED_ROWS = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None, max_examples=50)
@given(rows=TIED_ROWS)
def test_value_is_scikit_learns(metric: str, rows: list[tuple[bool, int]]) -> None:
    labels, tenths = np.array(rows).T
    probabilities = tenths / 10
    assert point(metric, labels, probabilities) == pytest.approx(ORACLES[metric](labels, probabilities), abs=1e-12)


def test_known_values() -> None:
    labels, probabilities = [0, 1, 0, 1], [0.1, 0.2, 0.2, 0.8]
    assert point("roc_auc", labels, probabilities) == 3.5 / 4
    assert point("pr_auc", labels, probabilities) == pytest.approx((1 + 2 / 3) / 2)
    assert point("brier", labels, probabilities) == pytest.approx((0.01 + 0.64 + 0.04 + 0.04) / 4)
    assert point("log_loss", labels, probabilities) == pytest.approx(-np.log([0.9, 0.2, 0.8, 0.8]).mean())


def test_a_certain_mistake_costs_much_but_not_everything() -> None:
    assert point("log_loss", [1], [0.0]) == pytest.approx(-np.log(SMALLEST_PROBABILITY))
    assert point("log_loss", [0], [1.0]) == pytest.approx(-np.log(SMALLEST_PROBABILITY))


@pytest.mark.parametrize(
    ("metric", "labels", "undefined"),
    [
        ("roc_auc", [0, 0], True),
        ("roc_auc", [1, 1], True),
        ("pr_auc", [0, 0], True),
        ("pr_auc", [1, 1], False),
        ("log_loss", [0, 0], False),
        ("brier", [], True),
        ("roc_auc", [], True),
    ],
)
def test_undefined_is_nan(metric: str, labels: list[int], undefined: bool) -> None:
    assert np.isnan(point(metric, labels, [0.5] * len(labels))) == undefined


@pytest.mark.parametrize(
    ("metric", "labels", "probabilities", "message"),
    [
        ("auc", [0, 1], [0.1, 0.2], "expected one of roc_auc, pr_auc, log_loss, brier"),
        ("brier", [0, 2], [0.1, 0.2], r"labels must be 0 or 1 .* got 2.0 in row 1 \(1 such rows\)"),
        ("brier", [0, np.nan], [0.1, 0.2], "labels must be 0 or 1 .* got nan in row 1"),
        ("brier", [0, 1], [0.1, np.nan], r"probabilities must lie in \[0, 1\], got nan in row 1"),
        ("brier", [0, 1], [1.1, 0.2], r"probabilities must lie in \[0, 1\], got 1.1 in row 0"),
        ("brier", [0, 1, 1], [0.1, 0.2], r"labels \(3,\) and probabilities \(2,\)"),
    ],
)
def test_malformed_input_is_named(metric: str, labels: list[float], probabilities: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        point(metric, labels, probabilities)


def test_confusion_counts_each_row_once() -> None:
    found = confusion([1, 1, 0, 0, 0, 1], [0.9, 0.2, 0.5, 0.1, 0.6, 0.5], threshold=0.5)
    assert found == Confusion(tp=2, fp=2, fn=1, tn=1)
    assert (found.precision, found.recall, found.base_rate, found.lift) == (0.5, 2 / 3, 0.5, 1.0)
    assert found.cost(fp=1, fn=10) == 12
    assert found.cost(tp=-3, fp=1, fn=10, tn=0.5) == 6.5


def test_confusion_without_rows_beneath_a_ratio_is_nan() -> None:
    none_flagged = confusion([0, 0], [0.1, 0.2], threshold=0.5)
    assert np.isnan([none_flagged.precision, none_flagged.recall, none_flagged.lift]).all()
    assert none_flagged.cost(fp=1, fn=10) == 0


def rare_events(n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Labels and the very probabilities they were drawn with; base rate about 2 %."""
    generator = np.random.default_rng(seed)
    probabilities = generator.beta(1, 49, n)
    return (generator.random(n) < probabilities).astype(float), probabilities


def test_bins_have_equal_counts_and_hold_every_row() -> None:
    labels, probabilities = rare_events(10_003)
    bins = calibration_bins(labels, probabilities, bins=10)
    assert {each.n for each in bins} == {1000, 1001}
    assert sum(each.n for each in bins) == 10_003
    assert sum(each.n * each.observed_rate for each in bins) == pytest.approx(labels.sum())
    assert sum(each.n * each.mean_predicted for each in bins) == pytest.approx(probabilities.sum())
    assert [each.mean_predicted for each in bins] == sorted(each.mean_predicted for each in bins)
    assert all(0 <= each.low <= each.observed_rate <= each.high <= 1 for each in bins)


def test_intervals_of_bins_cover_at_their_level() -> None:
    bins = [each for seed in range(100) for each in calibration_bins(*rare_events(5000, seed))]
    covered = np.mean([each.low <= each.mean_predicted <= each.high for each in bins])
    assert 0.93 <= covered <= 0.97


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 20))
def test_bins_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    labels, probabilities = rare_events(300)
    probabilities = probabilities.round(2)
    shuffled = np.random.default_rng(seed).permutation(300)
    assert calibration_bins(labels[shuffled], probabilities[shuffled]) == calibration_bins(labels, probabilities)


def test_constant_prediction_is_one_bin_and_no_rows_are_none() -> None:
    (only,) = calibration_bins([0, 1, 0, 0], [0.3] * 4)
    assert only.mean_predicted == pytest.approx(0.3)
    assert (only.observed_rate, only.n) == (0.25, 4)
    assert calibration_bins([], []) == []


def test_calibration_error_sees_a_shift_and_only_noise_without() -> None:
    labels, probabilities = rare_events(50_000)
    right = expected_calibration_error(calibration_bins(labels, probabilities))
    shifted = expected_calibration_error(calibration_bins(labels, np.minimum(probabilities + 0.02, 1)))
    assert right < 0.003
    assert shifted == pytest.approx(0.02, abs=0.003)
    assert np.isnan(expected_calibration_error([]))


def test_importing_metrics_loads_nothing_heavy() -> None:
    code = (
        "import sys, mlguide_assets.train.evaluation.metrics; print(*{'scipy', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b""
