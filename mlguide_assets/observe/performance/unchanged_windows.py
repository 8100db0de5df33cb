"""Windows whose rows are as they were keep their values: one more day costs the work of a day, not of the record.

With each value stays a hash of what it was measured on: the rows of its window, the settings and the code. Rows that
have changed, as where an outcome came late, are measured again with every window that holds them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.observe.performance.windows import EPOCH, day_numbers, spans
from mlguide_assets.statistics.arrays import Flags, Integers

MADE_FROM = "made_from"
MADE_FROM_COLUMN = {
    MADE_FROM: "A hash of what the window was measured on: its rows, the settings, the code. While it is the same, the "
    "window is not measured again. Null where it is so anyway."
}
"""The column of that hash → its meaning."""


Measure = Callable[[pa.Table, date], pa.Table]
"""Rows, and the first day with which a window ends → values by `day` and `window_days`, as `windows.SCHEMA`."""


@dataclass(frozen=True)
class Measurement:
    """What a window's values depend on beside its rows.

    Attributes:
        columns: those of the rows that count.
        window_days: length of the trailing windows; single days are measured as well.
        settings: all else, as what JSON can hold.
    """

    columns: Sequence[str]
    window_days: int
    settings: Mapping[str, Any]

    def of_windows(self, rows: pa.Table) -> dict[tuple[int, date], str]:
        """Length of a window and the day it ends with → the hash of what it is measured on.

        Args:
            rows: with `decided_at`, and the columns that count. Their order does not matter.
        """
        days, digests = _by_day(rows, self.columns)
        found = {}
        for length in spans(self.window_days):
            first = np.searchsorted(days, days - length, side="right")
            for at, (begins, day) in enumerate(zip(first, days.tolist(), strict=True)):
                inside = [[day - int(days[each]), digests[each]] for each in range(begins, at + 1)]
                made = json.dumps([dict(self.settings), length, inside], sort_keys=True)
                found[length, EPOCH + timedelta(days=day)] = hashlib.sha256(made.encode()).hexdigest()[:32]
        return found


def measured_where_changed(
    rows: pa.Table, measure: Measure, measurement: Measurement, before: pa.Table | None
) -> pa.Table:
    """What `measure` says of the windows of all rows; those of `before` that are as they were are taken from it.

    Args:
        measure: of the windows that end with a day or later; a window is as it is whatever rows of others are given.
        before: what this returned for earlier rows, or any table; values without a hash are not kept.

    Returns:
        The schema of `measure` and `MADE_FROM`, by window_days and day.
    """
    wanted = measurement.of_windows(rows)
    kept = _kept(before, wanted)
    known = set() if kept is None else set(_windows_of(kept))
    stale = {window: made for window, made in wanted.items() if window not in known}
    new = [_measured(rows, measure, days, measurement, stale) for days in _runs(stale, measurement.window_days)]
    parts = new if kept is None else [kept.select(new[0].column_names).cast(new[0].schema), *new]
    found = pa.concat_tables(parts)
    # NumPy's order is stable: the rows of a window stay as they were among themselves.
    place = np.lexsort([found["day"].cast(pa.int32()).to_numpy(), found["window_days"].to_numpy()])
    # In one piece: a file is then the same, whatever was kept.
    return found.take(pa.array(place)).combine_chunks()


def _measured(
    rows: pa.Table,
    measure: Measure,
    ends: Sequence[date],
    measurement: Measurement,
    stale: Mapping[tuple[int, date], str],
) -> pa.Table:
    """The stale windows that end with some days."""
    values = measure(_needed(rows, ends, measurement.window_days), min(ends, default=date.min))
    made = [stale.get(window) for window in _windows_of(values)]
    return values.append_column(MADE_FROM, pa.array(made, pa.string())).filter(pc.is_valid(pa.array(made, pa.string())))


def _runs(stale: Iterable[tuple[int, date]], window_days: int) -> list[list[date]]:
    """The days with which windows end, parted where no window holds days of both parts; one part at least."""
    runs: list[list[date]] = []
    for day in sorted({day for _, day in stale}):
        if runs and (day - runs[-1][-1]).days <= window_days:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs or [[]]


def _kept(before: pa.Table | None, wanted: Mapping[tuple[int, date], str]) -> pa.Table | None:
    """The values of before whose windows are as they were."""
    if before is None or MADE_FROM not in before.column_names:
        return None
    made = before[MADE_FROM].to_pylist()
    same = [wanted.get(window) == of for window, of in zip(_windows_of(before), made, strict=True)]
    return before.filter(pa.array(same, pa.bool_()))


def _windows_of(values: pa.Table) -> Iterable[tuple[int, date]]:
    return zip(values["window_days"].to_pylist(), values["day"].to_pylist(), strict=True)


def _needed(rows: pa.Table, ends: Sequence[date], window_days: int) -> pa.Table:
    """The rows of the windows that end with some days, and of the days between."""
    if not ends:
        return rows.slice(0, 0)
    first, last = ((day - EPOCH).days for day in (min(ends), max(ends)))
    days = day_numbers(rows["decided_at"])
    inside: Flags = (days > first - window_days) & (days <= last)
    return rows.filter(pa.array(inside))


def _by_day(rows: pa.Table, columns: Sequence[str]) -> tuple[Integers, list[str]]:
    """The days that have rows, ascending, and a hash of the rows of each, in whatever order they come."""
    from pandas.util import hash_pandas_object

    days = day_numbers(rows["decided_at"])
    hashes = hash_pandas_object(rows.select(list(columns)).to_pandas(), index=False).to_numpy()
    order = np.lexsort([hashes, days])
    distinct, starts = np.unique(days[order], return_index=True)
    parts = np.split(hashes[order], starts[1:]) if len(distinct) else []
    return distinct, [hashlib.sha256(part.tobytes()).hexdigest()[:32] for part in parts]
