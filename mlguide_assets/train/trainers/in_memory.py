"""XGBoost on rows that are all in memory: the way of every problem that fits."""

from dataclasses import dataclass

import ibis
import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.models.models import Boosted, Probabilities, refit_xgboost
from mlguide_assets.train.rows import matured_rows
from mlguide_assets.train.trainers.trainer import Fit


@dataclass(frozen=True, eq=False)
class InMemory:
    """See `Trainer`."""

    rows: pa.Table
    time: str
    name: str = "in_memory"
    place: str = "in memory"

    @classmethod
    def of(cls, features: ibis.Table, problem: Problem) -> "InMemory":
        return cls(matured_rows(features, problem), problem.decision.time)

    def learned(self, until: np.datetime64 | None) -> int:
        return self.rows.num_rows if until is None else int((self.rows[self.time].to_numpy() <= until).sum())

    def fit(self, known: TrainingRows, weights: Probabilities, until: np.datetime64 | None, how: Fit) -> Boosted:
        return refit_xgboost(
            known.matrix,
            known.labels,
            known.encoding,
            rounds=how.rounds,
            seed=how.seed,
            recipe=how.recipe,
            weights=weights,
            threads=how.threads,
        )
