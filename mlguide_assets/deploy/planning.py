"""A day's send plan in the lake: who is asked to choose, and until when the plan may be made again.

A plan is evidence: whoever learns from its sends needs the propensities with which they were made. So a plan that was
made in time stands from the start of its day on, whoever scores the day again. One that was made too late to have
chosen any send, of a day scored afterwards, may be replaced; training matches no send with it.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import SEND_PLAN
from mlguide_assets.deploy.policies import assigned_units, needs_challenger
from mlguide_assets.deploy.send_plan import Choosing, plan_sends
from mlguide_assets.prepare.engine import read_parquet
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.prepare.locking import locked

WHAT = "The send plan"
Scored = Callable[[], pa.RecordBatchReader | None]


@dataclass(frozen=True)
class Planned:
    """The snapshot that holds a day's plan, and why it is an earlier plan, if it is."""

    snapshot: Snapshot
    kept: str | None


def plan_day(
    lake: Lake,
    predictions: ibis.Table,
    problem: Problem,
    *,
    day: date,
    now: datetime,
    run_id: str,
    challenger: Scored = lambda: None,
) -> Planned:
    """Plan a day from its predictions, unless a plan stands for it.

    Args:
        now: by the problem's clock, UTC.
        challenger: scores the same users and emails with the challenger, if there is one; asked only if some user
            follows it.

    Raises:
        InputError: an experiment's assignment cannot be right.
    """
    with _planning(lake):
        standing = _standing(lake, day, now)
        if standing is not None:
            return Planned(lake.snapshot(SEND_PLAN), standing)
        with _choosing(lake, problem, day, challenger) as choosing:
            plan = plan_sends(predictions, choosing, day=day, planned_at=now, run_id=run_id)
            return Planned(lake.write_partition(SEND_PLAN, day.isoformat(), plan), None)


@contextlib.contextmanager
def _choosing(lake: Lake, problem: Problem, day: date, challenger: Scored) -> Iterator[Choosing]:
    """Who chooses on a day; what the challenger says lives until the context ends."""
    assigned = assigned_units(lake, day)
    said = challenger() if needs_challenger(problem.policies, assigned) else None
    if said is None:
        yield Choosing(problem.exploration, problem.policies, assigned)
        return
    with lake.scratch(WHAT) as folder:
        path = folder / "challenger.parquet"
        with pq.ParquetWriter(path, said.schema) as file:
            for batch in said:
                file.write_batch(batch)
        yield Choosing(problem.exploration, problem.policies, assigned, read_parquet(lake.connection, path))


def _standing(lake: Lake, day: date, now: datetime) -> str | None:
    """In words, the plan that may not be replaced, if there is one."""
    start = datetime.combine(day, time())
    if now < start or not lake.exists(SEND_PLAN) or day.isoformat() not in lake.snapshot(SEND_PLAN).partitions:
        return None
    first = lake.read(SEND_PLAN, partitions=[day.isoformat()]).limit(1).to_pyarrow().to_pylist()
    if not first or first[0]["planned_at"] >= start + timedelta(days=1):
        return None
    made = first[0]
    return (
        f"The plan that model version {made['model_version']} made at {made['planned_at']:%Y-%m-%d %H:%M} stands: "
        f"{day} has begun, and sends may have been made by it."
    )


@contextlib.contextmanager
def _planning(lake: Lake) -> Iterator[None]:
    """Two runs take turns: the second sees that the first one's plan stands."""
    with writing(WHAT, lake.root):
        turn = locked(lake.root / ".planning.lock")
    with turn:
        yield
