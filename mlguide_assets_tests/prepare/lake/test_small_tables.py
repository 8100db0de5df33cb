"""Records without pandas, Ibis or DuckDB."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table


def test_a_small_table_is_what_pyarrow_would_make(lake: Lake) -> None:
    fields = [("text", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("b", pa.bool_())]
    schema = pa.schema([*fields, ("texts", pa.list_(pa.string()))])
    rows: list[dict[str, Any]] = [
        {"text": 'a "line"\nand \u2028 émoji 😀', "n": 2**62 + 1, "x": 0.1 + 0.2, "b": True, "texts": ["a", None]},
        {"texts": [], "text": "2024-01-01"},
        {"text": "x" * 3_000_000},
        {},
    ]
    for some in (rows, rows[3:], []):
        assert small_table(some, schema) == pa.Table.from_pylist(some, schema)
    with pytest.raises(pa.ArrowInvalid, match="unexpected field"):
        small_table([{"other": 1}], schema)


def test_a_record_is_kept_without_ibis_duckdb_or_pandas(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import pyarrow as pa
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
lake, schema = Lake(Path(sys.argv[1])), pa.schema([("n", pa.int64()), ("why", pa.list_(pa.string()))])
for n in range(8):
    snapshot = lake.append("t", small_table([{"n": n, "why": ["a"]}], schema))
    lake.pin("t", snapshot.id, "newest")
assert lake.exists("t") and lake.snapshot("t").rows == 8 and len(lake.files("t")) == 8 and lake.tables()
assert lake.read_arrow("t")["n"].to_pylist() == list(range(8))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"ibis", "duckdb", "pandas"}))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
