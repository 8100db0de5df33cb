"""A window of rows over the bins of a reference profile, and how much such windows usually vary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis

from mlguide_assets.statistics.two_sample import ChiSquare, chi_square, design_effect
from mlguide_assets.train.reference.bins import Bins, Counts, count_bins, count_bins_by, stored_as
from mlguide_assets.train.reference.profile import ColumnProfile, Profile


@dataclass(frozen=True)
class WindowCounts:
    """A window over the bins of a profile, see `Bins`, and what could not be counted.

    `retyped` maps a column to what it is stored as now; `unexpected` are columns that the reference did not have.
    """

    rows: int
    counts: Mapping[str, Counts]
    missing: tuple[str, ...] = ()
    retyped: Mapping[str, str] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()


def window_counts(rows: ibis.Table, profile: Profile) -> WindowCounts:
    """Count all rows of a window over the bins of a profile, in one pass of DuckDB over all columns."""
    found = _comparable(rows, profile)
    total, counts = count_bins(rows, found.bins)
    return found.counted(total, counts)


def window_counts_by(rows: ibis.Table, profile: Profile, key: str) -> dict[Any, WindowCounts]:
    """`window_counts` of several windows at once: the rows of each value of the column `key`, in one pass."""
    found = _comparable(rows.drop(key), profile)
    return {window: found.counted(*each) for window, each in count_bins_by(rows, found.bins, key).items()}


@dataclass(frozen=True)
class _Comparable:
    """What of some rows can be counted over the bins of a profile, and what cannot; see `WindowCounts`."""

    bins: Mapping[str, Bins]
    missing: tuple[str, ...]
    retyped: Mapping[str, str]
    unexpected: tuple[str, ...]

    def counted(self, rows: int, counts: Mapping[str, Counts]) -> WindowCounts:
        return WindowCounts(rows, counts, self.missing, self.retyped, self.unexpected)


def _comparable(rows: ibis.Table, profile: Profile) -> _Comparable:
    schema = rows.schema()
    here = [column for column in profile.columns if column.name in schema]
    now = {column.name: stored_as(schema[column.name], column.kind) for column in here}
    retyped = {column.name: now[column.name] for column in here if not _countable(column, now[column.name])}
    profiled = {column.name for column in profile.columns}
    return _Comparable(
        bins={column.name: column.bins for column in here if column.name not in retyped},
        missing=tuple(column.name for column in profile.columns if column.name not in schema),
        retyped=retyped,
        unexpected=tuple(name for name in rows.columns if name not in profiled | {*profile.other_columns}),
    )


def inflation(profile: Profile, windows: Sequence[WindowCounts], *, within: bool = False) -> dict[str, float]:
    """Design effect of every column: how much larger its chi-square usually is than independent rows would make it.

    Rows share units and days, so windows differ by more than the chance of independent rows. This is estimated
    from historical windows, of the length that will be tested, in which nothing happened; see `design_effect`.
    The more there are, the sharper the verdict: with ten windows of ten degrees it is 1.2 times the mean.

    Args:
        within: the windows are part of the reference, and each is compared with the rest of it. Without, they are
            taken to share no rows with it.

    Raises:
        ValueError: `within`, and a window has rows that the reference has not.
    """
    factors: dict[str, float] = {}
    for column in profile.columns:
        counted = [window.counts[column.name] for window in windows if column.name in window.counts]
        references = [_rest(column, counts) if within else column.counts for counts in counted]
        tests = [column_test(column, *sides) for sides in zip(references, counted, strict=True)]
        factors[column.name] = design_effect(tests)
    return factors


def column_test(column: ColumnProfile, reference: Counts, window: Counts, factor: float = 1.0) -> ChiSquare:
    """The distributions of known values: nulls and unseen categories are tested separately, with other limits."""
    known = column.bins.known
    return chi_square(reference[:known], window[:known], inflation=factor)


def _countable(column: ColumnProfile, now: str) -> bool:
    """Whether values stored as `now` have a place in the bins; nulls have, whatever they are stored as."""
    if column.stored == "null":
        return column.kind == "category" or now in ("number", "null")
    return now in (column.stored, "null")


def _rest(column: ColumnProfile, window: Counts) -> Counts:
    """The counts of a reference without those of a window in it."""
    rest = tuple(whole - part for whole, part in zip(column.counts, window, strict=True))
    if min(rest) < 0:
        raise ValueError(f"the window is not part of the reference: it has more rows in a bin of {column.name!r}")
    return rest
