"""Times that a zone's clocks repeat or skip are said, and no others are."""

from datetime import UTC, date, datetime
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.schema import Column, EventTable
from mlguide_assets.prepare.sources.clock_changes import clock_changes
from mlguide_assets.prepare.sources.times import read_times

REPEATED, SKIPPED = "2024-10-27 02:30:00", "2024-03-31 02:30:00"


def said(values: list[Any], *, timezone: str = "Europe/Berlin", format: str | None = None) -> list[str]:
    table = EventTable(
        event="visit",
        at="at",
        of={"user": "user"},
        timezone=timezone,
        columns={"user": Column(kind="id"), "at": Column(kind="time", format=format)},
    )
    raw = ibis.memtable(pa.table({"user": range(len(values)), "At": pa.array(values)}))
    return clock_changes(raw, "visits", table, place="visits")


@pytest.mark.parametrize("of_type", [str, datetime.fromisoformat])
def test_times_that_clocks_show_twice_or_never_are_said(of_type: Any) -> None:
    advice = "write each time with its offset, or state another timezone"
    assert said([of_type(each) for each in (REPEATED, SKIPPED, "2024-03-31 02:00:00", "2024-03-31 03:00:00")]) == [
        f"visits.at: 1 time in an hour that the clocks of Europe/Berlin repeat, read as of the second time; {advice}",
        f"visits.at: 2 times in an hour that the clocks of Europe/Berlin skip, read as of the next; {advice}",
    ]


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/London", "2024-10-27 01:30"),
        ("Australia/Lord_Howe", "2024-04-07 01:45"),
        ("Antarctica/Troll", "2022-10-30 01:30"),
    ],
)
def test_clocks_are_set_back_by_more_or_less_than_an_hour(zone: str, text: str) -> None:
    assert len(said([text], timezone=zone)) == 1


@pytest.mark.parametrize(
    ("values", "format"),
    [
        (["2024-10-27 02:30:00+01:00", "2024-10-27T02:30Z"], None),
        (["27.10.2024 02:30 +0100"], "%d.%m.%Y %H:%M %z"),
        ([1_729_992_600], "epoch_s"),
        ([datetime(2024, 10, 27, 2, 30, tzinfo=UTC)], None),
        (["2024-10-27 03:00:00", "2024-10-27 01:59:59", "what", None, "9999-12-31"], None),
    ],
)
def test_times_with_an_offset_and_all_others_are_not(values: list[Any], format: str | None) -> None:
    assert said(values, format=format) == []


def test_a_date_is_no_time_of_a_clock() -> None:
    """São Paulo set its clocks forward at midnight."""
    assert said([date(2018, 11, 4)], timezone="America/Sao_Paulo") == []
    assert said(["2018-11-04"], timezone="America/Sao_Paulo") == []
    assert said(["2018-11-04 00:30"], timezone="America/Sao_Paulo") != []


def test_they_are_read_as_is_said() -> None:
    column = ibis.memtable(pa.table({"at": [REPEATED, SKIPPED]})).at
    read = ibis.duckdb.connect().to_pyarrow(read_times(column, timezone="Europe/Berlin")).to_pylist()
    assert read == [datetime(2024, 10, 27, 1, 30), datetime(2024, 3, 31, 1, 30)]
