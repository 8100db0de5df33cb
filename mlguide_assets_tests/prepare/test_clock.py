"""The data's clock: how far the sends have come, whatever single rows claim."""

from datetime import date, datetime, timedelta

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.prepare.clock import data_clock, last_day, usual_rows

DAY = timedelta(days=1)
FIRST = date(2025, 1, 1)


def steady(days: int, rows: int) -> dict[date, int]:
    return {FIRST + place * DAY: rows for place in range(days)}


LAST = FIRST + 99 * DAY


@pytest.mark.parametrize("rows", [8, 800, 80_000])
def test_single_rows_do_not_move_it_however_far_ahead_they_are(rows: int) -> None:
    for ahead in (2, 5, 40, 3000):
        assert last_day({**steady(100, rows), LAST + ahead * DAY: 1}) == LAST
    strays = {LAST + ahead * DAY: 1 for ahead in (9, 30, 31, 4000)}
    assert last_day({**steady(100, rows), **strays, date(9999, 12, 31): 1}) == LAST


def test_the_next_day_moves_it_with_its_first_rows() -> None:
    assert last_day({**steady(100, 800), LAST + DAY: 1}) == LAST + DAY


@pytest.mark.parametrize(("rows", "enough"), [(800, 40), (30, 3), (4, 2), (1, 1)])
def test_after_a_gap_it_moves_once_enough_has_come(rows: int, enough: int) -> None:
    later = LAST + 10 * DAY
    assert last_day({**steady(100, rows), later: enough}) == later
    if enough > 1:
        assert last_day({**steady(100, rows), later: enough - 1}) == LAST
        assert last_day({**steady(100, rows), later: enough - 1, later + DAY: 1}) == later + DAY


def test_sparse_and_weekly_sources_keep_their_last_day() -> None:
    assert last_day({FIRST + 40 * place * DAY: 1 for place in range(9)}) == FIRST + 320 * DAY
    campaigns = {FIRST + 7 * place * DAY: 10_000 for place in range(9)} | {FIRST + 63 * DAY: 600}
    assert last_day(campaigns) == FIRST + 63 * DAY
    assert last_day({date(1990, 1, 1): 1, **steady(5, 100)}) == FIRST + 4 * DAY
    assert last_day({FIRST: 3}) == FIRST
    assert last_day({}) is None


def test_a_usual_day_is_the_median_of_the_last_weeks() -> None:
    assert usual_rows({**steady(100, 800), LAST: 3}, LAST) == 800
    assert usual_rows(steady(100, 800), LAST + 90 * DAY) == 0


def test_of_a_table_it_is_the_last_delivery_of_that_day() -> None:
    noon = datetime(2025, 1, 1, 12)
    times = [noon + place * DAY + timedelta(minutes=each) for place in range(9) for each in range(9)]
    sends = ibis.memtable(pa.table({"delivered_at": pa.array([*times, None, datetime(9999, 12, 31)])}))
    assert data_clock(sends, "delivered_at") == max(times)
    assert data_clock(sends.limit(0), "delivered_at") is None
