"""How the candidate is learned: XGBoost's parameters, and which part of the history it learns from.

The default holds until the backtest and the tuning of `mlguide run --thorough` have found a better one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.split import Times

WindowKind = Literal["all", "rolling", "decayed"]

PARAMETERS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "learning_rate": 0.12,
    "max_depth": 4,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "reg_lambda": 5.0,
    "max_cat_to_onehot": 8,
}


@dataclass(frozen=True)
class TrainingWindow:
    """Which matured rows count, and how much.

    Attributes:
        kind: `all` takes the whole history alike, `rolling` the last `days` of it, `decayed` halves a row's
            weight with every `days` of its age.
    """

    kind: WindowKind = "all"
    days: int | None = None

    def __post_init__(self) -> None:
        if (self.kind == "all") != (self.days is None) or (self.days is not None and self.days < 1):
            raise ValueError(f"a window is 'all', or 'rolling' or 'decayed' with days >= 1, not {self}")

    @property
    def name(self) -> str:
        return self.kind if self.days is None else f"{self.kind} {self.days} d"

    def weights(self, times: Times, newest: np.datetime64 | None = None) -> npt.NDArray[np.float64]:
        """Weight of each row (n,), 1 for the newest; 0 leaves a row out.

        Args:
            newest: where these are some rows of many, the time of the newest of all.
        """
        if self.days is None or not len(times):
            return np.ones(len(times))
        age_days = ((times.max() if newest is None else newest) - times) / np.timedelta64(timedelta(days=1))
        weights: npt.NDArray[np.float64] = 0.5 ** (age_days / self.days)
        return (age_days < self.days).astype(np.float64) if self.kind == "rolling" else weights


@dataclass(frozen=True)
class Recipe:
    """All that is chosen before a candidate is fitted, besides data and seed.

    Attributes:
        test_days: days of the test window, the latest ones, and more where these have few positives; None: as the
            problem says.
    """

    parameters: Mapping[str, Any] = field(default_factory=lambda: dict(PARAMETERS))
    window: TrainingWindow = TrainingWindow()
    test_days: int | None = None

    def of_lately(self, problem: Problem) -> "Recipe":
        """The recipe where evidence says that the past is no guide any more: learn from what came lately, and be tested
        on the very latest.

        A window of `evaluation.test_share` goes back to before the change. Whoever is tested on it has learned nothing
        of what came since, and can be no better than the champion. So the test is as long as the window that shows a
        drop, and a row weighs half for every `LATELY` such windows of its age.
        """
        days = problem.watching.window_days
        return replace(self, window=TrainingWindow("decayed", LATELY * days), test_days=days)

    def to_json(self) -> dict[str, Any]:
        window = {"kind": self.window.kind, "days": self.window.days}
        tested = {} if self.test_days is None else {"test_days": self.test_days}
        return {"parameters": dict(self.parameters), "window": window, **tested}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Recipe":
        return cls(dict(stored["parameters"]), TrainingWindow(**stored["window"]), stored.get("test_days"))


DEFAULT_RECIPE = Recipe()

LATELY = 4
"""Windows of the watch after which a row weighs half, for a model that evidence asks for."""

CHOSEN = "training_recipe"
"""The table that holds what `search` chose last."""


def current_recipe(lake: Lake) -> Recipe:
    """The recipe that `--thorough` chose last on this problem; the default before the first."""
    if not lake.exists(CHOSEN):
        return DEFAULT_RECIPE
    return Recipe.from_json(json.loads(lake.read_arrow(CHOSEN)["recipe"][0].as_py()))
