"""The reference profile: bins that hold what they say, all rows in them, and the same bytes every time."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlguide_assets.errors import InputError
from mlguide_assets.train.reference.bins import MOST_CATEGORIES, Bins, Kind, count_bins
from mlguide_assets.train.reference.counting import window_counts, window_counts_by
from mlguide_assets.train.reference.profile import ColumnProfile, Profile, reference_profile
from mlguide_assets_tests.observe.drifting import KINDS, as_table, binned, counted, profile_of, users

NAMES = ["Zürich", "東京", "", "o'Neil", 'back\\slash "quoted"', "🙂", "null", "(other)", "line\nbreak"]


def profiled(values: list[Any], kind: Kind, type_: pa.DataType | None = None) -> ColumnProfile:
    column = pa.array(values) if type_ is None else pa.array(values).cast(type_)
    return reference_profile(as_table({"x": column}), {"x": kind}, {}).columns[0]


def in_words(column: ColumnProfile) -> dict[str, int]:
    """Bin in words: rows, of bins that have any."""
    return {column.bins.name(at): rows for at, rows in enumerate(column.counts) if rows}


def test_a_number_has_ten_equal_bins() -> None:
    column = profiled([float(value) for value in range(1, 1001)], "number")
    assert column.counts == (*[100] * 10, 0)
    assert column.bins.edges == (100, 200, 300, 400, 500, 600, 700, 800, 900)
    names = [column.bins.name(at) for at in (0, 1, 8, 9, 10)]
    assert names == ["at most 100", "from 100 to 200", "from 800 to 900", "above 900", "null"]


def test_a_constant_has_a_bin_of_its_own() -> None:
    column = profiled([7] * 50, "number")
    assert [column.bins.name(at) for at in range(4)] == ["at most 7", "7", "above 7", "null"]
    assert column.counts == (0, 50, 0, 0)


def test_a_common_value_has_a_bin_of_its_own() -> None:
    values = [0.0] * 700 + [-0.0] * 10 + [5.0] * 150 + [0.01 * step for step in range(1, 141)]
    assert in_words(profiled(values, "number")) == {"0": 710, "from 0 to 0.9": 90, "from 0.9 to 5": 50, "5": 150}


def test_what_is_no_number_is_null() -> None:
    column = profiled([1.0, float("nan"), None, float("inf"), 2.0, float("-inf")], "number")
    assert column.counts[-1] == 4
    assert column.rows == 6


@pytest.mark.parametrize("type_", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(24, 2), pa.bool_()])
def test_numbers_of_any_type_are_alike(type_: pa.DataType) -> None:
    column = profiled([0, 1, 1, None], "number", type_)
    assert (column.stored, in_words(column)) == ("number", {"0": 1, "1": 2, "null": 1})


@pytest.mark.parametrize(
    ("values", "type_", "stored", "categories"),
    [
        (["b", "a", "b", None], pa.dictionary(pa.int32(), pa.string()), "text", ("b", "a")),
        ([True, True, False], pa.bool_(), "boolean", ("true", "false")),
        ([3, 3, 1], pa.int64(), "integer", ("3", "1")),
        ([3, 3, 1], pa.float64(), "floating", ("3.0", "1.0")),
    ],
)
def test_categories_of_any_type_are_text(
    values: list[Any], type_: pa.DataType, stored: str, categories: tuple[str, ...]
) -> None:
    column = profiled(values, "category", type_)
    assert (column.stored, column.bins.categories) == (stored, categories)


def test_the_commonest_categories_are_kept_and_ties_go_by_name() -> None:
    values = [f"rare {at:02}" for at in reversed(range(40))] + ["common"] * 3 + [None] * 2
    column = profiled(values, "category")
    assert column.bins.categories == ("common", *(f"rare {at:02}" for at in range(MOST_CATEGORIES - 1)))
    assert column.counts[0] == 3
    assert column.counts[-2:] == (11, 2)


@pytest.mark.parametrize(
    ("kind", "type_"),
    [("number", pa.float64()), ("number", pa.null()), ("category", pa.string()), ("category", pa.null())],
)
def test_a_column_of_nulls_only(kind: Kind, type_: pa.DataType) -> None:
    column = profiled([None] * 3, kind, type_)
    assert column.counts == (0, 3)
    filled = as_table({"x": pa.array([1.0, 2.0, None])})
    assert count_bins(filled, {"x": column.bins}) == (3, {"x": (2, 1)})


def test_names_in_any_script_are_distinguished() -> None:
    column = profiled([*NAMES, *NAMES, None], "category")
    assert sorted(column.bins.categories) == sorted(NAMES)
    assert column.counts == (*[2] * len(NAMES), 0, 1)


def test_json_round_trip_gives_equal_bytes() -> None:
    rows = as_table({"city": [*NAMES, None], "x": [0.1, 1 / 3, -0.0, 5e-324, 1e308, -1e-7, 2.0**53, None, 7, 7]})
    profile = reference_profile(rows, {"city": "category", "x": "number"}, {"x": 0.25}).with_inflation({"x": 1.7})
    written = profile.to_json()
    assert Profile.from_json(written) == profile
    assert Profile.from_json(written).to_json() == written
    assert written.isascii()
    assert json.loads(written)["rows"] == 10


def test_order_of_rows_and_files_changes_no_byte(duck: Any, tmp_path: Path) -> None:
    columns = users(5000, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(5000)
    for part, chosen in enumerate(np.array_split(order, 3)):
        pq.write_table(
            pa.table({name: values[chosen] for name, values in columns.items()}), tmp_path / f"{part}.parquet"
        )
    files = duck.read_parquet([str(tmp_path / f"{part}.parquet") for part in (2, 0, 1)])
    assert reference_profile(files, KINDS, {}).to_json() == profile_of(columns).to_json()


floats = st.none() | st.floats() | st.sampled_from([0.0, -0.0, 1.0, 1.0, 2.0, 0.1, 5e-324, -5e-324, 1.7e308])
texts = st.none() | st.sampled_from(NAMES) | st.text(max_size=3).filter(lambda text: "\0" not in text)


@settings(max_examples=40)
@given(st.lists(st.tuples(floats, texts), min_size=1), st.lists(st.tuples(floats, texts)))
def test_every_row_is_in_the_bin_that_numpy_finds(
    reference: list[tuple[float | None, str | None]], window: list[tuple[float | None, str | None]]
) -> None:
    both = [_two_columns(rows) for rows in (reference, window)]
    profile = reference_profile(ibis.memtable(both[0]), {"x": "number", "c": "category"}, {})
    bins = {column.name: column.bins for column in profile.columns}
    assert all(sum(column.counts) == profile.rows == len(reference) for column in profile.columns)
    for table in both:
        rows, counts = count_bins(ibis.memtable(table), bins)
        assert rows == table.num_rows
        for name, found in counts.items():
            assert sum(found) == rows
            assert found == binned(np.array(table[name].to_pylist(), dtype=object), bins[name])
    assert Profile.from_json(profile.to_json()) == profile


def _two_columns(rows: list[tuple[float | None, str | None]]) -> pa.Table:
    numbers, names = ([row[at] for row in rows] for at in (0, 1))
    return pa.table({"x": pa.array(numbers, pa.float64()), "c": pa.array(names, pa.string())})


def test_windows_counted_together_are_as_counted_alone() -> None:
    columns = {**users(300, np.random.default_rng(3)), "other": np.arange(300)}
    profile, window = profile_of(users(300, np.random.default_rng(4))), np.arange(300) % 3
    together = window_counts_by(as_table({**columns, "window": window}), profile, "window")
    assert together == {
        at: window_counts(as_table({name: values[window == at] for name, values in columns.items()}), profile)
        for at in range(3)
    }
    assert together[0].unexpected == ("other",)


def test_many_columns_at_once_are_as_numpy_finds_them() -> None:
    columns = users(3000, np.random.default_rng(3))
    profile = profile_of(columns)
    assert {column.name: column.counts for column in profile.columns} == counted(columns, profile).counts


def test_columns_beside_the_profiled_are_known() -> None:
    rows = as_table({"user_id": [1], "age": [30], "label": [0]})
    profile = reference_profile(rows, {"age": "number", "label": "number"}, {})
    assert profile.other_columns == ("user_id",)
    without = profile.only(["age"])
    assert [column.name for column in without.columns] == ["age"]
    assert without.other_columns == ("user_id", "label")


@pytest.mark.parametrize(
    ("columns", "importance", "message"),
    [
        ({"absent": "number"}, {}, "no column 'absent', only x, c"),
        ({"c": "number"}, {}, "'c' is declared as a number, but is stored as text"),
        ({"c": "text"}, {}, "'c' is one of number, category, not 'text'"),
        ({"x": "number"}, {"x": 20.0}, r"a share in \[0, 1\], not 20.0"),
        ({"x": "number"}, {"x": float("nan")}, r"a share in \[0, 1\], not nan"),
    ],
)
def test_what_cannot_be_profiled_is_refused(columns: Any, importance: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reference_profile(as_table({"x": [1.0], "c": ["a"]}), columns, importance)


def test_a_reference_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="without rows"):
        reference_profile(as_table({"x": pa.array([], pa.float64())}), {"x": "number"}, {})


@pytest.mark.parametrize("factor", [0.9, float("inf"), float("nan")])
def test_inflation_that_is_none_is_refused(factor: float) -> None:
    profile = Profile(1, (ColumnProfile("x", "number", Bins("number"), (1, 0)),))
    with pytest.raises(ValueError, match="that of 'x'"):
        profile.with_inflation({"x": factor})


@pytest.mark.parametrize(("days", "inflation"), [(1, 4.0), (5, 4.0), (10, 7.0)])
def test_what_is_no_chance_counts_more_in_a_longer_window(days: int, inflation: float) -> None:
    """Measured with windows of five days, and twice as far on as the lag that the trend is of."""
    profile = Profile(1, (ColumnProfile("x", "number", Bins("number"), (1, 0)),)).with_inflation({"x": 2.0})
    moving = profile.with_trends({"x": 0.5}, middle=date(2026, 3, 1), lag_days=10.0, variation_days=5)
    (column,) = moving.on(date(2026, 3, 21), days).columns
    assert column.inflation == inflation
    assert Profile.from_json(moving.to_json()) == moving
    assert profile.on(date(2026, 3, 21), days) == profile, "nothing was measured"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "columns": [1]}', b"\xff"],
)
def test_a_damaged_profile_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(InputError, match="damaged or not of format 1"):
        Profile.from_json(content)
