"""Do training and scoring compute the same features? Recomputed for real decisions, looked up one by one."""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.drawn_rows import single_rows
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.comparing import differing
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.instants import FEW

SPARE = 3
"""So many times as many rows are drawn, about, so that enough are there whatever the draw."""
SAMPLE_ROWS = 500


@dataclass(frozen=True)
class Parity:
    """How many of the rows differ in each feature."""

    rows: int
    differing: Mapping[str, int]

    @property
    def worst(self) -> str | None:
        return max(self.differing, key=lambda name: self.differing[name], default=None)

    @property
    def mismatches(self) -> int:
        """Rows that differ in the worst feature."""
        return max(self.differing.values(), default=0)

    @property
    def share(self) -> float:
        return self.mismatches / self.rows if self.rows else 0.0


def feature_parity(
    features: ibis.Table, tables: Mapping[str, ibis.Table], problem: Problem, *, rows: int = SAMPLE_ROWS
) -> Parity:
    """Compare a seeded sample of decisions with what looking them up one by one gives.

    Args:
        features: the table of features of all of history.
        tables: what it was compiled from, by their names in the problem file.
    """
    keys, order = problem.decision.keys, problem.decision.order
    names = [feature.name for feature in features_of(problem)]
    known = [feature.name for feature in features_of(problem) if feature.origin == "known"]
    backend, seed = features.get_backend(), problem.evaluation.seed
    # Of many decisions, the engine hands over some: a few more than are compared.
    share = SPARE * rows / max(int(backend.to_pyarrow(features.count())), 1)
    some = single_rows(features.select(*keys), keys=keys, share=share, salt=f"parity/{seed}")
    chosen = _sample(backend.to_pyarrow(some.order_by(*order)), rows, seed)
    trained = features.semi_join(ibis.memtable(chosen), keys)
    spine = backend.to_pyarrow(trained.select(*dict.fromkeys([*keys, *known])))
    looked_up = with_features(ibis.memtable(spine), tables, problem, instants=FEW)
    one, other = (
        backend.to_pyarrow(side.select(*dict.fromkeys([*keys, *names])).order_by(*order))
        for side in (trained, looked_up)
    )
    return compare(one, other, names)


def compare(one: pa.Table, other: pa.Table, names: list[str]) -> Parity:
    """Count the rows that differ, feature by feature; the tables have the same rows in the same order."""
    if one.num_rows != other.num_rows:
        return Parity(one.num_rows, {"number of rows": abs(one.num_rows - other.num_rows)})
    return Parity(one.num_rows, {name: int(differing(one[name], other[name]).sum()) for name in names})


def _sample(keys: pa.Table, rows: int, seed: int) -> pa.Table:
    if keys.num_rows <= rows:
        return keys
    return keys.take(np.sort(np.random.default_rng(seed).choice(keys.num_rows, rows, replace=False)))
