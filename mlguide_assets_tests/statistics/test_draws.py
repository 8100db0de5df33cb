"""Salted draws: golden numbers, the same in Python and in DuckDB, for every type of id."""

from typing import Any
from uuid import UUID

import ibis
import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from mlguide_assets.statistics.draws import (
    Unit,
    draw,
    draw_column,
    draw_index,
    draw_index_column,
    draw_share,
    draw_share_column,
    draw_shares,
)

SALT = "newsletter/arm"
LONE_UUID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
GOLDEN: dict[tuple[str, Unit], int] = {
    (SALT, 1): 1860512349799998,
    (SALT, 14_301): 4002558432383047,
    (SALT, "élan"): 1726071563810883,
    (SALT, LONE_UUID): 1155939093143926,
    # As the send plan draws: the day belongs to the salt.
    ("exploration/explore:2024-04-20", 1): 2341609316608176,
    ("exploration/explore:2024-04-20", 14_301): 1027518628572840,
}
COLUMNS: list[tuple[str, list[Unit]]] = [
    ("int64", [1, 2, 14_301, 2**62, -5, 0]),
    ("uint8", [0, 255]),
    ("string", ["", "1", " 1", "A", "a", "élan", "用户", "🙂", "a:b", "a'b", "x" * 500]),
    ("uuid", [LONE_UUID]),
]


@pytest.mark.parametrize(("salt", "unit"), GOLDEN, ids=str)
def test_no_upgrade_moves_a_unit(salt: str, unit: Unit) -> None:
    assert draw(salt, unit) == GOLDEN[salt, unit]


@pytest.mark.parametrize(("dtype", "units"), COLUMNS, ids=[dtype for dtype, _ in COLUMNS])
def test_python_and_duckdb_draw_the_same_numbers(dtype: str, units: list[Unit]) -> None:
    ids = ibis.memtable({"unit": [str(unit) for unit in units]}).unit.cast(dtype).name("unit").as_table()
    found = ids.select(
        draw=draw_column(SALT, ids.unit),
        share=draw_share_column(SALT, ids.unit),
        index=draw_index_column(SALT, ids.unit, ibis.literal(3000)),
    ).to_pyarrow()
    assert found["draw"].to_pylist() == [draw(SALT, unit) for unit in units]
    assert found["share"].to_pylist() == [draw_share(SALT, unit) for unit in units]
    assert found["index"].to_pylist() == [draw_index(SALT, unit, 3000) for unit in units]


def test_an_id_draws_as_its_text_does() -> None:
    assert draw(SALT, np.int32(7)) == draw(SALT, 7) == draw(SALT, "7")
    assert draw(SALT, LONE_UUID) == draw(SALT, str(LONE_UUID))


@pytest.mark.parametrize("unit", [1.0, True, None, b"1", np.float64(1)], ids=repr)
def test_what_has_no_one_text_is_refused(unit: Any) -> None:
    with pytest.raises(TypeError, match="whole number, a text or a UUID"):
        draw(SALT, unit)


@pytest.mark.parametrize("dtype", ["float64", "boolean", "timestamp"])
def test_a_column_of_another_type_is_refused(dtype: str) -> None:
    table = ibis.table({"unit": dtype}, name="units")
    with pytest.raises(TypeError, match=f"'unit' is of type {dtype}"):
        draw_column(SALT, table.unit)


def test_a_missing_unit_has_no_draw() -> None:
    table = ibis.memtable({"unit": ["a", None]})
    assert table.select(draw=draw_column(SALT, table.unit)).to_pyarrow()["draw"].to_pylist()[1] is None


def test_an_index_is_the_share_that_it_stands_for() -> None:
    for unit in range(200):
        assert draw_index(SALT, unit, 7) == int(draw_share(SALT, unit) * 7)


def test_two_salts_are_independent_on_sequential_ids() -> None:
    """One weak hash over `unit + seed` fails here with p below 1e-20."""
    one, other = (draw_shares(salt, range(10_000)) for salt in ("first", "second"))
    cells = np.histogram2d(one, other, bins=10, range=[[0, 1], [0, 1]])[0]
    assert chisquare(cells.ravel()).statistic < chi2.ppf(1 - 1e-6, 99)
