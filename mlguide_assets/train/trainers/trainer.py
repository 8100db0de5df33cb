"""Who fits XGBoost, by how many rows there are: all of them in memory, or in batches from the disk.

Everything else of a training needs few rows, and reads those that the trainer holds in memory: all rows, or a seeded
sample of units, whose size every figure states.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.models import Boosted, Probabilities
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.room import fits_in_memory


@dataclass(frozen=True)
class Fit:
    """How XGBoost is fitted: `rounds` are chosen before, `threads` learn."""

    rounds: int
    seed: int
    recipe: Recipe
    threads: int


class Trainer(Protocol):
    """Fits XGBoost on all matured rows, or on those up to an instant.

    Attributes:
        name: as `training.trainer` has it.
        rows: the matured rows that are in memory, in order of time.
    """

    @property
    def name(self) -> str: ...

    @property
    def rows(self) -> pa.Table: ...

    def learned(self, until: np.datetime64 | None) -> int:
        """How many rows XGBoost learns from."""
        ...

    def fit(self, known: TrainingRows, weights: Probabilities, until: np.datetime64 | None, how: Fit) -> Boosted:
        """XGBoost with rounds that are chosen, not calibrated.

        Args:
            known: the rows in memory that are not later than `until`.
            weights: of the rows in memory (n,).
            until: the last instant to learn from; None: all.
        """
        ...


def trainer_name(rows: int, problem: Problem) -> str:
    """The trainer that a problem asks for, or that has room for its rows: `in_memory` or `external_memory`."""
    if problem.training.trainer != "auto":
        return problem.training.trainer
    is_small = rows <= problem.training.rows_in_memory
    return "in_memory" if is_small or fits_in_memory(rows, problem) else "external_memory"
