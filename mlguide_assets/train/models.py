"""The models that are compared: three that anyone would try first, and the candidate.

All take the matrix of `Encoding` and give probabilities. What a linear model needs in addition
(imputing, scaling, one column per category) it learns from the same training rows, inside itself.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlguide_assets.errors import InputError
from mlguide_assets.train.calibration import IDENTITY, Calibration, fit_calibration
from mlguide_assets.train.encoding import Encoding, Matrix
from mlguide_assets.train.metrics import log_loss_rows
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe
from mlguide_assets.train.split import Times, split_by_time

Labels = npt.NDArray[np.int8]
Probabilities = npt.NDArray[np.float64]

CANDIDATE = "xgboost"
BASE_RATE = "base_rate"

THREADS = os.cpu_count() or 1
"""For learning. The model is the same to the byte with one thread or two."""

MAX_ROUNDS = 500
PATIENCE = 40
CHI_SQUARE_99 = 9.21
"""99 % quantile of chi-square with two degrees of freedom: slope and intercept."""
MAX_CATEGORIES = 100
"""Values of one category that a linear model tells apart; the rarer ones are one value to it."""
INNER_SHARE = 0.15
"""Share of the training rows, the latest, on which the number of rounds is chosen."""


class Model(Protocol):
    def predict(self, matrix: Matrix) -> Probabilities: ...


@dataclass(frozen=True)
class BaseRate:
    """Says the same to everyone: the share of unsubscribes in training."""

    rate: float

    def predict(self, matrix: Matrix) -> Probabilities:
        return np.full(len(matrix), self.rate)


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted scikit-learn pipeline.

    It learns and predicts in one thread: with more, sums are taken in another order, and the last digits differ
    from machine to machine.
    """

    pipeline: Any

    def predict(self, matrix: Matrix) -> Probabilities:
        with _one_thread():
            return np.asarray(self.pipeline.predict_proba(matrix)[:, 1], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Boosted:
    """A fitted XGBoost booster, the number of rounds that the inner window chose, and what that window corrected."""

    booster: Any
    rounds: int
    encoding: Encoding
    calibration: Calibration = IDENTITY

    def predict(self, matrix: Matrix) -> Probabilities:
        return self.calibration.apply(self.predict_uncalibrated(matrix))

    def predict_uncalibrated(self, matrix: Matrix) -> Probabilities:
        if np.isinf(matrix).any():
            raise ValueError("a feature is infinite, which no training row was: its encoding is broken")
        # In place: the same numbers as through XGBoost's own matrix, for one row in half the time.
        return np.asarray(self.booster.inplace_predict(matrix, validate_features=False), dtype=np.float64)


def fit_base_rate(labels: Labels) -> BaseRate:
    return BaseRate(float(labels.mean()))


def fit_logistic(matrix: Matrix, labels: Labels, encoding: Encoding, *, seed: int) -> Linear:
    from sklearn.linear_model import LogisticRegression

    return _linear(LogisticRegression(max_iter=300, random_state=seed), matrix, labels, encoding)


def fit_linear_svm(matrix: Matrix, labels: Labels, encoding: Encoding, *, seed: int) -> Linear:
    """A linear support vector machine; a sigmoid turns its margins into probabilities (Platt 1999).

    The sigmoid is fitted on the training rows themselves: two numbers beside some dozen weights cannot
    overfit, and held-out margins would cost three more fits.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    prepare, svm = _linear(LinearSVC(dual=False, tol=1e-3, random_state=seed), matrix, labels, encoding).pipeline
    with _one_thread():
        calibrated = CalibratedClassifierCV(FrozenEstimator(svm)).fit(prepare.transform(matrix), labels)
    return Linear(make_pipeline(prepare, calibrated))


def fit_xgboost(
    matrix: Matrix,
    labels: Labels,
    times: Times,
    encoding: Encoding,
    *,
    gap: timedelta,
    seed: int,
    recipe: Recipe = DEFAULT_RECIPE,
    row_weights: Probabilities | None = None,
) -> Boosted:
    """Choose rounds and calibration on the latest training rows, then learn from all of them.

    Args:
        gap: the label window, kept free between the rows that learn and those that judge them.
        row_weights: how much each row counts (n,), beside what the recipe's window says; default: alike. The rows
            that judge are not weighted: they are what the model will meet.
    """
    given = np.ones(len(labels)) if row_weights is None else row_weights
    rounds, calibration = _judge_inner(matrix, labels, times, encoding, gap, seed, recipe, given)
    weights = recipe.window.weights(times) * given
    return refit_xgboost(
        matrix, labels, encoding, rounds=rounds, seed=seed, recipe=recipe, weights=weights, calibration=calibration
    )


def refit_xgboost(
    matrix: Matrix,
    labels: Labels,
    encoding: Encoding,
    *,
    rounds: int,
    seed: int,
    recipe: Recipe = DEFAULT_RECIPE,
    weights: Probabilities | None = None,
    calibration: Calibration = IDENTITY,
) -> Boosted:
    """Learn from the rows given, with rounds and calibration chosen before.

    Args:
        weights: how much each row counts (n,); rows of weight 0 are left out.
    """
    import xgboost as xgb

    data = training_data(matrix, labels, encoding, weights)
    booster = xgb.train(xgboost_parameters(recipe, seed), data, num_boost_round=rounds)
    return Boosted(booster, rounds, encoding, calibration)


def xgboost_parameters(recipe: Recipe, seed: int) -> dict[str, Any]:
    """What `xgboost.train` takes."""
    return {**recipe.parameters, "nthread": THREADS, "seed": seed}


def _judge_inner(
    matrix: Matrix,
    labels: Labels,
    times: Times,
    encoding: Encoding,
    gap: timedelta,
    seed: int,
    recipe: Recipe,
    row_weights: Probabilities,
) -> tuple[int, Calibration]:
    """The number of rounds that the inner window likes best, and the correction that its outcomes ask for.

    `PATIENCE` and no correction where there is nothing to ask.
    """
    import xgboost as xgb

    try:
        inner = split_by_time(times, test_share=INNER_SHARE, gap=gap)
    except InputError:
        return PATIENCE, IDENTITY
    earlier, later = inner.train, inner.test
    if len(np.unique(labels[earlier])) < 2 or len(np.unique(labels[later])) < 2:
        return PATIENCE, IDENTITY
    judging = dmatrix(matrix[later], encoding, labels[later])
    weights = recipe.window.weights(times[earlier]) * row_weights[earlier]
    booster = xgb.train(
        xgboost_parameters(recipe, seed),
        training_data(matrix[earlier], labels[earlier], encoding, weights),
        num_boost_round=MAX_ROUNDS,
        evals=[(judging, "inner")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    rounds = int(booster.best_iteration) + 1
    said = np.asarray(booster.predict(judging, iteration_range=(0, rounds)), dtype=np.float64)
    return rounds, _proven(fit_calibration(labels[later], said), labels[later], said)


def _proven(calibration: Calibration, labels: Labels, said: Probabilities) -> Calibration:
    """The correction where the rows prove that it is needed, else none.

    A likelihood-ratio test: an unneeded correction carries the chance of one window into the next.
    """
    truth = labels == 1
    gain = (log_loss_rows(truth, said) - log_loss_rows(truth, calibration.apply(said))).sum()
    return calibration if 2 * gain > CHI_SQUARE_99 else IDENTITY


def training_data(matrix: Matrix, labels: Labels, encoding: Encoding, weights: Probabilities | None) -> Any:
    """The rows as XGBoost's own matrix, without those of weight 0."""
    if weights is None or (weights == 1).all():
        return dmatrix(matrix, encoding, labels)
    used = weights > 0
    data = dmatrix(matrix[used], encoding, labels[used])
    data.set_weight(weights[used])
    return data


def dmatrix(matrix: Matrix, encoding: Encoding, labels: Labels | None = None) -> Any:
    """Encoded rows as XGBoost's own matrix."""
    import xgboost as xgb

    return xgb.DMatrix(
        matrix,
        label=labels,
        feature_names=encoding.names,
        feature_types=encoding.xgboost_types,
        enable_categorical=True,
        nthread=1,
    )


def _linear(estimator: Any, matrix: Matrix, labels: Labels, encoding: Encoding) -> Linear:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = [position for position, kind in enumerate(encoding.xgboost_types) if kind == "c"]
    numbers = [position for position, kind in enumerate(encoding.xgboost_types) if kind == "q"]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES)
    # A column that is empty in training stays, as zeros: the contract has warned of it.
    impute = SimpleImputer(add_indicator=True, keep_empty_features=True)
    prepare = ColumnTransformer(
        # It gives a sparse matrix where that is the smaller one.
        [("categories", one_hot, categories), ("numbers", make_pipeline(impute, StandardScaler()), numbers)]
    )
    with _one_thread():
        return Linear(make_pipeline(prepare, estimator).fit(matrix, labels))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Scikit-learn in one thread, and without its warnings: what a user must know of the data, the contract says."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


BASELINES: dict[str, Callable[..., Linear]] = {
    "logistic_regression": fit_logistic,
    "linear_svm": fit_linear_svm,
}
"""The baselines that learn; the base rate needs only the labels."""


def contributions(model: Boosted, matrix: Matrix) -> npt.NDArray[np.float32]:
    """Exact SHAP contributions (rows, features) to the calibrated log-odds; the base value is left out.

    The calibration is a line on the log-odds, so the contributions scale with its slope.
    """
    values = model.booster.predict(dmatrix(matrix, model.encoding), pred_contribs=True)
    return np.asarray(values[:, :-1] * model.calibration.slope, dtype=np.float32)
