"""The rows that a model learns from and is judged on: decisions whose outcome is known, in order of time."""

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem


def matured_rows(features: ibis.Table, problem: Problem) -> pa.Table:
    """The rows whose outcome is known, in order of time."""
    known = features.filter(features[problem.label.column].notnull())
    return known.order_by(*problem.decision.order).to_pyarrow().combine_chunks()


def clusters_of(rows: pa.Table, problem: Problem) -> npt.NDArray[np.int64]:
    """A number per entity whose decisions depend on each other, for each row (n,)."""
    ids = rows[problem.decision.unit_id]
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy())
    return np.asarray(pc.dictionary_encode(ids).combine_chunks().indices.to_numpy().astype(np.int64))
