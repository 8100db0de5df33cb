"""Rows whose distribution is known, and their counts by NumPy: what DuckDB must find."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.train.reference.bins import Bins, Counts, Kind
from mlguide_assets.train.reference.counting import WindowCounts
from mlguide_assets.train.reference.profile import Profile, reference_profile

Columns = dict[str, npt.NDArray[Any]]

NUMBERS = tuple(f"x{at}" for at in range(20))
CATEGORIES = tuple(f"c{at}" for at in range(10))
NAMES = np.array([f"kind {at}" for at in range(50)], dtype=object)
KINDS: dict[str, Kind] = {**dict.fromkeys(NUMBERS, "number"), **dict.fromkeys(CATEGORIES, "category")}


def users(size: int, random: np.random.Generator) -> Columns:
    """Thirty columns (size,): bell-shaped, heavy-tailed, counts with many ties, and skewed categories."""
    draws = (
        lambda: random.normal(size=size),
        lambda: np.exp(2 * random.normal(size=size)),
        lambda: random.poisson(1.0, size).astype(np.float64),
    )
    columns: Columns = {name: draws[at % 3]() for at, name in enumerate(NUMBERS)}
    for at, name in enumerate(CATEGORIES):
        columns[name] = NAMES[random.zipf(1.5, size) % (4 + 5 * at)]
    return columns


def sends(number_of_users: int, mean_rows: int, random: np.random.Generator) -> Columns:
    """Rows of so many users, each of whom has the same values in all of his."""
    rows_each = 1 + random.poisson(mean_rows - 1, number_of_users)
    return {name: np.repeat(values, rows_each) for name, values in users(number_of_users, random).items()}


def as_table(columns: Mapping[str, Any]) -> ibis.Table:
    return ibis.memtable(pa.table(dict(columns)))


def profile_of(columns: Mapping[str, Any], importance: Mapping[str, float] | None = None) -> Profile:
    return reference_profile(as_table(columns), {name: KINDS[name] for name in columns}, importance or {})


def binned(values: npt.NDArray[Any], bins: Bins) -> Counts:
    """The counts of a column; None and what is not finite is null."""
    if bins.kind == "number":
        numbers = values.astype(np.float64)
        known = numbers[np.isfinite(numbers)]
        counts = np.bincount(np.searchsorted(bins.edges, known, side="left"), minlength=len(bins.edges) + 1).tolist()
    else:
        times = Counter(values.tolist())
        counts = [times[name] for name in bins.categories]
        counts.append(len(values) - times[None] - sum(counts))
    return (*counts, len(values) - sum(counts))


def counted(columns: Columns, profile: Profile) -> WindowCounts:
    """What `window_counts` should find."""
    counts = {column.name: binned(columns[column.name], column.bins) for column in profile.columns}
    return WindowCounts(len(columns[profile.columns[0].name]), counts)
