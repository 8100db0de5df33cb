"""Criteria that others than the gate measured on a version, such as the verdict of an experiment. Rows are only added.

What comes after deployment may not be imported here, so it writes rows, and the gate reads them.
"""

from datetime import UTC, datetime

import pyarrow as pa

from mlguide_assets.deploy.gate.criteria import Criterion
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.prepare.lake.snapshots import Snapshot

RECORDED_CRITERIA = "gate_criteria"
_NUMBERS = ("value", "low", "high", "threshold")

_SCHEMA = pa.schema(
    [
        ("recorded_at", pa.string()),
        ("version", pa.string()),
        ("criterion", pa.string()),
        *((name, pa.float64()) for name in _NUMBERS),
        ("passed", pa.bool_()),
        ("reason", pa.string()),
        ("recorded_by", pa.string()),
        ("run_id", pa.string()),
    ]
)

COLUMNS = {
    "recorded_at": "When it was recorded, UTC.",
    "version": "The registered version that it is about.",
    "criterion": "The name of the criterion; experiment is the verdict of an experiment with the version.",
    "value": "What was found; null where there is no number.",
    "low": "Lower end of the interval; null where there is none.",
    "high": "Upper end of the interval; null where there is none.",
    "threshold": "What the value was held against; null where there is none.",
    "passed": "Whether it speaks for the version.",
    "reason": "Why, in words.",
    "recorded_by": "What measured it, such as an experiment.",
    "run_id": "The Dagster run that recorded it; empty for a person.",
}
"""Column → meaning."""


def record_criterion(lake: Lake, *, version: str, criterion: Criterion, recorded_by: str, run_id: str = "") -> Snapshot:
    """Add a criterion to what is known of a registered version. The newest of a name is the one that counts.

    `criteria.EXPERIMENT` is the name that `experiment.required` of the problem file requires; all others are reported.
    The same again, as where a run was killed after it, adds nothing.

    Args:
        criterion: numbers that are not finite are recorded as missing; the reason is one sentence for people.
        recorded_by: what measured it, such as the name and version of an experiment.
        run_id: the Dagster run that did; empty for a person.
    """
    said = {"version": version, **criterion.to_json(), "recorded_by": recorded_by}
    rows = lake.read_arrow(RECORDED_CRITERIA).to_pylist() if lake.exists(RECORDED_CRITERIA) else []
    of_name = [row for row in rows if (row["version"], row["criterion"]) == (version, criterion.criterion)]
    if of_name and {name: of_name[-1][name] for name in said} == said:
        return lake.snapshot(RECORDED_CRITERIA)
    row = said | {"recorded_at": datetime.now(UTC).isoformat(timespec="seconds"), "run_id": run_id}
    return lake.append(RECORDED_CRITERIA, small_table([row], _SCHEMA))


def recorded_criteria(lake: Lake, version: str) -> tuple[Criterion, ...]:
    """What was recorded of a version: the newest of each name, in the order in which the names came up."""
    if not lake.exists(RECORDED_CRITERIA):
        return ()
    fields = Criterion.__dataclass_fields__
    rows = (row for row in lake.read_arrow(RECORDED_CRITERIA).to_pylist() if row["version"] == version)
    newest = {row["criterion"]: Criterion(**{name: row[name] for name in fields}) for row in rows}
    return tuple(newest.values())
