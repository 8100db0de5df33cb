"""Equal rows are equal bytes, whatever order Spark's writer listed encodings in."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.prepare.spark.footers import _ENCODINGS, _Footer, sort_encodings


def test_files_that_differ_in_the_order_of_encodings_become_one(tmp_path: Path) -> None:
    rows = pa.table({"a": list(range(1000)), "b": ["x", None] * 500, "c": [True, False] * 500, "d": [0.5] * 1000})
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    pq.write_table(rows, one, row_group_size=400, compression="zstd")
    content = bytearray(one.read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    found = list(_Footer(footer).lists_at(_ENCODINGS))
    # Four columns in each of three groups of rows.
    assert len(found) == 12
    for first, end in found:
        footer[first:end] = footer[first:end][::-1]
    content[-8 - length : -8] = footer
    other.write_bytes(content)
    assert one.read_bytes() != other.read_bytes()
    for path in (one, other):
        sort_encodings(path)
        assert pq.read_table(path) == rows
    assert one.read_bytes() == other.read_bytes()
