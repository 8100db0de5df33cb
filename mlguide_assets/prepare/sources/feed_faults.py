"""Planted mistakes in what a simulated company delivers: in the feed, not in the world, so they can be repaired."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.define.sources import FeedFault

_SEED = 0


def spoil(path: Path, fault: FeedFault) -> None:
    """Put a fault into one column of a Parquet file. The same file and fault give the same rows."""
    table = pq.read_table(path)
    at = table.column_names.index(fault.column)
    values = spoilt(table[fault.column].combine_chunks(), fault)
    pq.write_table(table.set_column(at, table.schema.field(at), values), path, compression="zstd")


def spoilt(values: pa.Array, fault: FeedFault) -> pa.Array:
    """The values of a column with a fault in `fault.share` of them; the others stay as they are."""
    generator = np.random.default_rng(_SEED)
    hit = np.flatnonzero(generator.random(len(values)) < fault.share)
    if fault.what == "empty":
        taken = np.arange(len(values), dtype=np.float64)
        taken[hit] = np.nan
        return values.take(pa.array(taken, from_pandas=True).cast(pa.int64()))
    order = np.arange(len(values))
    order[hit] = generator.permutation(hit)
    return values.take(pa.array(order))
