"""XGBoost on more rows than memory holds: it reads them in batches from the disk, in the order of the file.

The rows are written once as Parquet. XGBoost reads that file a few times to find its histogram bins, keeps one byte per
value in files of its own, and streams those for every tree (`ExtMemQuantileDMatrix`). Labels, weights and gradients of
all rows stay in memory. The same rows in the same order give the same bytes.

It does not choose anything: rounds, calibration and the model itself are chosen on the rows in memory.
"""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost as xgb

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.models.encoding import Encoding, Matrix
from mlguide_assets.train.models.models import Boosted, Labels, Probabilities, xgboost_parameters
from mlguide_assets.train.propensity import propensity_weights, uniform_ratios
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.rows import sampled_rows
from mlguide_assets.train.trainers.trainer import Fit

BATCH_ROWS = 500_000
"""Rows that are encoded at a time. XGBoost makes a page of each: larger pages take more memory, smaller ones time."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Encoded rows, their labels, and how much each counts (n,)."""

    matrix: Matrix
    labels: Labels
    weights: Probabilities


@dataclass(frozen=True, eq=False)
class ExternalMemory:
    """See `Trainer`.

    Attributes:
        file: all matured rows as Parquet, in any order that is always the same.
        plans: the plans that chose some of the decisions, if any.
    """

    rows: pa.Table
    file: Path
    problem: Problem
    plans: ibis.Table | None
    newest: np.datetime64
    name: str = "external_memory"
    place: str = "in external memory"

    @classmethod
    def of(cls, features: ibis.Table, problem: Problem, plans: ibis.Table | None, folder: Path) -> "ExternalMemory":
        """
        Args:
            folder: on a disk that has room for all rows; files may be left there.
        """
        known, file = features.filter(features[problem.label.column].notnull()), folder / "rows.parquet"
        backend = features.get_backend()
        backend.to_parquet(known, file)
        newest = known[problem.decision.time].max().to_pyarrow().as_py()
        return cls(sampled_rows(read_parquet(backend, file), problem), file, problem, plans, np.datetime64(newest))

    def learned(self, until: np.datetime64 | None) -> int:
        time = self.problem.decision.time
        return sum(_until(rows, time, until).num_rows for rows in self._read([time]))

    def fit(self, known: TrainingRows, weights: Probabilities, until: np.datetime64 | None, how: Fit) -> Boosted:
        with TemporaryDirectory(dir=self.file.parent, prefix="pages-") as folder:
            pages = _Pages(lambda: self.batches(known.encoding, how.recipe, until), known.encoding, Path(folder))
            data = xgb.ExtMemQuantileDMatrix(pages, nthread=how.threads, enable_categorical=True)
            booster = xgb.train(xgboost_parameters(how.recipe, how.seed, how.threads), data, num_boost_round=how.rounds)
            # It removes its files when it goes, which must be before their folder does.
            del data, pages
            gc.collect()
        return Boosted(booster, how.rounds, known.encoding)

    def batches(self, encoding: Encoding, recipe: Recipe, until: np.datetime64 | None) -> Iterator[Batch]:
        """The rows up to an instant, a few at a time; rows of weight 0 are left out."""
        decision, label = self.problem.decision, self.problem.label.column
        newest = self.newest if until is None else min(self.newest, until)
        ratios = uniform_ratios(self.rows, self.plans, decision)
        planned = ratios[~np.isnan(ratios)]
        mean = float(planned.mean()) if len(planned) else None
        most = self.problem.exploration.max_weight
        for every in self._read([*decision.keys, label, *encoding.names]):
            rows = _until(every, decision.time, until)
            weights = recipe.window.weights(rows[decision.time].to_numpy(), newest) * propensity_weights(
                uniform_ratios(rows, self.plans, decision), max_weight=most, mean=mean
            )
            used = weights > 0
            if used.any():
                yield Batch(encoding.matrix(rows)[used], rows[label].to_numpy()[used], weights[used])

    def _read(self, columns: list[str]) -> Iterator[pa.Table]:
        with pq.ParquetFile(self.file) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(columns))):
                yield pa.Table.from_batches([batch])


class _Pages(xgb.DataIter):  # type: ignore[misc]
    """The batches as XGBoost asks for them, from the start as often as it likes."""

    def __init__(self, batches: Callable[[], Iterator[Batch]], encoding: Encoding, folder: Path) -> None:
        self._batches, self._encoding = batches, encoding
        self._left = batches()
        super().__init__(cache_prefix=str(folder / "page"))

    def reset(self) -> None:
        self._left = self._batches()

    def next(self, input_data: Any) -> bool:
        batch = next(self._left, None)
        if batch is None:
            return False
        input_data(
            data=batch.matrix,
            label=batch.labels,
            weight=batch.weights,
            feature_names=self._encoding.xgboost_names,
            feature_types=self._encoding.xgboost_types,
        )
        return True


def _until(rows: pa.Table, time: str, until: np.datetime64 | None) -> pa.Table:
    if until is None:
        return rows
    early: npt.NDArray[np.bool_] = rows[time].to_numpy() <= until
    return rows if early.all() else rows.filter(pa.array(early))
