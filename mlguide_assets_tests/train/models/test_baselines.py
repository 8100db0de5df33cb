"""The simpler models: what scikit-learn fitted, said by terms that need nothing of it."""

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.sparse import issparse

from mlguide_assets.train.models import baselines
from mlguide_assets.train.models.baselines import BASELINES, fit_base_rate, fit_baselines
from mlguide_assets.train.models.calibration import log_odds
from mlguide_assets.train.models.encoding import EncodedFeature, Encoding
from mlguide_assets.train.models.linear import CategoryTerm, Linear, NumberTerm
from mlguide_assets_tests.train.planted import ENCODING, LABELS, MATRIX


def fitted(name: str, *rows: Any, **how: Any) -> Linear:
    return fit_baselines(*rows, names=[name], **how)[name]


def test_the_base_rate_says_the_share_of_training_to_everyone() -> None:
    labels = np.array([1, 0, 0, 0], dtype=np.int8)
    np.testing.assert_array_equal(fit_base_rate(labels).predict(MATRIX[:3]), [0.25] * 3)


@pytest.mark.parametrize("name", BASELINES)
def test_a_linear_model_says_what_scikit_learn_fitted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows with missing values and with categories that training did not have, too."""
    seen: dict[str, Any] = {}
    linear = baselines._linear

    def spy(prepare: Any, plane: Any, *rest: Any) -> Linear:
        seen.update(prepare=prepare, plane=plane)
        return linear(prepare, plane, *rest)

    monkeypatch.setattr(baselines, "_linear", spy)
    model = fitted(name, MATRIX[:800], LABELS[:800], ENCODING, seed=0)
    expected = seen["plane"](seen["prepare"].transform(MATRIX.astype(np.float64)))
    assert np.isnan(MATRIX).any(axis=0).all()
    np.testing.assert_allclose(log_odds(model.predict(MATRIX)), expected, atol=1e-9)


def test_the_sigmoid_of_the_support_vector_machine_is_platts() -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.svm import LinearSVC

    prepared = baselines._preparation(ENCODING).fit_transform(MATRIX)
    svm = LinearSVC(dual=False, tol=1e-3, random_state=0).fit(prepared, LABELS)
    calibrated = CalibratedClassifierCV(FrozenEstimator(svm)).fit(prepared, LABELS)
    model = fitted("linear_svm", MATRIX, LABELS, ENCODING, seed=0)
    # scikit-learn's also smooths the labels, which moves little among so many rows.
    np.testing.assert_allclose(model.predict(MATRIX), calibrated.predict_proba(prepared)[:, 1], atol=3e-3)


@pytest.mark.parametrize("name", BASELINES)
def test_what_a_linear_model_says_of_a_row_does_not_depend_on_the_rows_beside_it(name: str) -> None:
    model = fitted(name, MATRIX[:800], LABELS[:800], ENCODING, seed=0)
    far = np.r_[MATRIX[800:810], np.c_[np.zeros(500), np.full((500, 2), 1e6)].astype(np.float32)]
    np.testing.assert_array_equal(model.predict(far)[:10], model.predict(MATRIX[800:810]))


@pytest.mark.parametrize("name", BASELINES)
def test_linear_models_are_the_same_twice_and_give_probabilities(name: str) -> None:
    first, again = (fitted(name, MATRIX, LABELS, ENCODING, seed=0) for _ in range(2))
    assert first.to_json() == again.to_json()
    said = first.predict(MATRIX)
    assert ((said > 0) & (said < 1)).all()
    assert abs(said.mean() - LABELS.mean()) < 0.02


@pytest.mark.parametrize("name", BASELINES)
def test_rows_of_weight_zero_are_left_out_and_others_count_by_their_weight(name: str) -> None:
    fit, weights = partial(fitted, name), np.r_[np.ones(800), np.zeros(700)]
    part = fit(MATRIX[:800], LABELS[:800], ENCODING, seed=0)
    assert fit(MATRIX, LABELS, ENCODING, seed=0, weights=weights).to_json() == part.to_json()
    positives = np.where(LABELS == 1, 5.0, 1.0)
    heavier, plain = (fit(MATRIX, LABELS, ENCODING, seed=0, weights=w) for w in (positives, None))
    assert heavier.predict(MATRIX).mean() > plain.predict(MATRIX).mean() + 0.1


def test_weights_that_leave_one_outcome_do_not_count() -> None:
    plain = fitted("logistic_regression", MATRIX, LABELS, ENCODING, seed=0)
    weighted = fitted("logistic_regression", MATRIX, LABELS, ENCODING, seed=0, weights=(LABELS == 0).astype(float))
    assert weighted.to_json() == plain.to_json()


@pytest.mark.ml_test_score("infra-2")
def test_a_category_that_training_never_saw_adds_what_a_missing_one_adds() -> None:
    model = fitted("logistic_regression", MATRIX, LABELS, ENCODING, seed=0)
    theme = model.terms[0]
    assert isinstance(theme, CategoryTerm)
    unseen = np.array([[np.nan, 0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(model.contributions(unseen)[0, 0], theme.missing, rtol=1e-6)


def test_what_training_never_lacked_adds_what_is_usual_where_it_is_missing() -> None:
    """Zeros in place of a category's columns would not be the mean of what its categories add."""
    whole = np.nan_to_num(MATRIX, nan=0.0)
    for name, model in fit_baselines(whole, LABELS, ENCODING, seed=0).items():
        nothing = np.full((1, whole.shape[1]), np.nan, dtype=np.float32)
        np.testing.assert_allclose(model.contributions(nothing), 0, err_msg=name)
        assert 0.3 < model.predict_uncalibrated(nothing)[0] / LABELS.mean() < 3, name


def test_a_linear_model_tells_the_frequent_values_of_a_category_apart_and_no_more() -> None:
    cities = tuple(f"city {n}" for n in range(3000))
    encoding = Encoding((EncodedFeature("city", cities), *ENCODING.features[1:]))
    matrix = MATRIX.copy()
    matrix[:, 0] = np.arange(len(matrix))
    matrix[:500, 0] = 7.0
    prepared = baselines._preparation(encoding).fit_transform(matrix)
    assert issparse(prepared)
    assert prepared.shape == (len(matrix), baselines.MAX_COLUMNS + 4)
    city = fitted("logistic_regression", matrix, LABELS, encoding, seed=0).terms[0]
    assert isinstance(city, CategoryTerm)
    assert len(city.weights) == 3000
    assert 2 < len(set(city.weights)) <= baselines.MAX_COLUMNS
    # Training never saw the last one, which counts as a rare one.
    assert city.weights[2999] == city.weights[600] != city.weights[7]


def test_all_other_values_of_a_category_have_one_weight_of_a_linear_model() -> None:
    encoding = Encoding((replace(ENCODING.features[0], others=True), *ENCODING.features[1:]))
    matrix = MATRIX.copy()
    matrix[::3, 0] = encoding.features[0].positions - 1
    for model in fit_baselines(matrix, LABELS, encoding, seed=0).values():
        assert isinstance(model.terms[0], CategoryTerm)
        assert len(model.terms[0].weights) == encoding.features[0].positions
        np.testing.assert_allclose(model.contributions(matrix).mean(axis=0), 0, atol=1e-5)


def test_a_feature_without_any_value_in_training_adds_nothing() -> None:
    matrix = MATRIX.copy()
    matrix[:, 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in fit_baselines(matrix, LABELS, ENCODING, seed=0).values():
            term = model.terms[2]
            assert isinstance(term, NumberTerm)
            assert (term.slope, term.spread) == (0.0, 0.0)


def test_a_category_without_any_value_in_training_stops_no_model() -> None:
    encoding = Encoding((EncodedFeature("theme", ()), *ENCODING.features[1:]))
    matrix = MATRIX.copy()
    matrix[:, 0] = np.nan
    assert np.isfinite(fitted("logistic_regression", matrix, LABELS, encoding, seed=0).predict(matrix)).all()
