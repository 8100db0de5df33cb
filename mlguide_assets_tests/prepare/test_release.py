"""Tables in memory: let go of once nothing refers to them, so that a process that runs for long does not grow."""

import weakref
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.prepare.duckdb.connection import release_memtables


def test_a_table_that_nothing_refers_to_is_let_go(duck: Any) -> None:
    rows = pa.table({"a": [1, 2, 3]})
    kept, held = ibis.memtable({"b": [4]}), weakref.ref(rows)
    assert duck.to_pyarrow(ibis.memtable(rows).count()).as_py() == 3
    assert duck.to_pyarrow(kept.count()).as_py() == 1
    del rows
    assert held() is not None, "Ibis lets go by itself: release_memtables can go"
    assert release_memtables(duck) >= 1
    assert held() is None
    assert duck.to_pyarrow(kept.b.sum()).as_py() == 4
