"""Small Arrow tables from rows in memory, without pandas."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa


def small_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows of numbers, texts and lists of them as an Arrow table; what a row lacks is null.

    PyArrow's own `from_pylist` imports pandas to see whether it was given a column of it, which takes most of a
    second; its reader of JSON does not.

    >>> small_table([{"n": 1}, {}], pa.schema([("n", pa.int64())]))["n"].to_pylist()
    [1, None]
    """
    from pyarrow import json as pj

    if not rows:
        return schema.empty_table()
    lines = "".join(json.dumps(dict(row), allow_nan=False) + "\n" for row in rows).encode()
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pj.read_json(io.BytesIO(lines), pj.ReadOptions(block_size=len(lines)), parsing)
