"""XGBoost on Spark (`xgboost.spark`): a fixed number of tasks, each of which learns from the rows of one range of time.

Every task has its rows in the same order each time, and the same rank among the others; tasks exchange the sums of
their histograms. How those are added up follows from the cluster as well, so equal rows give models that are as good
as each other, not the same bytes. Another number of tasks finds other histogram bins, and gives another model.

It does not choose anything: rounds, calibration and the model itself are chosen on the rows in memory.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost as xgb

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import SPARK
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.events import instants_at
from mlguide_assets.prepare.spark.engine import Spark
from mlguide_assets.prepare.spark.failures import naming_failures
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import Boosted, Probabilities
from mlguide_assets.train.propensity import planned_ratios, propensity_weights
from mlguide_assets.train.recipe import TrainingWindow
from mlguide_assets.train.rows import known_of_some_units
from mlguide_assets.train.trainers.trainer import Distributed, Fit

_FEATURES, _LABEL, _WEIGHT, _RATIO = "features", "label", "weight", "_ratio"


@dataclass(frozen=True, eq=False)
class OnSpark:
    """See `Trainer`.

    Attributes:
        known: all matured rows, where Spark reads them, with the column `_ratio` where plans chose some of them.
    """

    rows: pa.Table
    engine: Spark
    known: ibis.Table
    problem: Problem
    folder: Path
    name: str = SPARK

    @classmethod
    def of(cls, read: Distributed, problem: Problem, folder: Path) -> "OnSpark":
        """
        Args:
            folder: on a disk that all machines see and that has room for all rows; files may be left there.
        """
        assert isinstance(read.engine, Spark)
        decision, drawn = problem.decision, folder / "sample"
        read.engine.stored(known_of_some_units(read.features, problem), drawn)
        order = [(name, "ascending") for name in decision.order]
        known = read.features.filter(read.features[problem.label.column].notnull())
        if read.plans is not None and decision.choose_id is not None:
            pair = [decision.unit_id, decision.choose_id, decision.time]
            ratios = planned_ratios(known.select(*pair), read.plans, decision).rename({_RATIO: "ratio"})
            joined = known.left_join(ratios, pair).drop(*(f"{name}_right" for name in pair))
            known = read.engine.stored(joined, folder / "known")
        return cls(pq.read_table(drawn).sort_by(order).combine_chunks(), read.engine, known, problem, folder)

    @property
    def tasks(self) -> int:
        return self.problem.training.spark_tasks

    @property
    def place(self) -> str:
        return f"on Spark, in {self.tasks} tasks"

    def learned(self, until: np.datetime64 | None) -> int:
        return int(self._until(until).count().to_pyarrow().as_py())

    def fit(self, known: TrainingRows, weights: Probabilities, until: np.datetime64 | None, how: Fit) -> Boosted:
        self._require_tasks(self.learned(until))
        with TemporaryDirectory(dir=self.folder, prefix="encoded-") as place:
            encoded = self.encoded(known.encoding, how.recipe.window, until, Path(place) / "rows")
            booster = self._boosted(encoded, known.encoding, how)
        return Boosted(booster, how.rounds, known.encoding)

    def encoded(
        self, encoding: Encoding, window: TrainingWindow, until: np.datetime64 | None, place: Path
    ) -> ibis.Table:
        """The rows up to an instant as XGBoost takes them, encoded where they are; rows of weight 0 are left out.

        Returns:
            The keys of decisions, which come first, as `key0`, `key1`, ...; `features` (a list of float32), `label` and
            `weight`.
        """
        rows, decision, label = self._until(until), self.problem.decision, self.problem.label.column
        newest = np.datetime64(rows[decision.time].max().to_pyarrow().as_py())
        most = self.problem.exploration.max_weight
        has_ratio = _RATIO in rows.columns
        mean = rows[_RATIO].mean().to_pyarrow().as_py() if has_ratio else None
        keys = {f"key{at}": name for at, name in enumerate(decision.order)}
        types = rows.schema().to_pyarrow()
        schema = pa.schema([*((key, types.field(name).type) for key, name in keys.items()), *_ENCODED])

        def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for table in (pa.Table.from_batches([each]) for each in batches):
                ratios = _as_floats(table[_RATIO]) if has_ratio else np.full(table.num_rows, np.nan)
                weights = window.weights(table[decision.time].to_numpy(), newest) * propensity_weights(
                    ratios, max_weight=most, mean=mean
                )
                used = weights > 0
                yield _batch(table, keys, encoding, label, weights, used, schema)

        wanted = [*decision.order, label, *encoding.names, *([_RATIO] if has_ratio else [])]
        chosen = rows.select(*dict.fromkeys(wanted))
        return self.engine.stored(self.engine.mapped(chosen, encode, schema), place)

    @naming_failures()
    def _boosted(self, encoded: ibis.Table, encoding: Encoding, how: Fit) -> xgb.Booster:
        from xgboost.spark import SparkXGBClassifier

        # Every fit would be announced on the screen, with all of its parameters.
        logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
        count = int(encoded.count().to_pyarrow().as_py())
        edges = instants_at(encoded["key0"], [count * task // self.tasks for task in range(1, self.tasks)])
        keys = [name for name in encoded.columns if name.startswith("key")]
        frame = self.engine.connection.in_ranges(encoded, by="key0", edges=edges, order=keys)
        parameters = {name: value for name, value in how.recipe.parameters.items() if name != "objective"}
        classifier = SparkXGBClassifier(
            features_col=_FEATURES,
            label_col=_LABEL,
            weight_col=_WEIGHT,
            num_workers=self.tasks,
            n_estimators=how.rounds,
            random_state=how.seed,
            feature_names=encoding.xgboost_names,
            feature_types=encoding.xgboost_types,
            verbose=False,
            # Where Spark runs a stage again, there is then another one to meet at.
            launch_tracker_on_driver=False,
            **parameters,
        )
        learned = classifier.fit(frame).get_booster()
        booster = xgb.Booster({"nthread": how.threads})
        booster.load_model(learned.save_raw("ubj"))
        return booster

    def _require_tasks(self, rows: int) -> None:
        """Refuse what Spark would wait for, minutes long."""
        room = self.engine.connection.tasks_at_once
        if self.tasks > min(room, rows):
            raise InputError(
                f"training.spark_tasks is {self.tasks}, and Spark has room for {room} tasks at a time, which learn "
                f"from {counted(rows, 'row')}: all must run at once, and each needs rows; lower it, or give Spark "
                "more cores."
            )

    def _until(self, until: np.datetime64 | None) -> ibis.Table:
        if until is None:
            return self.known
        return self.known.filter(self.known[self.problem.decision.time] <= ibis.timestamp(until.item()))


_ENCODED = pa.schema([(_FEATURES, pa.list_(pa.float32())), (_LABEL, pa.float32()), (_WEIGHT, pa.float32())])


def _batch(
    table: pa.Table,
    keys: dict[str, str],
    encoding: Encoding,
    label: str,
    weights: Probabilities,
    used: Any,
    schema: pa.Schema,
) -> pa.RecordBatch:
    matrix, kept = encoding.matrix(table)[used], table.filter(pa.array(used))
    columns = [
        *(kept[name].combine_chunks() for name in keys.values()),
        pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]).cast(schema.field(_FEATURES).type),
        pa.array(kept[label].to_numpy().astype(np.float32)),
        pa.array(weights[used].astype(np.float32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as_floats(column: pa.ChunkedArray) -> Probabilities:
    """NaN for null."""
    return np.asarray(column.to_pandas(), dtype=np.float64)
