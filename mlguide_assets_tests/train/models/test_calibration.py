"""The calibration undoes a planted distortion, never does harm where it learned, and survives awkward rows."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlguide_assets.statistics.arrays import Flags, Floats
from mlguide_assets.train.evaluation.metrics import point
from mlguide_assets.train.models.calibration import (
    IDENTITY,
    MIN_SLOPE,
    Calibration,
    fit_calibration,
    fit_shift,
    log_odds,
    sigmoid,
)


def rare_events(rows: int, seed: int = 0) -> tuple[Flags, Floats]:
    """Outcomes and the very probabilities they were drawn with; base rate about 2 %."""
    generator = np.random.default_rng(seed)
    probabilities = generator.beta(1, 49, rows)
    return generator.random(rows) < probabilities, probabilities


@pytest.mark.parametrize("planted", [(2.0, 1.0), (0.5, -2.0), (1.0, 3.0), (0.7, 0.0)])
def test_planted_distortion_is_undone(planted: tuple[float, float]) -> None:
    labels, right = rare_events(200_000)
    slope, intercept = planted
    distorted = sigmoid((log_odds(right) - intercept) / slope)
    found = fit_calibration(labels, distorted)
    # The standard errors of the slope and of the level at the mean are about 2 % at 4,000 positives.
    assert found.slope == pytest.approx(slope, rel=0.08)
    np.testing.assert_allclose(log_odds(found.apply(distorted)).mean(), log_odds(right).mean(), atol=0.15)
    assert point("log_loss", labels, found.apply(distorted)) == pytest.approx(
        point("log_loss", labels, right), rel=1e-3
    )


def test_perfect_probabilities_are_left_alone_within_their_standard_error() -> None:
    found = np.array(
        [(c.slope, c.apply([0.02])[0]) for c in (fit_calibration(*rare_events(20_000, s)) for s in range(40))]
    )
    slope, at_two_percent = found.mean(axis=0)
    error = found.std(axis=0) / np.sqrt(40)
    assert abs(slope - 1) < 3.5 * error[0]
    assert abs(at_two_percent - 0.02) < 3.5 * error[1]
    assert found[:, 0].std() < 0.1


def test_it_is_the_maximum_likelihood_of_scikit_learn_where_rows_are_many() -> None:
    from sklearn.linear_model import LogisticRegression

    labels, probabilities = rare_events(50_000)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(log_odds(probabilities)[:, None], labels)
    found = fit_calibration(labels, probabilities)
    # The ridge moves the slope by about 1 / 1,000 of its distance from 1.
    assert (found.slope, found.intercept) == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), abs=2e-3)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_log_loss_never_rises_on_the_fitted_rows(rows: list[tuple[bool, float]]) -> None:
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    found = fit_calibration(labels, probabilities)
    assert found.slope >= MIN_SLOPE
    before, after = (point("log_loss", labels, each) for each in (probabilities, found.apply(probabilities)))
    assert after <= before + 1e-6


@settings(deadline=None, max_examples=100)
@given(
    slope=st.floats(MIN_SLOPE, 20),
    intercept=st.floats(-20, 20),
    probabilities=st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
def test_order_is_kept(slope: float, intercept: float, probabilities: list[float]) -> None:
    calibrated = Calibration(slope, intercept).apply(np.sort(probabilities))
    assert (np.diff(calibrated) >= -1e-15).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_a_reversed_ranking_is_flattened_but_not_turned_round() -> None:
    labels, right = rare_events(50_000)
    reversed_ranking = sigmoid(-8 - log_odds(right))
    found = fit_calibration(labels, reversed_ranking)
    calibrated = found.apply(reversed_ranking)
    assert found.slope == MIN_SLOPE
    assert calibrated.mean() == pytest.approx(labels.mean(), rel=0.01)
    assert point("roc_auc", labels, calibrated) == point("roc_auc", labels, reversed_ranking) < 0.5


@pytest.mark.parametrize("labels", [[], [0], [1], [0, 0, 0], [1, 1, 1]])
def test_one_outcome_alone_teaches_nothing(labels: list[int]) -> None:
    assert fit_calibration(labels, [0.3] * len(labels)) == IDENTITY


@pytest.mark.ml_test_score("monitor-5")
def test_separable_few_and_extreme_rows_do_not_explode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        separable = fit_calibration([0] * 5000 + [1] * 5000, [0.3] * 5000 + [0.7] * 5000)
        few = fit_calibration([0, 0, 0, 1], [0.01, 0.02, 0.01, 0.03])
        certain = fit_calibration([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0])
        one_positive = fit_calibration([1] + [0] * 9999, [1.0] + [0.0] * 9999)
    assert 1 < separable.slope < 20
    # Four rows say little: the line moves little.
    assert 0.5 < few.slope < 2
    assert certain.slope == pytest.approx(MIN_SLOPE, abs=0.1)
    assert certain.apply([0.0, 1.0]) == pytest.approx([0.5, 0.5], abs=0.4)
    assert one_positive.slope == pytest.approx(1, abs=0.1)


def test_a_constant_prediction_moves_to_the_rate_by_its_level_alone() -> None:
    labels = np.arange(10_000) % 20 == 0
    found = fit_calibration(labels, np.full(10_000, 0.01))
    assert found.slope == pytest.approx(1)
    assert found.apply([0.01]) == pytest.approx([0.05], rel=0.01)


def test_zero_and_one_stay_finite_and_the_identity_changes_no_bit() -> None:
    probabilities = np.array([0.0, 1e-300, 0.1, 0.3, 1.0])
    np.testing.assert_array_equal(IDENTITY.apply(probabilities), probabilities)
    moved = Calibration(0.9, 0.1).apply(probabilities)
    assert ((moved > 0) & (moved < 1)).all()
    assert np.isfinite(log_odds(probabilities)).all()
    assert len(Calibration(0.9, 0.1).apply([])) == 0


def test_known_values() -> None:
    assert Calibration(2.0, 0.0).apply([0.2])[0] == pytest.approx(1 / 17)
    assert Calibration(1.0, np.log(2)).apply([0.5])[0] == pytest.approx(2 / 3)
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\]"):
        Calibration(1.2, 0.0).apply([0.1, wrong])
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\]"):
        IDENTITY.apply([wrong])


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_a_line_that_cannot_be_applied_is_refused(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="positive slope and a finite intercept"):
        Calibration(slope, intercept)


def test_json_gives_back_the_same_line_to_the_bit() -> None:
    found = fit_calibration(*rare_events(5000))
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.to_json().keys() == {"slope", "intercept"}


def test_fitting_finds_where_the_penalised_likelihood_is_level() -> None:
    labels, probabilities = rare_events(3000)
    directions = np.stack([log_odds(probabilities), np.ones(3000)])
    offset = 5 - log_odds(probabilities)
    shift = fit_shift(labels, offset, directions, ridge=0.3)
    fitted = sigmoid(offset + shift @ directions)
    np.testing.assert_allclose(directions @ (labels - fitted) - 0.3 * shift, 0, atol=1e-6)
