"""Which days are tested for drift together, and when days that wait will be."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.observe.drift.data_drift import SCHEMA
from mlguide_assets.observe.drift.table import DATA_DRIFT, WHOLE_DAY, is_tested, last_verdict, verdicts, waiting
from mlguide_assets.observe.drift.windows import expected_day, signature_of, window_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table

AFTER = date(2026, 3, 1)


def landed(*decisions: int) -> dict[date, dict[str, Any]]:
    """The days after the reference, in their order."""
    return {
        AFTER + timedelta(days=at): {"rows": count, "digest": str(at), "outcomes": "final"}
        for at, count in enumerate(decisions, start=1)
        if count
    }


@pytest.mark.parametrize(
    ("decisions", "tested"),
    [
        ((500, 900, 500), {2: 2, 3: 3, 4: 4}),
        ((200, 200, 200, 200), {4: 2}),
        ((200, 200, 100, 499, 1), {4: 2, 6: 5}),
        # A large day needs no others, and those before it are given up.
        ((200, 900, 200, 300), {3: 3, 5: 4}),
        # A window begins with a day that has something.
        ((0, 0, 250, 0, 250), {6: 4}),
        ((499,), {}),
    ],
)
def test_a_day_is_tested_with_the_small_ones_before_it_and_none_twice(
    decisions: tuple[int, ...], tested: dict[int, int]
) -> None:
    days = landed(*decisions)
    windows = [
        window_of(AFTER + timedelta(days=at), days, after=AFTER, min_rows=500) for at in range(1, len(decisions) + 1)
    ]
    assert {window.last.day: window.first.day for window in windows if window.is_enough} == tested


def test_a_day_of_the_reference_is_a_window_by_itself() -> None:
    window = window_of(AFTER, {AFTER: {"rows": 900}}, after=AFTER, min_rows=500)
    assert (window.first, window.last, window.is_enough) == (AFTER, AFTER, True)


def test_days_that_wait_are_expected_to_be_enough_at_the_usual_rate() -> None:
    days = landed(20, 20, 20, 20)
    window = window_of(date(2026, 3, 5), days, after=AFTER, min_rows=500)
    assert (window.decisions, window.first) == (80, date(2026, 3, 2))
    assert expected_day(window, days, min_rows=500) == date(2026, 3, 26), "21 more days of 20"
    nothing = window_of(date(2026, 3, 5), {}, after=AFTER, min_rows=500)
    assert expected_day(nothing, {}, min_rows=500) is None


def test_a_signature_is_of_all_that_is_tested_and_of_outcomes_once_all_are_final() -> None:
    def signed(decisions: tuple[int, ...], **changes: Any) -> str:
        days = landed(*decisions)
        days[date(2026, 3, 2)] |= changes
        return signature_of(window_of(date(2026, 3, 3), days, after=AFTER, min_rows=500), days)

    for decisions, counts in (((250, 250), True), ((200, 200), False), ((500, 500), False)):
        before = signed(decisions)
        assert (signed(decisions, digest="another") != before) is counts
        assert (signed(decisions, outcomes=None) != before) is counts
    assert len({signed((250, 250), outcomes=None), signed((250, 250)), signed((500, 500), outcomes=None)}) == 3


def test_of_small_days_as_many_are_read_as_two_verdicts_take(tmp_path: Path) -> None:
    lake, days = Lake(tmp_path), [AFTER + timedelta(days=at) for at in range(1, 71)]
    for at, day in enumerate(days, start=1):
        level = "act" if at in (10, 40, 65) else "too_few"
        row = {"day": day.isoformat(), "source": "sends", "column": WHOLE_DAY, "level": level, "reason": f"Day {at}."}
        lake.write_partition(DATA_DRIFT, day.isoformat(), small_table([row], SCHEMA))
    assert [row["reason"] for row in verdicts(lake) if is_tested(row)] == ["Day 40.", "Day 65."]
    assert (last_verdict(lake)["reason"], waiting(lake)) == ("Day 65.", "Day 70.")
