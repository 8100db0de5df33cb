"""What a model learned from and said, as the reference that later days are compared with.

The reference is the test window, as it was scored by the holdout model, which had not seen it: what the model says of
new decisions must look like this, and not like what it says of rows that it has learned.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.reference.bins import Kind
from mlguide_assets.train.reference.costing import expected_costs, realised_costs, with_costs
from mlguide_assets.train.reference.counting import inflation, window_counts_by
from mlguide_assets.train.reference.profile import Profile, reference_profile

PROBABILITY = "probability"
_WINDOW, _EARLY = "_window", "first half"
VARIATION_WINDOWS = 14
"""The last days of the reference. Compared with its other days, they show the usual variation of one day, since rows
share units and a day is of one weekday; compared with its first half, how far a column that only grows has moved.
Where a day has fewer rows than a test of drift takes, these are windows of so many days that will be tested together,
as many as half of the reference holds."""


def watched_columns(problem: Problem) -> dict[str, Kind]:
    """What is compared: every feature that a model may use, the probability, and the label."""
    features: dict[str, Kind] = {
        feature.name: "category" if feature.kind == "category" else "number"
        for feature in features_of(problem)
        if feature.for_models
    }
    return {**features, PROBABILITY: "number", problem.label.column: "number"}


def build_reference(rows: pa.Table, scores: npt.NDArray[np.float64], model: ServableModel, problem: Problem) -> Profile:
    """The profile of scored rows, with the differences between days that are no news.

    Args:
        rows: features, label and time of the test window.
        scores: what the model that had not seen them says of them (n,).
    """
    columns, label, time = watched_columns(problem), problem.label.column, problem.decision.time
    held = rows.select([*(name for name in columns if name != PROBABILITY), time])
    held = held.append_column(PROBABILITY, pa.array(scores))
    costs = dict.fromkeys(columns, expected_costs(scores, problem.costs))
    costs[label] = realised_costs(rows[label].to_numpy().astype(bool), scores, problem.costs)
    profile = with_costs(reference_profile(_watched(held, time), columns, importance_of(model, label)), held, costs)
    first, last = (bound(held[time]).as_py() for bound in (pc.min, pc.max))
    half = (last - first) / 2
    length = _days_tested_together(held[time], half, problem.watching.min_rows)
    end = midnight(last.date()) + timedelta(days=1)
    ends = [end - timedelta(days=back * length) for back in range(min(VARIATION_WINDOWS, half.days // length))]
    if not ends:
        return profile
    spans = {_EARLY: (first, first + half), **{str(each): (each - timedelta(days=length), each) for each in ends}}
    counted = window_counts_by(_in_windows(held, spans, time), profile, _WINDOW)
    early = profile.recounted(counted.pop(_EARLY).counts)
    windows = [counted[str(each)] for each in ends if str(each) in counted]
    variation = inflation(profile, windows, within=True)
    further = inflation(early, windows)
    # From the middle of the first half to that of the last days.
    lag = (end - timedelta(days=1) - (first + half / 2)).days - len(ends) * length / 2
    trends = {name: max(further[name] - variation[name], 0.0) for name in variation}
    return profile.with_inflation(variation).with_trends(
        trends, middle=(first + half).date(), lag_days=max(lag, 1.0), variation_days=length
    )


def _days_tested_together(times: pa.ChunkedArray, half: timedelta, min_rows: int) -> int:
    """How many days have the rows that a test of drift takes, see `watching.min_rows`; at most half of `half`.

    Args:
        times: of the rows of the reference.
        half: of its time.
    """
    days = len(pc.unique(times.cast(pa.date32())))
    if len(times) >= min_rows * days:
        return 1
    span = 2 * half / timedelta(days=1)
    return max(min(math.ceil(span * min_rows / len(times)), half.days // 2), 1)


def _in_windows(rows: pa.Table, spans: Mapping[str, tuple[datetime, datetime]], time: str) -> ibis.Table:
    """The rows of each span [first, end), which name the span in the column `_WINDOW`; no two spans overlap."""
    times = rows[time]
    parts = []
    for name, (first, end) in spans.items():
        part = rows.filter(pc.and_(pc.greater_equal(times, pa.scalar(first)), pc.less(times, pa.scalar(end))))
        parts.append(part.append_column(_WINDOW, pa.array([name] * part.num_rows, pa.string())))
    return _watched(pa.concat_tables(parts), time)


def _watched(rows: pa.Table, time: str) -> ibis.Table:
    return ibis.memtable(rows.drop_columns([time]))


def importance_of(model: ServableModel, label: str) -> Mapping[str, float]:
    """Share of every feature in the model; probability and label, which all of them move, count in full."""
    return {**model.importance(), PROBABILITY: 1.0, label: 1.0}
