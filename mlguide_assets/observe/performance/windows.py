"""Metrics over days and the windows that end with them, with intervals: what realised and estimated values share."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import with_article
from mlguide_assets.observe.performance.tallies import MEASURES, Bins
from mlguide_assets.statistics.arrays import Flags, Floats, Integers
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.statistics.intervals import percentile_bounds
from mlguide_assets.statistics.ranking import RANKED
from mlguide_assets.train.evaluation.metrics import checked

LEVEL = 0.95

SCHEMA = pa.schema(
    {
        "day": pa.date32(),
        "window_days": pa.int64(),
        "column": pa.string(),
        "slice": pa.string(),
        "rows": pa.int64(),
        "positives": pa.float64(),
        "metric": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "noise": pa.float64(),
        "supported": pa.bool_(),
    }
)
"""One row per window, the day it ends with, slice and metric. `positives` are counted where labels are known, expected
where not. `noise`, of the whole only, is the standard deviation of the realised value about the estimate on the same
rows."""

EPOCH = date(1970, 1, 1)
_MICROSECONDS_PER_DAY = 86_400_000_000

Tally = Callable[[int, Floats], Floats]
"""Sums (groups, tallied, r) of one day, given its position and how often each unit counts, (units, r)."""


def window_columns(problem: Problem) -> dict[str, str]:
    """Columns that say what a row of `SCHEMA` is of → meaning; the version is added where it is known."""
    noun, many = problem.decision.noun, problem.decision.plural
    return {
        "model_version": "The champion that is measured.",
        "day": "The last day of the window, UTC.",
        "window_days": "Days of the window; the first windows of a record hold fewer.",
        "column": f"The column by which the {many} are sliced; (all) is all of them.",
        "slice": "The value of the column, or the band of its values.",
        "rows": f"Rows of the window, {with_article(noun)} each; of a drawn sample, where memory has no room for all.",
    }


@dataclass(frozen=True, eq=False)
class Decided:
    """Decisions in the order of their day, and within it of their score and unit.

    `days` (d,) are the days that have any, numbered from 1970; day i holds the rows from `ends[i]` to below
    `ends[i + 1]`. `labels` are 0 where they are not needed, `units` are numbered, `order` (n,) is where each row was.
    """

    days: Integers
    ends: Integers
    labels: Floats
    scores: Floats
    units: Integers
    order: Integers

    @classmethod
    def of(cls, rows: pa.Table, *, labelled: bool) -> "Decided":
        """Raises ValueError where a column is absent, a label is not 0 or 1, or a probability not within [0, 1]."""
        needed = ("unit_id", "decided_at", "probability", *(["label"] if labelled else []))
        absent = [name for name in needed if name not in rows.column_names]
        if absent:
            raise ValueError(f"no column {absent[0]!r} to group by: there are {', '.join(rows.column_names)}")
        given = rows["label"].to_numpy() if labelled else np.zeros(len(rows))
        labels, scores = checked(given, rows["probability"].to_numpy())
        units = np.unique(rows["unit_id"].to_numpy(), return_inverse=True)[1]
        day = day_numbers(rows["decided_at"])
        order = np.lexsort((units, scores, day))
        days, starts = np.unique(day[order], return_index=True)
        ends = np.append(starts, len(order))
        return cls(days, ends, labels.astype(np.float64)[order], scores[order], units[order], order)

    def rows_of(self, day: int, window: int = 1) -> slice:
        """The rows of the day at this position, and of those before it that lie in a window that ends with it."""
        first = int(np.searchsorted(self.days, self.days[day] - window, side="right"))
        return slice(int(self.ends[first]), int(self.ends[day + 1]))

    def since(self, day: date) -> range:
        """The positions of the days from one on."""
        return range(int(np.searchsorted(self.days, (day - EPOCH).days)), len(self.days))

    @property
    def most_rows(self) -> int:
        """Rows of the fullest day."""
        return int(np.diff(self.ends).max(initial=0))


def day_numbers(instants: pa.ChunkedArray) -> Integers:
    """Days since 1970 in UTC, (n,); a time without a zone is UTC."""
    microseconds = instants.cast(pa.timestamp("us", tz=instants.type.tz), safe=False).cast(pa.int64())
    return np.asarray(microseconds.to_numpy(), dtype=np.int64) // _MICROSECONDS_PER_DAY


@dataclass(frozen=True, eq=False)
class Window:
    """What is known of d days, each with the `days` that end with it, and g groups, before anything is resampled.

    `rows`, `positives` and `supported` are (d, g), `ranked` (d, g, metrics of `RANKED`) the exact values.
    """

    days: int
    rows: Integers
    positives: Floats
    supported: Flags
    ranked: Floats


def spans(window_days: int) -> tuple[int, ...]:
    """The lengths of window that are reported; ValueError for one without a day."""
    if window_days < 1:
        raise ValueError(f"window_days must be 1 or more, got {window_days}")
    return tuple(dict.fromkeys((1, window_days)))


def measured(
    decisions: Decided,
    bins: Bins,
    windows: Sequence[Window],
    names: Sequence[tuple[str, str]],
    *,
    on_all: Tally,
    resampled: Tally,
    drawn: bool,
    bootstrap: ClusterBootstrap,
) -> pa.Table:
    """The table, as `SCHEMA`, of groups whose columns and slices are `names`, the first being the whole.

    Args:
        on_all: its first groups are those of `names`; it is called with every unit once.
        resampled: the same for resamples, with one group more that gives the noise.
        drawn: all groups but that one are of expected outcomes, and it is of drawn ones, given the units: its mean is
            what to expect, its spread the noise, which adds to that of resampling. Else it is of expected outcomes,
            and noise is what sets the whole apart from it.
    """
    additional = np.arange(len(names) + 1) == len(names)
    every = [np.ones(window.supported.shape, dtype=bool) for window in windows]
    wanted = [np.hstack([window.supported, window.supported[:, :1]]) for window in windows]
    points = _over_windows(decisions, bins, windows, every, on_all, [np.ones((bootstrap.size, 1))], 1)
    largest = max(bootstrap.size, decisions.most_rows, len(additional) * bins.tallied)
    draws = bootstrap.draws(bootstrap.chunk(largest))
    values = _over_windows(decisions, bins, windows, wanted, resampled, draws, bootstrap.repeats)
    tables = []
    for window, included, point, replicates in zip(windows, wanted, points, values, strict=True):
        binned = point[..., 0].reshape(*window.supported.shape, len(MEASURES))
        of_group = np.nonzero(included)[1]
        apart, others = replicates[additional[of_group]], replicates[~additional[of_group]]
        if drawn:
            mean = apart.mean(axis=-1)
            found = _Found.of(window, binned, others + apart - mean[..., None])
            found = found.expecting(window, mean - binned[window.supported[:, 0], 0])
        else:
            found = _Found.of(window, binned, others)
            apart = replicates[of_group == 0] - apart
        tables.append(_table(decisions.days, window, names, found, _spread(apart)))
    return pa.concat_tables(tables)


@dataclass(frozen=True, eq=False)
class _Found:
    """Values and bounds of the groups of a window, (d, g, measures) each."""

    values: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, window: Window, binned: Floats, replicates: Floats) -> "_Found":
        """From values of binned scores, and replicates (supported, measures, repeats), moved by what binning cost."""
        values = np.concatenate([window.ranked, binned[..., len(RANKED) :]], axis=-1)
        moved = replicates + (values - binned)[window.supported][..., None]
        moved[:, : len(RANKED)] = np.clip(moved[:, : len(RANKED)], 0, 1)
        low, high = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        low[window.supported], high[window.supported] = percentile_bounds(moved, LEVEL)
        return cls(values, low, high)

    def expecting(self, window: Window, excess: Floats) -> "_Found":
        """With the ranking metrics of the whole, and their bounds, raised by `excess` (supported days, measures).

        With few positives the mean of a PR AUC over outcomes is above the PR AUC of the mean outcome: by 0.015, half
        a standard deviation, with 70 positives in 3,000 rows.
        """
        values, low, high = (each.copy() for each in (self.values, self.low, self.high))
        for each in (values, low, high):
            each[window.supported[:, 0], 0, : len(RANKED)] += excess[:, : len(RANKED)]
        return _Found(values, low, high)


def _over_windows(
    decisions: Decided,
    bins: Bins,
    windows: Sequence[Window],
    wanted: Sequence[Flags],
    tally: Tally,
    draws: Iterable[Floats],
    repeats: int,
) -> list[Floats]:
    """Per window, `MEASURES` of the wanted of its days and groups, (wanted, measures, repeats)."""
    found = [np.full((int(each.sum()), len(MEASURES), repeats), np.nan) for each in wanted]
    if not len(decisions.days):
        return found
    done = 0
    for counts in draws:
        here = slice(done, done + counts.shape[1])
        filled = [0] * len(windows)
        sums = (tally(day, counts) for day in range(len(decisions.days)))
        for day, totals in enumerate(_totals(decisions.days, sums, [window.days for window in windows])):
            for at, total in enumerate(totals):
                chosen = total[: wanted[at].shape[1]][wanted[at][day]]
                if len(chosen):
                    found[at][filled[at] : filled[at] + len(chosen), :, here] = bins.measured(chosen)
                filled[at] += len(chosen)
        done = here.stop
    return found


def _totals(days: Integers, sums: Iterable[Floats], lengths: Sequence[int]) -> Iterator[list[Floats]]:
    """For each day (d,), ascending, the total of `sums` over the days of each window that ends with it."""
    inside: deque[tuple[int, Floats]] = deque()
    total: Any = 0.0
    for day, of_day in zip(days.tolist(), sums, strict=True):
        inside.append((day, of_day))
        total = total + of_day
        while inside[0][0] <= day - lengths[-1]:
            total -= inside.popleft()[1]
        yield [of_day if length == 1 else total for length in lengths]


def _spread(values: Floats) -> Floats:
    """Standard deviation of replicates (w, measures, repeats); NaN where more than half lack a value."""
    found: Floats = np.std(values, axis=-1, ddof=1)
    for place in zip(*np.nonzero(np.isnan(found)), strict=True):
        defined = values[place][~np.isnan(values[place])]
        if 2 * len(defined) >= max(values.shape[-1], 4):
            found[place] = np.std(defined, ddof=1)
    return found


def _table(
    days: Integers, window: Window, names: Sequence[tuple[str, str]], found: _Found, noise_of_whole: Floats
) -> pa.Table:
    """Rows of the groups that occurred; the noise is that of supported days, (supported days, measures)."""
    shown = window.rows > 0
    day, group = np.nonzero(shown)
    measures = len(MEASURES)
    noise = np.full(found.values.shape, np.nan)
    noise[window.supported[:, 0], 0] = noise_of_whole
    columns, slices = (pa.array([name[at] for name in names], pa.string()) for at in (0, 1))
    of_group = pa.array(np.repeat(group, measures))
    arrays = [
        pa.array(np.repeat(days[day], measures).astype(np.int32)).cast(pa.date32()),
        pa.array(np.full(len(day) * measures, window.days)),
        columns.take(of_group),
        slices.take(of_group),
        pa.array(np.repeat(window.rows[shown], measures)),
        pa.array(np.repeat(window.positives[shown], measures)),
        pa.array(list(MEASURES) * len(day), pa.string()),
        *(pa.array(each[shown].ravel()) for each in (found.values, found.low, found.high, noise)),
        pa.array(np.repeat(window.supported[shown], measures)),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
