"""Who fits XGBoost, by how many rows there are and where: all of them in memory, in batches from the disk, or on Spark.

Everything else of a training needs few rows, and reads those that the trainer holds in memory: all rows, or a seeded
sample of units, whose size every figure states.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from mlguide_assets.errors import InputError
from mlguide_assets.progress import Report
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.models.models import Boosted, Probabilities
from mlguide_assets.train.recipe import Recipe

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.prepare.computing import Engine


@dataclass(frozen=True)
class Fit:
    """How XGBoost is fitted: `rounds` are chosen before, `threads` learn; `report` takes lines of progress."""

    rounds: int
    seed: int
    recipe: Recipe
    threads: int
    report: Report = lambda _: None


@dataclass(frozen=True, eq=False)
class Distributed:
    """An engine whose rows are on other machines, with what a training reads, as that engine does.

    Attributes:
        plans: the plans that chose some of the decisions, if any.
    """

    engine: "Engine"
    features: "ibis.Table"
    plans: "ibis.Table | None" = None


class Trainer(Protocol):
    """Fits XGBoost on all matured rows, or on those up to an instant.

    Attributes:
        name: as `training.trainer` has it.
        place: where it learns, in words that follow "learns from all rows".
        rows: the matured rows that are in memory, in order of time.
    """

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> str: ...

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


def require_distributed(read: Distributed | None) -> Distributed:
    """Raise InputError where the trainer `spark` has no Spark on which XGBoost can learn."""
    if read is None or not read.engine.runs_tasks:
        raise InputError(
            "training.trainer: spark needs the engine spark, at an address such as spark://host:7077 or local[4]: "
            "set engine: spark and MLGUIDE_SPARK, or choose training.trainer: external_memory."
        )
    return read
