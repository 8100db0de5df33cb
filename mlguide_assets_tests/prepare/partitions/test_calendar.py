"""Which partition a day is in: the same in Python and in DuckDB, in the order of time, and few."""

from datetime import date, datetime, time, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.prepare.partitions.calendar import UNDATED, Calendar

WEEK = timedelta(days=7)


def test_days_then_months_then_years() -> None:
    calendar = Calendar.of(date(2025, 12, 31), WEEK)
    days = [date(2025, 12, 1), date(2025, 11, 30), date(2025, 1, 1), date(2024, 12, 31), date(33, 5, 1), None]
    assert [calendar.key(day) for day in days] == ["2025-12-01", "2025-11", "2025-01", "2024", "0033", UNDATED]


@pytest.mark.parametrize(
    ("newest", "window", "open_from"),
    [
        (date(2026, 1, 7), WEEK, date(2025, 12, 1)),
        (date(2026, 1, 8), WEEK, date(2026, 1, 1)),
        (date(2026, 1, 8), timedelta(hours=169), date(2025, 12, 1)),
        (date(2026, 3, 1), timedelta(hours=1), date(2026, 2, 1)),
        (date(1, 1, 2), timedelta(days=400), date(1, 1, 1)),
    ],
)
def test_a_month_closes_once_no_label_of_it_can_change(newest: date, window: timedelta, open_from: date) -> None:
    assert Calendar.of(newest, window).open_from == open_from


@given(
    newest=st.dates(date(1960, 1, 1), date(2300, 1, 1)),
    window=st.timedeltas(timedelta(seconds=1), timedelta(days=500)),
    times=st.lists(st.datetimes(), max_size=30),
    wanted=st.sampled_from([-1, None]),
)
def test_columns_have_the_keys_of_their_days_in_the_order_of_time(
    duck: Any, newest: date, window: timedelta, times: list[datetime], wanted: int | None
) -> None:
    calendar = Calendar.of(newest, window)
    recent = [datetime.combine(newest - window * share, time()) for share in (0.99, 0.5, 0)]
    known = sorted([*recent, *(each for each in times if each.date() <= newest)])
    keys = [calendar.key(each.date()) for each in known]
    table = ibis.memtable(pa.table({"at": pa.array([*known, None], pa.timestamp("us"))}))
    found = duck.to_pyarrow(table.select(key=calendar.keys(table["at"])))["key"].to_pylist()
    assert found == [*keys, UNDATED]
    some = {*found[len(found) // 2 :: 2], *found[-3:wanted]}
    among = duck.to_pyarrow(table.filter(calendar.among(table["at"], [*some])).select(key=calendar.keys(table["at"])))
    assert sorted(among["key"].to_pylist()) == sorted(key for key in found if key in some)
    assert keys == sorted(keys)
    assert all(len(calendar.key(newest - timedelta(days=back))) == 10 for back in range(window.days + 1))
