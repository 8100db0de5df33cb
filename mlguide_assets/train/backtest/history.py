"""Matured history, folds of it ordered in time, and what a recipe learns from and says of each.

Every fit is the one that training would have made at the time, choice of rounds and calibration included, and every
comparison is on the same rows and the same resamples of units. Beyond `MOST_ROWS` whole units are left out, drawn by
hash, so that more rows take no longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.statistics.arrays import Flags, Floats, Integers, ratio
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.statistics.ranking import RANKED, Ranking
from mlguide_assets.train.evaluation.metrics import ROW_LOSSES, point
from mlguide_assets.train.folds import (
    Fold,
    Rows,
    Units,
    expanding_folds,
    refuse_one_outcome,
    rows_of_whole_units,
)
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import Boosted, Labels, Probabilities, fit_xgboost
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.rows import clusters_of
from mlguide_assets.train.split import Times

DAY = np.timedelta64(timedelta(days=1))

UNSEEN_UNITS = 0.3
"""Share of the units that a fold keeps from training, to be scored on theirs."""

MOST_ROWS = 150_000
"""About twenty fits, of a few seconds each on two cores, for window and ageing together."""
LEAST_REPEATS = 1000
"""An interval that allows for several comparisons ends at rare resamples, of which there must be some."""


@dataclass(frozen=True, eq=False)
class History:
    """Matured rows of `send_features` before the test window, and what a recipe learns from some of them."""

    rows: pa.Table
    problem: Problem

    @classmethod
    def of(cls, rows: pa.Table, problem: Problem, most_rows: int = MOST_ROWS) -> "History":
        kept = rows_of_whole_units(clusters_of(rows, problem), most_rows, problem.evaluation.seed)
        return cls(rows if len(kept) == rows.num_rows else rows.take(kept), problem)

    @cached_property
    def labels(self) -> Labels:
        return np.asarray(self.rows[self.problem.label.column].to_numpy())

    @cached_property
    def times(self) -> Times:
        return np.asarray(self.rows[self.problem.decision.time].to_numpy())

    @cached_property
    def units(self) -> Units:
        return clusters_of(self.rows, self.problem)

    def folds(self, folds: int, *, unseen_units: bool) -> list[Fold]:
        """Folds ordered in time.

        Args:
            unseen_units: whether each is scored on units that it does not learn from. What is chosen so is what
                generalises, not what remembers units.
        """
        found = expanding_folds(
            self.times,
            folds=folds,
            gap=self.problem.final_after,
            units=self.units if unseen_units else None,
            holdout_units=UNSEEN_UNITS if unseen_units else 0.0,
            seed=self.problem.evaluation.seed,
        )
        refuse_one_outcome(self.labels, found, self.problem.decision)
        return found

    def fit(self, train: Rows, recipe: Recipe) -> Boosted:
        """The model that training would have made of these rows."""
        known = self.rows.take(train)
        encoding = Encoding.fit(known, features_of(self.problem))
        return fit_xgboost(
            encoding.matrix(known),
            self.labels[train],
            self.times[train],
            encoding,
            gap=self.problem.final_after,
            seed=self.problem.evaluation.seed,
            recipe=recipe,
        )

    def scores(self, model: Boosted, validate: Rows) -> Probabilities:
        return model.predict(model.encoding.matrix(self.rows.take(validate)))


@dataclass(frozen=True, eq=False)
class FoldScores:
    """What several models said of the rows of one validation window; all arrays are (n,)."""

    labels: Flags
    units: Units
    scores: dict[str, Probabilities]

    def point(self, metric: str, model: str) -> float:
        return point(metric, self.labels, self.scores[model])


def replicated(
    metric: str, scored: Sequence[FoldScores], names: Sequence[str], problem: Problem
) -> tuple[Floats, Floats]:
    """A metric of every model on every part: points (models, parts) and replicates (models, parts, repeats).

    A resample draws the same units for all models and all parts, since a unit has rows in several of them.
    """
    repeats = max(problem.evaluation.bootstrap_repeats, LEAST_REPEATS)
    bootstrap = ClusterBootstrap(np.concatenate([part.units for part in scored]), repeats, problem.evaluation.seed)
    points = np.array([[part.point(metric, name) for part in scored] for name in names])
    values = np.full((*points.shape, repeats), np.nan)
    if bootstrap.size < 2:
        return points, values
    codes = np.split(bootstrap.codes, np.cumsum([len(part.units) for part in scored])[:-1])
    measures = {
        (model, at): _measure(metric, part.labels, part.scores[name], codes[at], bootstrap.size)
        for model, name in enumerate(names)
        for at, part in enumerate(scored)
    }
    start = 0
    for counts in bootstrap.draws():
        for place, measure in measures.items():
            values[place][start : start + counts.shape[1]] = measure(counts)
        start += counts.shape[1]
    return points, values


def _measure(
    metric: str, labels: Flags, scores: npt.NDArray[np.float64], units: Integers, size: int
) -> Callable[[Floats], Floats]:
    """From how often each unit was drawn, (size, r), to the metric (r,); NaN where it is undefined.

    The sums per unit are sparse for the reason given in `statistics.bootstrap`.
    """
    from scipy.sparse import csr_array

    if metric in ROW_LOSSES:
        sums = [
            np.bincount(units, values, size) for values in (ROW_LOSSES[metric](labels, scores), np.ones(len(units)))
        ]
        per_unit = csr_array(np.array(sums))

        return lambda counts: ratio(*(per_unit @ counts))
    ranking = Ranking.of(labels, scores)
    in_segments = csr_array((np.ones(len(units)), (ranking.segment, units)), shape=(ranking.segments, size))
    return lambda counts: RANKED[metric](ranking.sums(in_segments @ counts))
