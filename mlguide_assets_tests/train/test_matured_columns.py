"""Columns that are read one after the other are those of one table."""

from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.train.matured_columns import MaturedColumns
from mlguide_assets_tests.samples import sample_problem

ROWS = pa.table(
    {
        "user_id": [3, 1, 2, 4],
        "email_id": [1, 1, 1, 1],
        "delivered_at": pa.array([2, 2, 1, 0], pa.timestamp("us")),
        "unsubscribed": [1, 0, 0, None],
        "age": [30, 10, 20, 40],
    }
)
NAMES = ["user_id", "unsubscribed", "age", "user_id"]


@pytest.mark.parametrize("available", [1, 10**9])
def test_rows_are_in_one_order_however_few_columns_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    monkeypatch.setattr("mlguide_assets.train.matured_columns.available_memory", lambda: available)
    columns = MaturedColumns.of(ibis.memtable(ROWS), NAMES, sample_problem("nowhere"))
    assert columns.together == (1 if available == 1 else 3)
    read: dict[str, Any] = {name: columns[name].to_pylist() for name in NAMES}
    assert read == {"user_id": [2, 1, 3], "unsubscribed": [0, 0, 1], "age": [20, 10, 30]}
    assert columns.only(np.array([2, 0]))["age"].to_pylist() == [30, 20]
