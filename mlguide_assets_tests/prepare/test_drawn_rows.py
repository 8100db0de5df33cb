"""A sample is of whole units where these are many, and of rows where they are few or of very different sizes."""

from datetime import datetime, timedelta

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.prepare.drawn_rows import some_rows
from mlguide_assets.statistics.draws import draw_share

ROWS = 30_000
SALT = "a sample"


def rows_of(units: list[int]) -> pa.Table:
    start = datetime(2024, 1, 1)
    return pa.table({"unit": units, "at": [start + timedelta(seconds=place) for place in range(len(units))]})


def drawn(rows: pa.Table, share: float = 0.1) -> pa.Table:
    found = some_rows(ibis.memtable(rows), unit="unit", keys=["at", "unit"], share=share, salt=SALT)
    return found.order_by("at").to_pyarrow()


def test_all_rows_of_the_drawn_units_are_there() -> None:
    rows = rows_of([place % 1000 for place in range(ROWS)])
    chosen = {unit for unit in range(1000) if draw_share(SALT, unit) < 0.1}
    found = drawn(rows)
    assert set(found["unit"].to_pylist()) == chosen
    assert found.num_rows == ROWS // 1000 * len(chosen)


@pytest.mark.parametrize(
    "units",
    [
        pytest.param([place % 3 for place in range(ROWS)], id="three units, of which none is drawn"),
        pytest.param([0] * ROWS, id="one unit"),
        pytest.param([3 if place % 10 else place for place in range(ROWS)], id="one unit with most rows"),
    ],
)
def test_rows_are_drawn_where_units_are_no_sample(units: list[int]) -> None:
    rows = rows_of(units)
    found = drawn(rows)
    assert found.num_rows == pytest.approx(ROWS / 10, rel=0.1)
    # Every common unit is there, about as often as among all rows.
    common = units.count(units[1]) / ROWS
    assert found["unit"].to_pylist().count(units[1]) / found.num_rows == pytest.approx(common, rel=0.1)
    assert found.equals(drawn(rows)), "the same rows each time"


def test_no_row_is_left_out_where_all_are_wanted() -> None:
    rows = rows_of([1, 2, 3])
    assert drawn(rows, share=1.5).equals(rows)
