"""Small tables for tests of the lake."""

import pyarrow as pa

from mlguide_assets.prepare.lake.lake import Lake


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def values(lake: Lake, table: str = "t", **which: object) -> list[int]:
    return sorted(lake.read(table, **which).to_pyarrow()["n"].to_pylist())  # type: ignore[arg-type]
