"""A day's plan in the lake: which policy chooses, and until when the plan may be made again.

A plan is evidence: learning from it needs the propensities of its choices. So a plan that was made in time
is fixed from the start of its day on, even when the day is scored again. One that was made too late to have chosen
anything, of a day scored afterwards, may be replaced; training matches nothing with it.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeAlias

import ibis

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.plan.action_plan import plan_actions
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices_on
from mlguide_assets.deploy.plan.policies import assigned_units, needs_challenger
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.hosts.host_lock import locked_on_all_hosts
from mlguide_assets.prepare.lake.data_files import TableLike
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot

WHAT = "The plan"
Scored: TypeAlias = "Callable[[], TableLike | None]"


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
        challenger: scores the same rows with the challenger, if there is one; called only if some unit follows it.

    Raises:
        InputError: an experiment's assignment cannot be right.
    """
    with _plan_lock(lake):
        decision, key = problem.decision, day.isoformat()
        standing = _standing(lake, decision, day, now)
        if standing is not None:
            return Planned(lake.snapshot(decision.plan_table), standing)
        if not decision.choose:
            actions = plan_actions(predictions, planned_at=now, run_id=run_id)
            return Planned(lake.write_partition(decision.plan_table, key, actions), None)
        with _choosing(lake, problem, day, challenger) as choosing:
            plan = plan_choices_on(lake.engine, predictions, choosing, day=day, planned_at=now, run_id=run_id)
            return Planned(lake.write_partition(decision.plan_table, key, plan), None)


@contextlib.contextmanager
def _choosing(lake: Lake, problem: Problem, day: date, challenger: Scored) -> Iterator[Choosing]:
    """Who chooses on a day; what the challenger says lives until the context ends."""
    assigned = assigned_units(lake, day)
    said = challenger() if needs_challenger(problem.policies, assigned) else None
    if said is None:
        yield Choosing(problem.decision, problem.exploration, problem.policies, assigned)
        return
    with lake.scratch(WHAT) as folder:
        scores = lake.engine.stored(said, folder / "challenger.parquet")
        yield Choosing(problem.decision, problem.exploration, problem.policies, assigned, scores)


def _standing(lake: Lake, decision: Decision, day: date, now: datetime) -> str | None:
    """In words, the plan that may not be replaced, if there is one."""
    start, plan = midnight(day), decision.plan_table
    if now < start or not lake.exists(plan) or day.isoformat() not in lake.snapshot(plan).partitions:
        return None
    first = lake.first_rows(lake.snapshot(plan), 1, day.isoformat()).to_pylist()
    if not first or first[0]["planned_at"] >= start + timedelta(days=1):
        return None
    made = first[0]
    return (
        f"The plan that model version {made['model_version']} made at {made['planned_at']:%Y-%m-%d %H:%M} stands: "
        f"{day} has begun, and it may have been followed."
    )


@contextlib.contextmanager
def _plan_lock(lake: Lake) -> Iterator[None]:
    """Two runs take turns: the second sees that the first one's plan stands."""
    with contextlib.ExitStack() as turn:
        with writing(WHAT, lake.root):
            turn.enter_context(locked_on_all_hosts(lake.root / ".planning.lock", f"plans of {lake.root.name}"))
        yield
