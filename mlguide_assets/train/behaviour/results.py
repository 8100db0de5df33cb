"""What a behaviour test found, and how it is kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mlguide_assets.statistics.arrays import Flags, Floats
from mlguide_assets.statistics.missing import finite_or_none

Kind = Literal["invariance", "direction", "minimum functionality"]


@dataclass(frozen=True)
class Behaviour:
    """What one test found.

    Attributes:
        name: a fact, true of a model that passes.
        value: what is compared with the limit, as the message says: a share of rows, a change, a ratio or a count.
        rows: how many rows were looked at; none where there was nothing to test, which passes.
        message: what was changed, what should have followed, and what did.
        example: an offending row: its keys, its scores before and after; None where no one row is to blame.
    """

    name: str
    kind: Kind
    passed: bool
    value: float
    limit: float
    rows: int
    message: str
    example: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """A value that is no finite number, of a model that gives none, becomes None."""
        return {**asdict(self), "value": finite_or_none(self.value)}


COLUMNS = {
    "name": "The test: a fact that should hold of the model.",
    "kind": "What kind of test: invariance, direction or minimum functionality.",
    "passed": "Whether the fact holds.",
    "value": "What was measured.",
    "limit": "What the value may reach.",
    "rows": "Rows that were scored for the test.",
    "message": "What was changed, what should have followed, and what did.",
    "example": "The row on which the fact fails most, as JSON; null where there is none.",
}
"""Column → meaning."""


def behaviour_table(behaviours: tuple[Behaviour, ...]) -> pa.Table:
    """One row per test, the example as JSON."""
    rows = [{**each.to_json(), "example": each.example and json.dumps(each.example)} for each in behaviours]
    types = {"passed": pa.bool_(), "value": pa.float64(), "limit": pa.float64(), "rows": pa.int64()}
    names = list(Behaviour.__dataclass_fields__)
    return pa.table({name: pa.array([row[name] for row in rows], types.get(name, pa.string())) for name in names})


def share_of(broken: Flags) -> float:
    return float(broken.mean()) if len(broken) else 0.0


def ratio_of(one: Floats, other: Floats) -> float:
    """Of their means; NaN, which passes no test, where the other's is not above zero."""
    return float(one.mean() / other.mean()) if other.mean() > 0 else float("nan")


def example_of(
    rows: pa.Table, keys: Sequence[str], before: Floats, after: Floats, broken: Flags
) -> dict[str, Any] | None:
    """The broken row that changed most."""
    if not broken.any():
        return None
    places = np.flatnonzero(broken)
    place = int(places[np.argmax(np.abs(after - before)[places])])
    row = {key: rows[key][place].as_py() for key in keys}
    return {
        **{key: str(value) if isinstance(value, datetime) else value for key, value in row.items()},
        "before": finite_or_none(before[place]),
        "after": finite_or_none(after[place]),
    }
