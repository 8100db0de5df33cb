"""One more day costs a day: windows whose rows are as they were are taken from what was measured before."""

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.observe.performance.unchanged_windows import MADE_FROM, Measure, Measurement, measured_where_changed
from mlguide_assets.observe.performance.windows import day_numbers

FIRST = date(2024, 3, 1)
WINDOW = 3
MEASUREMENT = Measurement(("unit", "label"), WINDOW, {"threshold": 0.5})


def decisions(days: int, per_day: int = 4, first: int = 0) -> pa.Table:
    """A few decisions on each of some days, every third with a positive outcome."""
    number = np.arange(first * per_day, (first + days) * per_day)
    at = [datetime.combine(FIRST, datetime.min.time()) + timedelta(days=int(each) // per_day) for each in number]
    units = [f"unit {each % 7}" for each in number]
    return pa.table({"unit": units, "decided_at": pa.array(at, pa.timestamp("us")), "label": number % 3 // 2})


class Counting:
    """Measures positives per window, and remembers which days it was given each time."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []

    def __call__(self, rows: pa.Table, since: date) -> pa.Table:
        days, labels = day_numbers(rows["decided_at"]), rows["label"].to_numpy()
        distinct = np.unique(days)
        self.given.append([int(day) - (FIRST - date(1970, 1, 1)).days for day in distinct])
        found = [
            (int(day), length, float(labels[(days > day - length) & (days <= day)].sum()))
            for length in (1, WINDOW)
            for day in distinct
            if day >= (since - date(1970, 1, 1)).days
        ]
        columns = [
            pa.array([row[at] for row in found], kind) for at, kind in enumerate((pa.int32(), pa.int64(), pa.float64()))
        ]
        return pa.table({"day": columns[0].cast(pa.date32()), "window_days": columns[1], "value": columns[2]})


@pytest.fixture
def measure() -> Counting:
    return Counting()


def measured(rows: pa.Table, measure: Measure, before: pa.Table | None = None) -> pa.Table:
    return measured_where_changed(rows, measure, MEASUREMENT, before)


def test_a_day_more_is_measured_from_the_rows_of_its_windows(measure: Counting) -> None:
    before = measured(decisions(10), measure)
    after = measured(decisions(11), measure, before)
    assert measure.given == [list(range(10)), [8, 9, 10]]
    assert after.equals(measured(decisions(11), Counting()))


def test_nothing_is_measured_where_nothing_has_changed(measure: Counting) -> None:
    before = measured(decisions(10), measure)
    shuffled = decisions(10).take(np.random.default_rng(0).permutation(40))
    after = measured(shuffled, measure, before)
    assert after.equals(before)
    assert [len(each.to_batches()) for each in (before, after)] == [1, 1], "their files are the same, too"
    assert measure.given[1:] == [[]]


def test_a_late_outcome_changes_the_windows_that_hold_it_alone(measure: Counting) -> None:
    before, rows = measured(decisions(30), measure), decisions(30)
    late = np.arange(120) == 10 * 4
    corrected = rows.set_column(
        2, "label", pa.array(np.where(late, 1 - rows["label"].to_numpy(), rows["label"].to_numpy()))
    )
    after = measured(corrected, measure, before)
    assert measure.given[1:] == [[8, 9, 10, 11, 12]]
    assert after.equals(measured(corrected, Counting()))
    assert changed_days(before, after) == {(1, 10), (3, 10), (3, 11), (3, 12)}


def changed_days(before: pa.Table, after: pa.Table) -> set[tuple[int, int]]:
    """Length and last day, counted from the first, of the windows whose hash is another one."""
    pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
    return {(new["window_days"], (new["day"] - FIRST).days) for old, new in pairs if old[MADE_FROM] != new[MADE_FROM]}


def test_a_record_that_loses_its_oldest_day_is_measured_at_both_ends(measure: Counting) -> None:
    before = measured(decisions(30), measure)
    after = measured(decisions(30, first=1), measure, before)
    assert measure.given[1:] == [[1, 2], [28, 29, 30]]
    assert after.equals(measured(decisions(30, first=1), Counting()))


def test_other_settings_and_values_without_a_hash_are_measured_anew(measure: Counting) -> None:
    rows = decisions(5)
    before = measured(rows, measure)
    other = Measurement(MEASUREMENT.columns, WINDOW, {"threshold": 0.4})
    assert measured_where_changed(rows, measure, other, before)["value"] == before["value"]
    unknown = before.set_column(before.column_names.index(MADE_FROM), MADE_FROM, pa.nulls(len(before), pa.string()))
    for earlier in (unknown, before.drop_columns(MADE_FROM), before.slice(0, 0)):
        assert measured(rows, measure, earlier).equals(before)
    assert measure.given == [list(range(5))] * 5


def test_without_rows_there_are_no_windows(measure: Counting) -> None:
    before = measured(decisions(5), measure)
    assert measured(decisions(0), measure, before).num_rows == 0
    assert pc.all(pc.is_valid(before[MADE_FROM])).as_py()
