"""XGBoost on more rows than memory holds: it reads them in batches from the disk, in the order of the file.

The rows are written once as Parquet. XGBoost reads that file a few times to find its histogram bins, keeps one byte per
value in files of its own, and streams those for every tree (`ExtMemQuantileDMatrix`). Labels, weights and gradients of
the rows that a tree learns from stay in memory. The same rows in the same order give the same bytes.

Many rows are split into subsets, and consecutive trees learn from one subset each: stochastic gradient boosting
(Friedman, 2002). A subset is spread over the whole history.

It does not choose anything: rounds, calibration and the model itself are chosen on the rows in memory.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from mlguide_assets.train.room import SUBSET_ROWS
from mlguide_assets.train.rows import sampled_rows
from mlguide_assets.train.trainers.trainer import Fit

BATCH_ROWS = 500_000
"""Rows that are encoded at a time. XGBoost makes a page of each: larger pages take more memory, smaller ones time."""
GROUP_ROWS = 20_480
"""Rows of a row group of the file, the smallest part of a subset."""


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
        backend.to_parquet(known, file, row_group_size=GROUP_ROWS)
        newest = known[problem.decision.time].max().to_pyarrow().as_py()
        return cls(sampled_rows(read_parquet(backend, file), problem), file, problem, plans, np.datetime64(newest))

    def learned(self, until: np.datetime64 | None) -> int:
        time = self.problem.decision.time
        return sum(_until(rows, time, until).num_rows for rows in self._read([time]))

    def fit(self, known: TrainingRows, weights: Probabilities, until: np.datetime64 | None, how: Fit) -> Boosted:
        booster: Any = None
        first: Any = None
        subsets, trees = self.subsets(how.recipe, until, how.rounds), 0
        rows = "all rows" if until is None else f"rows until {np.datetime_as_string(until, 'D')}"
        with TemporaryDirectory(dir=self.file.parent, prefix="pages-") as folder:
            for number, subset in enumerate(subsets):
                place = Path(folder) / str(number)
                place.mkdir()
                batches = partial(self.batches, known.encoding, how.recipe, until, subset.groups)
                pages = _Pages(batches, known.encoding, place)
                # All subsets have the bins of the first.
                data = xgb.ExtMemQuantileDMatrix(pages, ref=first, nthread=how.threads, enable_categorical=True)
                first = first or data
                # With the same seed, the trees of each subset would draw the same columns.
                parameters = xgboost_parameters(how.recipe, how.seed + number, how.threads)
                booster = xgb.train(parameters, data, num_boost_round=subset.rounds, xgb_model=booster)
                trees += subset.rounds
                how.report(f"XGBoost on {rows}: {trees} of {how.rounds} trees")
            # They remove their files when they go, which must be before their folder does.
            del data, first, pages
            gc.collect()
        return Boosted(booster, how.rounds, known.encoding)

    def subsets(self, recipe: Recipe, until: np.datetime64 | None, rounds: int) -> list["Subset"]:
        """The subsets of the rows, in the order in which trees learn from them."""
        counted = self._counted(recipe, until)
        number = max(1, min(sum(counted.values()) // SUBSET_ROWS, len(counted), rounds))
        groups, each = list(counted), [len(part) for part in np.array_split(np.arange(rounds), number)]
        return [Subset(tuple(groups[place::number]), each[place]) for place in range(number)]

    def _counted(self, recipe: Recipe, until: np.datetime64 | None) -> dict[int, int]:
        """How many rows count, by the row groups of the file that have such."""
        found: dict[int, int] = {}
        with pq.ParquetFile(self.file) as file:
            for group in range(file.num_row_groups):
                rows = _until(
                    file.read_row_group(group, [self.problem.decision.time]), self.problem.decision.time, until
                )
                times = rows[self.problem.decision.time].to_numpy()
                found[group] = int(np.count_nonzero(recipe.window.weights(times, self._newest(until))))
        return {group: rows for group, rows in found.items() if rows}

    def _newest(self, until: np.datetime64 | None) -> np.datetime64:
        return self.newest if until is None else min(self.newest, until)

    def batches(
        self, encoding: Encoding, recipe: Recipe, until: np.datetime64 | None, groups: Sequence[int] | None = None
    ) -> Iterator[Batch]:
        """The rows up to an instant, a few at a time; rows of weight 0 are left out.

        Args:
            groups: the row groups of the file to read; None: all.
        """
        decision, label = self.problem.decision, self.problem.label.column
        newest = self._newest(until)
        ratios = uniform_ratios(self.rows, self.plans, decision)
        planned = ratios[~np.isnan(ratios)]
        mean = float(planned.mean()) if len(planned) else None
        most = self.problem.exploration.max_weight
        for every in self._read([*decision.keys, label, *encoding.names], groups):
            rows = _until(every, decision.time, until)
            weights = recipe.window.weights(rows[decision.time].to_numpy(), newest) * propensity_weights(
                uniform_ratios(rows, self.plans, decision), max_weight=most, mean=mean
            )
            used = weights > 0
            if used.any():
                yield Batch(encoding.matrix(rows)[used], rows[label].to_numpy()[used], weights[used])

    def _read(self, columns: list[str], groups: Sequence[int] | None = None) -> Iterator[pa.Table]:
        with pq.ParquetFile(self.file) as file:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(dict.fromkeys(columns))):
                yield pa.Table.from_batches([batch])


@dataclass(frozen=True)
class Subset:
    """Row groups of the file, and how many trees learn from them."""

    groups: tuple[int, ...]
    rounds: int


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
