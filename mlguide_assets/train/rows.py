"""The rows that a model learns from and is evaluated on: decisions whose outcome is known, in order of time."""

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.drawn_rows import some_rows


def matured_rows(features: ibis.Table, problem: Problem) -> pa.Table:
    """The rows whose outcome is known, in order of time."""
    known = features.filter(features[problem.label.column].notnull())
    return known.order_by(*problem.decision.order).to_pyarrow().combine_chunks()


def sampled_rows(features: ibis.Table, problem: Problem) -> pa.Table:
    """`matured_rows`; of more than `training.rows_in_memory`, those of a seeded sample of units.

    All rows of a unit are in the sample, or none. So rows that depend on each other stay together, and intervals that
    resample units are as wide as the sample makes them. Where there are too few units for that, rows are drawn.

    Returns:
        About `training.rows_in_memory` rows at most, in order of time.
    """
    return matured_rows(_of_some_units(features, problem), problem)


def known_of_some_units(features: ibis.Table, problem: Problem) -> ibis.Table:
    """`sampled_rows` where they are, in any order."""
    some = _of_some_units(features, problem)
    return some.filter(some[problem.label.column].notnull())


def _of_some_units(features: ibis.Table, problem: Problem) -> ibis.Table:
    most = problem.training.rows_in_memory
    known = features[problem.label.column].notnull().sum()
    total = int(known.to_pyarrow().as_py() or 0)
    if total <= most:
        return features
    return drawn_rows(features, problem, most / total)


def drawn_rows(rows: ibis.Table, problem: Problem, share: float) -> ibis.Table:
    """About this share of decisions, see `some_rows`. The units of a smaller share are among those of a larger."""
    salt = f"{problem.name}/rows in memory/{problem.evaluation.seed}"
    return some_rows(rows, unit=problem.decision.unit_id, keys=problem.decision.keys, share=share, salt=salt)


def clusters_of(rows: pa.Table, problem: Problem) -> npt.NDArray[np.int64]:
    """A number per entity whose decisions depend on each other, for each row (n,)."""
    ids = rows[problem.decision.unit_id]
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy())
    return np.asarray(pc.dictionary_encode(ids).combine_chunks().indices.to_numpy().astype(np.int64))
