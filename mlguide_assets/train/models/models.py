"""What every model can do, and XGBoost, which learns what the simpler models of `baselines.py` cannot.

All take the matrix of `Encoding` and give probabilities.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlguide_assets.errors import InputError
from mlguide_assets.train.evaluation.metrics import log_loss_rows
from mlguide_assets.train.models.calibration import IDENTITY, Calibration, fit_calibration
from mlguide_assets.train.models.encoding import Encoding, Matrix
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe
from mlguide_assets.train.split import Times, TimeSplit, split_by_time

Labels = npt.NDArray[np.int8]
Probabilities = npt.NDArray[np.float64]

XGBOOST = "xgboost"

THREADS = os.cpu_count() or 1
"""For learning, unless other models learn meanwhile, and for scoring many rows. Model and answers are the same to the
byte with one thread or two."""

MAX_ROUNDS = 500
PATIENCE = 40
CHI_SQUARE_99 = 9.21
"""99 % quantile of chi-square with two degrees of freedom: slope and intercept."""
INNER_SHARE = 0.15
"""Share of the training rows, the latest, on which the number of rounds is chosen."""


class Model(Protocol):
    """What scores rows."""

    def predict(self, matrix: Matrix) -> Probabilities: ...


class ServableModel(Model, Protocol):
    """What can go to production: it carries what it needs to encode a row, and says why it scores as it does.

    `contributions` (rows, features) are exact and in calibrated log-odds, without the base value; `importance` is
    the share of each feature in what the model makes of its training rows.
    """

    @property
    def encoding(self) -> Encoding: ...

    @property
    def calibration(self) -> Calibration: ...

    def predict_uncalibrated(self, matrix: Matrix) -> Probabilities: ...

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float32]: ...

    def importance(self) -> Mapping[str, float]: ...


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

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Exact SHAP contributions (rows, features) to the calibrated log-odds; the base value is left out.

        The calibration is a line on the log-odds, so the contributions scale with its slope.
        """
        values = self.booster.predict(dmatrix(matrix, self.encoding), pred_contribs=True)
        return np.asarray(values[:, :-1] * self.calibration.slope, dtype=np.float32)

    def importance(self) -> dict[str, float]:
        """Share of each feature in the total gain; features that no tree uses are left out."""
        gains: dict[str, Any] = self.booster.get_score(importance_type="total_gain")
        total = sum(gains.values()) or 1.0
        own = dict(zip(self.encoding.xgboost_names, self.encoding.names, strict=True))
        return {own[name]: float(gain / total) for name, gain in gains.items()}


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
        gap: the label window, kept free between the rows for fitting and those for validation.
        row_weights: how much each row counts (n,), beside what the recipe's window says; default: alike. The rows
            for validation are not weighted: they are what the model will meet.
    """
    given = np.ones(len(labels)) if row_weights is None else row_weights
    inner = inner_window(labels, times, gap)
    tried = None if inner is None else try_xgboost(matrix, labels, times, encoding, inner, seed, recipe, given)
    return refit_xgboost(
        matrix,
        labels,
        encoding,
        rounds=tried.rounds if tried else PATIENCE,
        seed=seed,
        recipe=recipe,
        weights=recipe.window.weights(times) * given,
        calibration=tried.calibration if tried else IDENTITY,
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
    threads: int | None = None,
) -> Boosted:
    """Learn from the rows given, with rounds and calibration chosen before.

    Args:
        weights: how much each row counts (n,); rows of weight 0 are left out.
        threads: how many learn; default: `THREADS`.
    """
    import xgboost as xgb

    data = training_data(matrix, labels, encoding, weights)
    booster = xgb.train(xgboost_parameters(recipe, seed, threads), data, num_boost_round=rounds)
    return Boosted(booster, rounds, encoding, calibration)


def xgboost_parameters(recipe: Recipe, seed: int, threads: int | None = None) -> dict[str, Any]:
    """What `xgboost.train` takes."""
    return {**recipe.parameters, "nthread": threads or THREADS, "seed": seed}


@dataclass(frozen=True, eq=False)
class Trial:
    """A model on the inner window, which it has not learned from.

    Attributes:
        answers: uncalibrated probabilities of the rows of the inner window (n,).
        calibration: the correction that their outcomes prove to be needed.
        rounds: of XGBoost; 0 for other models.
    """

    answers: Probabilities
    calibration: Calibration
    rounds: int = 0

    @classmethod
    def of(cls, labels: Labels, answers: Probabilities, rounds: int = 0) -> "Trial":
        """Args: labels (n,): the outcomes of the inner window."""
        return cls(answers, _proven(fit_calibration(labels, answers), labels, answers), rounds)


def inner_window(labels: Labels, times: Times, gap: timedelta) -> TimeSplit | None:
    """The latest training rows as a window on which choices are made; None where it could not decide anything.

    Both sides need both outcomes.
    """
    try:
        inner = split_by_time(times, test_share=INNER_SHARE, gap=gap)
    except InputError:
        return None
    return inner if all(len(np.unique(labels[side])) == 2 for side in (inner.train, inner.test)) else None


def try_xgboost(
    matrix: Matrix,
    labels: Labels,
    times: Times,
    encoding: Encoding,
    inner: TimeSplit,
    seed: int,
    recipe: Recipe,
    row_weights: Probabilities,
    threads: int | None = None,
) -> Trial:
    """XGBoost on the inner window, with the number of rounds that the window likes best."""
    import xgboost as xgb

    earlier, later = inner.train, inner.test
    window = dmatrix(matrix[later], encoding, labels[later])
    weights = recipe.window.weights(times[earlier]) * row_weights[earlier]
    booster = xgb.train(
        xgboost_parameters(recipe, seed, threads),
        training_data(matrix[earlier], labels[earlier], encoding, weights),
        num_boost_round=MAX_ROUNDS,
        evals=[(window, "inner")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    rounds = int(booster.best_iteration) + 1
    answers = np.asarray(booster.predict(window, iteration_range=(0, rounds)), dtype=np.float64)
    return Trial.of(labels[later], answers, rounds)


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
        feature_names=encoding.xgboost_names,
        feature_types=encoding.xgboost_types,
        enable_categorical=True,
        nthread=1,
    )
