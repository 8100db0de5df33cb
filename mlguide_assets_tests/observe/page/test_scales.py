"""Ticks are round, few, and say what changes."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.observe.page.scales import Scale, Times, around, time_ticks, value_ticks

START = datetime(2026, 2, 27, 22, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.71, 0.93, ["0.75", "0.80", "0.85", "0.90"]),
        (0, 1_080, ["0", "200", "400", "600", "800", "1,000"]),
        (-1.2, 0.4, ["-1.0", "-0.5", "0.0"]),
        (3, 3, ["3"]),
    ],
)
def test_values(low: float, high: float, texts: list[str]) -> None:
    assert [text for _, text in value_ticks(low, high)] == texts


@pytest.mark.parametrize(
    ("span", "texts"),
    [
        (timedelta(minutes=7), ["Feb 27 2026 22:40", "22:42", "22:44", "22:46"]),
        (timedelta(hours=4), ["Feb 27 2026 23:00", "Feb 28 00:00", "01:00", "02:00"]),
        (timedelta(days=5), ["Mar 1 2026", "Mar 3"]),
        (timedelta(days=24), ["Mar 2 2026", "Mar 9", "Mar 16", "Mar 23"]),
        (timedelta(days=300), ["Apr 2026", "Jul", "Oct"]),
        (timedelta(days=900), ["Jan 2027", "Jan 2028"]),
    ],
)
def test_instants(span: timedelta, texts: list[str]) -> None:
    assert [text for _, text in time_ticks(START, START + span, 4)] == texts


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(1, 12))
def test_values_are_few_and_within(low: float, extent: float, most: int) -> None:
    ticks = value_ticks(low, low + extent, most)
    room = 1e-6 * max(abs(low), extent)
    assert len(ticks) <= most + 1
    assert all(low - room <= value <= low + extent + room for value, _ in ticks)


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=3000)), st.integers(2, 12))
def test_instants_are_few_and_within(span: timedelta, most: int) -> None:
    ticks = time_ticks(START, START + span, most)
    assert len(ticks) <= most + 1
    assert all(START <= at <= START + span for at, _ in ticks)


def test_a_scale_without_extent_is_its_middle() -> None:
    assert Scale(2, 2, 0, 10)(2) == 5
    assert Times(START, START, 0, 10)(START) == 5


def test_bounds_leave_out_what_is_no_number() -> None:
    assert around([math.nan, math.inf]) == (0, 1)
    low, high = around([0.8, math.nan, 0.9], including=[0.7])
    assert low < 0.7 < 0.9 < high
    assert around([5.0])[0] < 5 < around([5.0])[1]
