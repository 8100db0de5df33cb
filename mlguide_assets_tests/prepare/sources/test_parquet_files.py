"""Parquet files as one table, whatever types their parts have for the same values."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.prepare.sources.parquet_files import open_parquet
from mlguide_assets.prepare.sources.spellings import read_fractions, read_numbers, read_texts, without_null_words
from mlguide_assets.prepare.sources.times import read_times

NOON = datetime(2024, 1, 5, 12)
LARGE = 2**60 + 1


def read(reader: Any, parts: list[pa.Array], duck: Any, tmp_path: Path) -> list[Any]:
    """Values of a column as a reader gives them, part by part."""
    place = 0
    for number, values in enumerate(parts):
        table = pa.table({"place": pa.array(range(place, place + len(values))), "given": values})
        pq.write_table(table, tmp_path / f"{number}.parquet")
        place += len(values)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    rows = open_parquet([tmp_path / f"{number}.parquet" for number in range(len(parts))], duck, scratch)
    cleaned = without_null_words(rows.given, in_text=reader is read_texts)
    found = duck.to_pyarrow(rows.select("place", cleaned.name("given")).select("place", read=lambda t: reader(t.given)))
    values: list[Any] = found.sort_by("place")["read"].to_pylist()
    return values


def in_berlin(column: Any) -> Any:
    return read_times(column, timezone="Europe/Berlin")


ZONED = pa.array([NOON.replace(tzinfo=UTC)], pa.timestamp("us", "Asia/Seoul"))
ELEVEN = NOON.replace(hour=11)
PARTS: dict[str, tuple[Any, list[pa.Array], list[Any]]] = {
    "times with and without a zone": (in_berlin, [pa.array([NOON]), ZONED], [ELEVEN, NOON]),
    "days and times with a zone": (
        in_berlin, [pa.array([date(2024, 1, 6)]), ZONED], [datetime(2024, 1, 5, 23), NOON]
    ),
    "days and times": (in_berlin, [pa.array([NOON.date()]), pa.array([NOON])], [datetime(2024, 1, 4, 23), ELEVEN]),
    "texts and times": (in_berlin, [pa.array(["2024-01-05 12:00"]), pa.array([NOON]), ZONED], [ELEVEN, ELEVEN, NOON]),
    "numbers and times": (in_berlin, [pa.array([1704450600]), pa.array([NOON])], [None, ELEVEN]),
    "nothing and times": (in_berlin, [pa.nulls(1), ZONED], [None, NOON]),
    "large and floating numbers": (read_numbers, [pa.array([LARGE]), pa.array([7.0, None])], [LARGE, 7, None]),
    "large and floating ids": (read_texts, [pa.array([LARGE, 7]), pa.array([7.0])], [str(LARGE), "7", "7"]),
    "small and floating numbers": (read_fractions, [pa.array([7], pa.int32()), pa.array([1.5])], [7, 1.5]),
    "numbers and texts": (read_texts, [pa.array([7.0, None]), pa.array(["7", "NaN"])], ["7", None, "7", None]),
    "flags and numbers": (read_fractions, [pa.array([True]), pa.array([5])], [None, 5]),
    "decimals of two scales": (
        read_fractions, [pa.array([Decimal(10) ** 30], pa.decimal128(38, 0)), pa.array([Decimal("1.5")])], [1e30, 1.5]
    ),
    "lists and numbers": (read_fractions, [pa.array([[1]]), pa.array([5])], [None, 5]),
    "texts in dictionaries": (read_texts, [pa.array(["a"]).dictionary_encode(), pa.array(["b"])], ["a", "b"]),
    "widths": (read_numbers, [pa.array([1], pa.int8()), pa.array([2], pa.uint64()), pa.array([LARGE])], [1, 2, LARGE]),
    "durations in several units, and seconds": (
        read_fractions,
        [pa.array([1500, None], pa.duration("ms")), pa.array([2_500_000], pa.duration("us")), pa.array([3.5])],
        [1.5, None, 2.5, 3.5],
    ),
    "decimals of more than 38 digits": (read_fractions, [pa.array([Decimal("1.5")], pa.decimal256(50, 2))], [1.5]),
}  # fmt: skip


@pytest.mark.parametrize("case", PARTS)
def test_a_value_means_the_same_in_every_part(case: str, duck: Any, tmp_path: Path) -> None:
    reader, parts, wanted = PARTS[case]
    assert read(reader, parts, duck, tmp_path) == wanted


def test_other_columns_keep_their_types(duck: Any, tmp_path: Path) -> None:
    first = pa.table({"Count": pa.array([1], pa.int8()), "at": [NOON], "mixed": ["x"], "only here": [1]})
    second = pa.table({"count": pa.array([LARGE]), "AT": [NOON.date()], "mixed": [7.0], "other": [[1]]})
    for name, table in {"a": first, "b": second}.items():
        pq.write_table(table, tmp_path / name)
    rows = open_parquet([tmp_path / "a", tmp_path / "b"], duck, tmp_path)
    assert {name: str(type_) for name, type_ in rows.schema().items()} == {
        "Count": "int64", "at": "timestamp(6)", "mixed": "string"
    }  # fmt: skip
    assert duck.to_pyarrow(rows.order_by("Count")).to_pylist() == [
        {"Count": 1, "at": NOON, "mixed": "x"},
        {"Count": LARGE, "at": NOON.replace(hour=0), "mixed": "7"},
    ]
