"""The answer of an alarm, and what all alarms need to give one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlguide_assets.prepare.features.catalogue import Feature
from mlguide_assets.statistics.arrays import Flags, Integers


@dataclass(frozen=True)
class Alarm:
    """The answer to one question.

    `value` is what was measured of the worst feature, `limit` what it may reach at most; `details` has one row per
    feature (feature, value), the worst first, or is None where nothing could be measured.
    """

    check: str
    passed: bool
    feature: str | None
    value: float
    limit: float
    message: str
    details: pa.Table | None


def for_models(features: Sequence[Feature]) -> list[Feature]:
    return [feature for feature in features if feature.for_models]


def worst_of(measured: Mapping[str, float]) -> tuple[str | None, float]:
    """The feature with the largest value, the first of equals; none where all are 0."""
    worst = max(measured, key=lambda name: measured[name], default=None)
    return (worst, measured[worst]) if worst is not None and measured[worst] > 0 else (None, 0.0)


def details_of(measured: Mapping[str, float]) -> pa.Table:
    """One row per feature, the worst first."""
    order = sorted(measured, key=lambda name: -measured[name])
    return pa.table(
        {"feature": pa.array(order, pa.string()), "value": pa.array([measured[n] for n in order], pa.float64())}
    )


def codes_of(column: pa.ChunkedArray | pa.Array) -> tuple[Integers, Flags]:
    """Values numbered from 0, missing ones with the last number, and which these are."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    codes = np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(encoded.dictionary)), dtype=np.int64)
    return codes, codes == len(encoded.dictionary)
