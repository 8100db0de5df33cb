"""A linear model as it serves: sums of terms, exact contributions, a file that anyone can read."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mlguide_assets.prepare.features.comparing import LARGEST
from mlguide_assets.train.models import linear
from mlguide_assets.train.models.baselines import fit_baselines
from mlguide_assets.train.models.calibration import Calibration, log_odds, sigmoid
from mlguide_assets.train.models.encoding import EncodedFeature, Encoding
from mlguide_assets.train.models.linear import CategoryTerm, Linear, NumberTerm
from mlguide_assets_tests.train.planted import ENCODING, LABELS, MATRIX

LINE = Calibration(slope=0.5, intercept=-1.0)
ENCODED = Encoding((EncodedFeature("theme", ("art", "food")), EncodedFeature("age")))
MODEL = Linear(-2.0, (CategoryTerm((-0.5, 0.5), 0.1, 0.5), NumberTerm(0.02, -0.8, 0.3, 0.2)), ENCODED, calibration=LINE)
FITTED = fit_baselines(MATRIX, LABELS, ENCODING, seed=0)["logistic_regression"]


def test_the_log_odds_are_the_sum_of_intercept_and_terms_on_the_line_of_the_calibration() -> None:
    rows = np.array([[1, 50], [0, 20], [np.nan, np.nan]], dtype=np.float32)
    plain = np.array([-2 + 0.5 + 0.2, -2 - 0.5 - 0.4, -2 + 0.1 + 0.3])
    np.testing.assert_allclose(MODEL.predict_uncalibrated(rows), sigmoid(plain))
    np.testing.assert_allclose(MODEL.predict(rows), sigmoid(0.5 * plain - 1))


def test_contributions_add_up_to_the_calibrated_log_odds() -> None:
    model = replace(FITTED, calibration=LINE)
    values = model.contributions(MATRIX)
    assert (values.shape, values.dtype) == (MATRIX.shape, np.float32)
    base = LINE.slope * model.intercept + LINE.intercept
    np.testing.assert_allclose(values.sum(axis=1, dtype=np.float64) + base, log_odds(model.predict(MATRIX)), atol=1e-5)


def test_contributions_have_mean_zero_over_the_training_rows() -> None:
    np.testing.assert_allclose(FITTED.contributions(MATRIX).mean(axis=0, dtype=np.float64), 0, atol=1e-6)


def test_contributions_are_those_of_shap() -> None:
    """With features taken as independent: the mean effect of setting one feature, over the values of all others."""
    rows, means = MATRIX[:20], log_odds(FITTED.predict_uncalibrated(MATRIX)).mean()
    for position in range(MATRIX.shape[1]):
        for row in rows:
            set_to = MATRIX.copy()
            set_to[:, position] = row[position]
            effect = log_odds(FITTED.predict_uncalibrated(set_to)).mean() - means
            np.testing.assert_allclose(FITTED.contributions(row[None, :])[0, position], effect, atol=1e-6)


def test_importance_is_the_share_in_the_variance_of_the_terms() -> None:
    shares = FITTED.importance()
    variances = FITTED.contributions(MATRIX).var(axis=0, dtype=np.float64)
    np.testing.assert_allclose([shares[name] for name in ENCODING.names], variances / variances.sum(), rtol=1e-4)


def test_many_rows_are_scored_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FITTED.predict(MATRIX)
    monkeypatch.setattr(linear, "AT_ONCE", 7)
    np.testing.assert_array_equal(FITTED.predict(MATRIX), whole)
    np.testing.assert_array_equal([FITTED.predict(row[None, :])[0] for row in MATRIX[:50]], whole[:50])
    assert FITTED.predict(MATRIX[:0]).shape == (0,)


def test_one_number_that_is_far_too_large_keeps_answers_and_contributions_finite() -> None:
    matrix = MATRIX.copy()
    number = ENCODING.xgboost_types.index("q")
    matrix[0, number] = LARGEST
    fitted = fit_baselines(matrix, LABELS, ENCODING, seed=0)
    steep = Linear(0.0, (MODEL.terms[0], NumberTerm(1e9, 0.0, 0.0, 1.0)), ENCODED)
    for model, rows in ((fitted["logistic_regression"], matrix), (steep, np.array([[0, LARGEST]], dtype=np.float32))):
        assert np.isfinite(model.predict(rows)).all()
        assert np.isfinite(model.contributions(rows)).all()


def test_an_infinite_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="a feature is infinite"):
        MODEL.predict(np.array([[0, np.inf]], dtype=np.float32))


def test_what_is_written_comes_back_to_the_bit() -> None:
    stored = json.loads(json.dumps(FITTED.to_json()))
    again = Linear.from_json(stored, ENCODING, LINE)
    np.testing.assert_array_equal(again.predict(MATRIX), replace(FITTED, calibration=LINE).predict(MATRIX))


def test_terms_of_other_features_are_refused() -> None:
    with pytest.raises(ValueError, match="not the features of its encoding"):
        Linear.from_json(FITTED.to_json(), ENCODED, LINE)


def test_loading_and_asking_imports_neither_scikit_learn_nor_xgboost() -> None:
    code = (
        "import sys, numpy as np; from mlguide_assets.train.models.linear import *;"
        "m = Linear(-2.0, (NumberTerm(0.1, 0.0, 0.0, 1.0),), Encoding((linear_feature('age'),)));"
        "m.predict(np.zeros((1, 1), np.float32)); m.contributions(np.zeros((1, 1), np.float32));"
        "print(sorted({'sklearn', 'xgboost', 'scipy'} & set(sys.modules)))"
    ).replace("linear_feature", "__import__('mlguide_assets.train.models.encoding', fromlist=['x']).EncodedFeature")
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
