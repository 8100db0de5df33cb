"""What a model learned from and said, as the reference that later days are held against.

The reference is the test window, as it was scored by the twin that had not seen it: what the model says of new sends
must look like this, and not like what it says of rows that it has learned.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.registry import features_of
from mlguide_assets.prepare.features.tables import LABEL
from mlguide_assets.train.models import Boosted
from mlguide_assets.train.reference.bins import Kind
from mlguide_assets.train.reference.counting import inflation, window_counts
from mlguide_assets.train.reference.profile import Profile, reference_profile

PROBABILITY = "probability"
HABIT_DAYS = 14
"""The last days of the reference tell how much one day differs from the others by habit."""


def watched_columns(problem: Problem) -> dict[str, Kind]:
    """What is compared: every feature that a model may use, the probability, and the label."""
    features: dict[str, Kind] = {
        feature.name: "category" if feature.kind == "category" else "number"
        for feature in features_of(problem)
        if feature.for_models
    }
    return {**features, PROBABILITY: "number", LABEL: "number"}


def reference_of(rows: pa.Table, scores: npt.NDArray[np.float64], model: Boosted, problem: Problem) -> Profile:
    """The profile of scored rows, with the differences between days that are no news.

    Args:
        rows: features, label and `delivered_at` of the test window.
        scores: what the model that had not seen them says of them (n,).
    """
    columns = watched_columns(problem)
    held = rows.select([*(name for name in columns if name != PROBABILITY), "delivered_at"])
    held = held.append_column(PROBABILITY, pa.array(scores))
    table = ibis.memtable(held.drop_columns(["delivered_at"]))
    profile = reference_profile(table, columns, importance_of(model))
    last = pc.max(held["delivered_at"]).as_py().date()
    windows = []
    for back in range(HABIT_DAYS):
        day = pc.equal(pc.cast(held["delivered_at"], pa.date32()), pa.scalar(last - timedelta(days=back)))
        of_day = held.filter(day).drop_columns(["delivered_at"])
        if of_day.num_rows:
            windows.append(window_counts(ibis.memtable(of_day), profile))
    return profile.with_inflation(inflation(profile, windows, within=True))


def importance_of(model: Boosted) -> Mapping[str, float]:
    """Share of the total gain of every feature; probability and label, which all of them move, count in full."""
    gains: dict[str, Any] = model.booster.get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    return {**{name: float(gain / total) for name, gain in gains.items()}, PROBABILITY: 1.0, LABEL: 1.0}
