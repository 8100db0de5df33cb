"""What a live world follows: the home's own send plans, of the days before which they were made.

A plan that was made later chose nothing: its day went by as the company drew it. A plan that was made in time stands
once its day is seen (`deploy/plan/planning.py` sees to it), so another reading of the home finds the same world.
"""

from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.simulator.plans import NO_PLANS, WITHHOLD, DayPlan, Plans


def followed_plans(problem: Problem, lake: Lake, *, until: datetime | None) -> Plans:
    """The plans that the problem's world follows as far as it is seen; none where it follows none.

    Args:
        until: how far the world is seen, UTC without a zone.
    """
    source = problem.source
    follows = source.live.follows_plan if isinstance(source, SimulatorSource) and source.live else False
    table = problem.decision.plan_table
    if not follows or until is None or not lake.exists(table):
        return NO_PLANS
    only_experiments = follows == "experiments"
    begun = [day for day in map(date.fromisoformat, lake.snapshot(table).partitions) if midnight(day) < until]
    files = {day: lake.files(table, partitions=[day.isoformat()])[0] for day in begun}
    plans = {day: _followed(day, path, only_experiments=only_experiments) for day, path in files.items()}
    return Plans({day: plan for day, plan in plans.items() if plan is not None})


# A process that plays many days reads each plan once: a file of the lake never changes.
@lru_cache(maxsize=400)
def _followed(day: date, path: Path, *, only_experiments: bool) -> DayPlan | None:
    """The rows of a day's plan that are followed; None where there are none, or the day had begun when it was made."""
    file = pq.ParquetFile(path)
    rows = file.read(["user_id", "email_id", "decision", "planned_at", *(["experiment"] if only_experiments else [])])
    if only_experiments:
        rows = rows.filter(pc.is_valid(rows["experiment"]))
    if not rows.num_rows or pc.max(rows["planned_at"]).as_py() >= midnight(day):
        return None
    emails = pc.if_else(pc.equal(rows["decision"], "send"), rows["email_id"], WITHHOLD)
    return DayPlan.of(day, rows["user_id"].to_numpy(), emails.to_numpy())
