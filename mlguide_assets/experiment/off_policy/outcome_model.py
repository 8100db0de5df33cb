"""What each action would have brought, by models that have not seen the unit they predict.

Cross-fitting: units are split into folds, and the rewards of each fold are predicted by a model of the others. A model
that had seen a row would repeat its reward, and the doubly robust estimate would lose its correction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.experiment.off_policy.log import Predictions
from mlguide_assets.experiment.spelled_names import UNKNOWN
from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets.train.models.models import THREADS

FOLDS = 5
ROUNDS = 100
SEED = 0
MOST_ROWS = 200_000
"""To fit trees to, drawn at random: more of them change so small a model little."""


@dataclass(frozen=True, eq=False)
class Context:
    """What was known of each decision: `values` (n, columns), NaN where missing; categories are codes."""

    values: npt.NDArray[np.float32]
    categorical: Sequence[bool] = ()


@dataclass(frozen=True, eq=False)
class Decisions:
    """n logged decisions as an outcome model sees them.

    Attributes:
        units: (n,).
        context: of shape (n, 0) where nothing is known.
        actions: (n,) codes from 0.
        rewards: (n,).
    """

    units: npt.NDArray[Any]
    context: Context
    actions: Integers
    rewards: Floats


Predict = Callable[[Integers, Integers], Floats]
"""Expected reward of given rows under given actions, (m,) and (m,) to (m,)."""


def predict_actions(decisions: Decisions, chosen: Integers) -> Predictions:
    """Predictions for a target that takes one known action in each row.

    Args:
        chosen: (n,) codes of the target's actions, `UNKNOWN` where it was never logged.
    """
    logged, target = np.empty(len(chosen)), np.empty(len(chosen))
    for rows, predict in _fold_models(decisions):
        logged[rows] = predict(rows, decisions.actions[rows])
        target[rows] = predict(rows, chosen[rows])
    return Predictions(logged, target)


def predict_uniform(decisions: Decisions, actions: int) -> Predictions:
    """Predictions for a target that takes each of the actions 0 to `actions` - 1 with equal probability."""
    logged, target = np.empty(len(decisions.rewards)), np.zeros(len(decisions.rewards))
    for rows, predict in _fold_models(decisions):
        logged[rows] = predict(rows, decisions.actions[rows])
        for action in range(actions):
            target[rows] += predict(rows, np.full(len(rows), action)) / actions
    return Predictions(logged, target)


def _fold_models(decisions: Decisions) -> "list[tuple[Integers, Predict]]":
    """The rows of each fold, and a model of all others."""
    distinct, codes = np.unique(decisions.units, return_inverse=True)
    fold = (np.random.default_rng(SEED).permutation(len(distinct)) % FOLDS)[codes]
    fit = _fit_trees if decisions.context.values.shape[1] else _fit_means
    folds = [np.flatnonzero(fold == number) for number in range(min(FOLDS, len(distinct)))]
    return [(rows, fit(decisions, fold != number)) for number, rows in enumerate(folds)]


def _fit_means(decisions: Decisions, seen: npt.NDArray[np.bool_]) -> Predict:
    """The mean reward of each action; of one that is not among the rows, the mean of all."""
    rewards, actions = decisions.rewards[seen], decisions.actions[seen]
    size = int(decisions.actions.max()) + 1
    counts = np.bincount(actions, minlength=size)
    means = np.full(size + 1, rewards.mean())
    np.divide(np.bincount(actions, rewards, size), counts, out=means[:size], where=counts > 0)
    # The last entry is that of `UNKNOWN`.
    return lambda rows, actions: means[actions]


def _fit_trees(decisions: Decisions, seen: npt.NDArray[np.bool_]) -> Predict:
    """XGBoost on the context and the action, with a fixed recipe: any model serves that has not seen the rows."""
    import xgboost

    context, rewards = decisions.context, decisions.rewards
    kinds = ["c" if categorical else "q" for categorical in context.categorical] + ["c"]

    def matrix(rows: Integers, actions: Integers) -> Any:
        coded = np.where(actions == UNKNOWN, np.nan, actions).astype(np.float32)
        return np.column_stack([context.values[rows], coded])

    learned = np.flatnonzero(seen)
    if len(learned) > MOST_ROWS:
        learned = np.sort(np.random.default_rng(SEED).choice(learned, MOST_ROWS, replace=False))
    within = rewards.min() >= 0 and rewards.max() <= 1
    # XGBoost counts in 32 bits, which overflow at 1e38 and lose what squares of large gradients tell long before.
    scale = 1.0 if within else float(np.abs(rewards).max())
    data = xgboost.QuantileDMatrix(
        matrix(learned, decisions.actions[learned]),
        rewards[learned] / scale,
        feature_types=kinds,
        enable_categorical=True,
    )
    parameters = {
        "objective": "reg:logistic" if within else "reg:squarederror",
        "max_depth": 4,
        "eta": 0.1,
        "min_child_weight": 5,
        "nthread": THREADS,
        "seed": SEED,
    }
    booster = xgboost.train(parameters, data, num_boost_round=ROUNDS)

    def predict(rows: Integers, actions: Integers) -> Floats:
        data = xgboost.DMatrix(matrix(rows, actions), feature_types=kinds, enable_categorical=True)
        return np.asarray(booster.predict(data), dtype=np.float64) * scale

    return predict
