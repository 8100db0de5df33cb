"""Exposures: when a unit first met its arm. Rows are only ever added, and the first one counts.

A unit is exposed when a policy decides for it, also where the decision is to do nothing: what an arm's policy decides
must not change who is counted in the arm. A unit that was met in two arms has a row of each, so that the analysis can
see it.
"""

from collections.abc import Collection
from datetime import date, timedelta

import ibis
import pyarrow as pa

from mlguide_assets.deploy.log.prediction_log import FAILED
from mlguide_assets.experiment.ledger import table_lock
from mlguide_assets.experiment.plans import in_time
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.tables import EXPOSURES
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.lake.lake import Lake

PLAN, API = "plan", "api"

_BUT_UNIT = pa.schema(
    [
        ("experiment", pa.string()),
        ("version", pa.int64()),
        ("arm", pa.string()),
        ("exposed_at", pa.timestamp("us")),
        ("model_version", pa.string()),
        ("origin", pa.string()),
    ]
)

COLUMNS = {
    "unit_id": "The unit.",
    "experiment": "Name of the experiment.",
    "version": "Its version.",
    "arm": "The arm that the unit met.",
    "exposed_at": "When it first met this arm, UTC.",
    "model_version": "The model version that decided then.",
    "origin": "What met the unit first: the plan or the API.",
}
"""Column → meaning."""


def exposures_schema(unit: pa.DataType) -> pa.Schema:
    """The columns of exposures.

    Args:
        unit: the type of the ids of units.
    """
    return pa.schema([("unit_id", unit), *_BUT_UNIT])


_ONCE = ["unit_id", "experiment", "version", "arm"]


def unrecorded_days(lake: Lake, started: Started, day: date, planned: Collection[str]) -> list[str]:
    """The planned days of an experiment whose exposures may not be on record: a day, and those before it since the last
    day on which a plan exposed somebody.

    Args:
        planned: days that have a plan, in ISO 8601.
    """
    recorded = exposures_of(lake, started)
    last = (
        recorded.filter(recorded.origin == PLAN).exposed_at.max().to_pyarrow().as_py() if recorded is not None else None
    )
    since = last.date() + timedelta(days=1) if last else started.start
    first, key = min(since, day).isoformat(), day.isoformat()
    return sorted(each for each in planned if first <= each <= key)


def exposed_by_plan(plans: ibis.Table, started: Started, unit: str) -> ibis.Table:
    """The units that the plans of days decide for by their arms, exposed from the start of the day on.

    A plan that was made when its day was over has decided nothing.

    Args:
        plans: rows of plans.
        unit: the column of the unit's id.
    """
    start = plans.scoring_date.cast("timestamp")
    plans = plans.filter(in_time(plans))
    return _exposed(plans, started, unit, ibis.greatest(start, plans.planned_at), PLAN)


def exposed_by_api(log: ibis.Table, started: Started, unit: str) -> ibis.Table:
    """The units to which the API recommended an action by their arms. A prediction alone recommends none, and neither
    does a request that failed. Where the challenger alone failed, the champion answered, and the unit stays in its arm
    (`arm_models.fallback_fault` says where these are many).

    Args:
        log: rows of the prediction log.
        unit: the column of the unit's id.
    """
    since = ibis.timestamp(midnight(started.start))
    answered = log.filter(
        log.experiment_version == started.experiment.version,
        log.endpoint == "recommend",
        log.answered_at >= since,
        log.variant != FAILED,
    )
    return _exposed(answered, started, unit, answered.answered_at, API)


def record_exposures(lake: Lake, *met: ibis.Table) -> int:
    """Add those exposures that are the first of their unit and arm; how many there were.

    Two that record the same at once add it once.

    Args:
        met: exposures, of any origin.
    """
    if not met:
        return 0
    id_type = met[0].unit_id.type()
    found = ibis.union(*(each.cast({"unit_id": id_type}) for each in met))
    first = found.group_by(_ONCE).agg(
        model_version=found.model_version.argmin(found.exposed_at),
        origin=found.origin.argmin(found.exposed_at),
        exposed_at=found.exposed_at.min(),
    )
    with table_lock(lake, EXPOSURES):
        if lake.exists(EXPOSURES):
            first = first.anti_join(lake.read(EXPOSURES), _ONCE)
        schema = exposures_schema(first.unit_id.type().to_pyarrow())
        rows = lake.connection.to_pyarrow(first.select(schema.names).order_by(_ONCE)).cast(schema)
        if rows.num_rows:
            lake.append(EXPOSURES, rows)
    return int(rows.num_rows)


def exposures_of(lake: Lake, started: Started) -> ibis.Table | None:
    """The exposures of an experiment, one row per unit and arm; None before the first of any experiment."""
    if not lake.exists(EXPOSURES):
        return None
    rows = lake.read(EXPOSURES)
    name, version = started.key
    return rows.filter(rows.experiment == name, rows.version == version)


def _exposed(rows: ibis.Table, started: Started, unit: str, at: ibis.Value, origin: str) -> ibis.Table:
    name, version = started.key
    rows = rows.mutate(exposed_at=at.cast("timestamp(6)"))
    return rows.filter(rows.experiment == name, rows.arm.notnull()).select(
        "experiment",
        "arm",
        "exposed_at",
        "model_version",
        unit_id=rows[unit],
        version=ibis.literal(version, "int64"),
        origin=ibis.literal(origin),
    )
