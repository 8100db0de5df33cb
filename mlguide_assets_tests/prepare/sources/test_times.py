"""Times of a source: ISO 8601 or the stated format, and nothing that two readings allow."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.casting import cast_to_schema
from mlguide_assets.prepare.sources.times import read_times, refuse_another_format, without_infinity
from mlguide_assets_tests.samples import sample_problem

NEW_YEAR = datetime(2024, 1, 5, 10, 30)


def read(value: Any, format: str | None = None, timezone: str = "UTC") -> Any:
    given = ibis.memtable(pa.table({"at": pa.array([value, None])}))
    return ibis.duckdb.connect().to_pyarrow(read_times(given["at"], format, timezone)).to_pylist()[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    {
        "2024-01-05 10:30": NEW_YEAR,
        " 2024/1/5 10:30:00 ": NEW_YEAR,
        "2024-01-05T12:30:00+02:00": NEW_YEAR,
        "2024-01-05": NEW_YEAR.replace(hour=0, minute=0),
        "15/01/24 10:00": None,
        "24-01-05": None,
        "0-1-5": None,
        "05/01/2024": None,
        "epoch": None,
    }.items(),
)
def test_text_is_read_year_first_or_not_at_all(text: str, wanted: datetime | None) -> None:
    assert read(text) == wanted


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "text",
    [
        "2024-01-05 10:30:00 UTC",
        "2024-01-05 10:30:00.000 utc",
        "2024-01-05T10:30Z",
        "2024-01-05T10:30:00.Z",
        "2024-01-05T05:30-05",
        "2024-01-05 05:00:00 -0530",
        "2024-01-05 12:30:00.000 +02:00",
    ],
)
def test_a_time_that_says_its_offset_is_in_no_other_zone(text: str, timezone: str) -> None:
    assert read(text, timezone=timezone) == NEW_YEAR


LAST, FIRST = datetime(9999, 12, 31, 23, 59, 59), datetime(1, 1, 1)


@pytest.mark.parametrize(
    ("value", "timezone", "wanted"),
    [
        (LAST, "America/New_York", datetime.max),
        ("9999-12-31 23:59:59", "America/New_York", datetime.max),
        ("9999-12-31 23:59:59-05:00", "UTC", datetime.max),
        (LAST, "Asia/Kolkata", datetime(9999, 12, 31, 18, 29, 59)),
        (FIRST, "Asia/Kolkata", FIRST),
        ("0001-01-01T00:00:00+02:00", "UTC", FIRST),
        ("0001-01-01", "Asia/Kolkata", FIRST),
    ],
)
def test_an_open_end_stays_one_in_every_zone(value: Any, timezone: str, wanted: datetime) -> None:
    assert read(value, timezone=timezone) == wanted


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["infinity", "-Infinity"]),
        pa.array([2**63 - 1, -(2**63) + 2], pa.timestamp("us")),
        pa.array([2**63 - 1, -62135596800_000_001], pa.timestamp("us", "UTC")),
        pa.array([2**31 - 1, -(2**31) + 1], pa.int32()).cast(pa.date32()),
    ],
)
def test_an_infinite_time_is_no_time_in_any_source(values: pa.Array) -> None:
    at = ibis.memtable(pa.table({"at": values}))["at"]
    assert ibis.duckdb.connect().to_pyarrow(without_infinity(at)).null_count == len(values)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["2024-01-05", None]),
        pa.array([date.min, date.max]),
        pa.array([NEW_YEAR, LAST, FIRST, None], pa.timestamp("us")),
        pa.array([NEW_YEAR], pa.timestamp("ns")),
        pa.array([7, None]),
    ],
)
def test_other_times_stay(values: pa.Array) -> None:
    at = ibis.memtable(pa.table({"at": values}))["at"]
    assert ibis.duckdb.connect().to_pyarrow(without_infinity(at)).to_pylist() == values.to_pylist()


@pytest.mark.parametrize(
    ("value", "format", "wanted"),
    [
        ("05/01/24 10:30", "%d/%m/%y %H:%M", NEW_YEAR),
        ("1/5/2024 10:30 AM", "%m/%d/%Y %I:%M %p", NEW_YEAR),
        ("5 Jan 2024 12:30 +0200", "%d %b %Y %H:%M %z", NEW_YEAR),
        ("05/01/2024 10:30Z", "%d/%m/%Y %H:%M%z", NEW_YEAR),
        (20240105, "%Y%m%d", NEW_YEAR.replace(hour=0, minute=0)),
        (20240105.0, "%Y%m%d", NEW_YEAR.replace(hour=0, minute=0)),
        (Decimal(20240105), "%Y%m%d", NEW_YEAR.replace(hour=0, minute=0)),
        ("20240105.0", "%Y%m%d", NEW_YEAR.replace(hour=0, minute=0)),
        (60105, "%y%m%d", datetime(2006, 1, 5)),
        ("11124", "%m%d%y", datetime(2024, 1, 11)),
        ("240105", "%Y%m%d", None),
        ("05/01/24", "%d/%m/%Y", None),
        ("2024-01-05 10:30", "%d/%m/%y %H:%M", None),
        ("32/01/24 10:30", "%d/%m/%y %H:%M", None),
        (NEW_YEAR, "%d/%m/%y", NEW_YEAR),
        (1704450600, "epoch_s", NEW_YEAR),
        (1704450600.25, "epoch_s", NEW_YEAR.replace(microsecond=250_000)),
        ("1704450600000", "epoch_ms", NEW_YEAR),
        (1704450600000001, "epoch_us", NEW_YEAR.replace(microsecond=1)),
        (1704450600000001000, "epoch_ns", NEW_YEAR.replace(microsecond=1)),
        ("1704450600000000999", "epoch_ns", NEW_YEAR.replace(microsecond=1)),
        (-1000, "epoch_ms", datetime(1969, 12, 31, 23, 59, 59)),
        (1704450600000000, "epoch_ms", None),
        (float("inf"), "epoch_s", None),
        (45_296.4375, "excel", NEW_YEAR),
        ("2024-01-05 10:30", "epoch_ms", None),
    ],
)
def test_a_stated_format_is_the_only_one_for_texts_and_numbers(
    value: Any, format: str, wanted: datetime | None
) -> None:
    assert read(value, format) == wanted


def refusal_text(*texts: str | None) -> str:
    given = ibis.memtable(pa.table({"at": pa.array(texts, pa.string())}))
    with pytest.raises(InputError) as caught:
        refuse_another_format(given["at"], "delivered_at", "user_emails", place="sends of shop")
    return str(caught.value)


def test_two_readings_are_refused_with_both_and_the_key() -> None:
    text = refusal_text("05/01/2024 10:00", None, "06/01/2024 11:00")
    assert text.startswith("sends of shop: times in 'delivered_at' are written as '05/01/2024 10:00'")
    assert "'%d/%m/%Y %H:%M' or as '%m/%d/%Y %H:%M'" in text
    assert text.endswith("tables.user_emails.columns.delivered_at.format.")


def test_values_settle_which_reading_it_is_and_the_file_must_state_it() -> None:
    assert "columns.delivered_at.format: '%d/%m/%Y'." in refusal_text("05/01/2024", "25/01/2024")
    assert "'%d/%m/%y' or as '%y/%m/%d'" in refusal_text("15/01/24", "16/01/24")
    assert "or write times as 2024-12-31 17:00" in refusal_text("yesterday")


def test_a_few_bad_values_are_left_to_the_contract() -> None:
    for texts in (
        ["2024-01-05", "2024-01-06", "05/01/2024"],
        ["1704450600000"],
        ["915148800"],
        ["1.7044506e+09"],
        ["45322.5", "45323"],
        [None, None],
        [None, "2024-01-05", ""],
    ):
        given = ibis.memtable(pa.table({"at": pa.array(texts, pa.string())}))
        refuse_another_format(given["at"], "delivered_at", "user_emails", place="sends")


def test_a_table_is_read_in_the_formats_of_its_columns() -> None:
    sends = {"user_id": ["1"], "email_id": ["2"], "unsubscribed": ["no"], "delivered_at": ["05/01/24 10:30"]}
    raw = ibis.memtable(pa.table(sends))
    with pytest.raises(InputError, match="not ISO 8601"):
        cast_to_schema(raw, "user_emails", sample_problem("nowhere").tables["user_emails"], place="sends")
    stated = {"user_emails": {"columns": {"delivered_at": {"format": "%d/%m/%y %H:%M"}}}}
    rows = cast_to_schema(
        raw, "user_emails", sample_problem("nowhere", tables=stated).tables["user_emails"], place="sends"
    )
    assert rows.to_pyarrow().to_pylist()[0]["delivered_at"] == NEW_YEAR
