"""What an experiment's units met on days without a plan: there every arm was treated alike, whatever its policy is.

A day is left without a plan where the daily job did not run, or a simulated world went on faster than its days are
scored. An effect looks smaller by the share of such actions, and a look would say of a good policy that it is none. It
does not know of actions that a plan asked for and nobody made.
"""

from datetime import date, datetime

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.english import counted
from mlguide_assets.experiment.exposure import exposures_of
from mlguide_assets.experiment.plan_faults import reached_by_api
from mlguide_assets.experiment.plans import days_in_time
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake

MOST_UNPLANNED = 0.05
"""Of what units met within their outcome windows, the share that may fall on days without a plan."""


def unplanned_actions(
    lake: Lake, problem: Problem, started: Started, actions: ibis.Table, until: datetime
) -> str | None:
    """That too much of what the units met was on days without a plan, as a sentence without its full stop.

    None where it was not, or the API decides.

    Args:
        actions: as of `actions.actions_of`.
        until: the data's clock.
    """
    exposures = exposures_of(lake, started)
    planned = days_in_time(lake, problem, started.experiment.name, started.start)
    if exposures is None or not planned or reached_by_api(lake, started):
        return None
    met = _met_by_day(exposures, actions, problem, started, until)
    missing = {day: count for day, count in met.items() if day not in planned}
    every, left = sum(met.values()), sum(missing.values())
    if left <= MOST_UNPLANNED * every:
        return None
    return (
        f"{left:,} of {problem.decision.counted(every)} to its units were on {counted(len(missing), 'day')} without a "
        f"plan, the last on {max(missing)}, so that all arms were treated alike there and an effect would look smaller "
        f"than it is: {_remedy(problem)}"
    )


def _met_by_day(
    exposures: ibis.Table, actions: ibis.Table, problem: Problem, started: Started, until: datetime
) -> dict[date, int]:
    """Actions by day, within the outcome windows of the units that they were done to."""
    decision, window = problem.decision, started.experiment.window(problem)
    first = exposures.group_by("unit_id").agg(since=exposures.exposed_at.min())
    made = actions.select(done_to=actions[decision.unit_id], at=actions[decision.time].cast("timestamp"))
    found = first.join(made, first.unit_id == made.done_to)
    ends = found.since + ibis.interval(seconds=int(window.total_seconds()))
    within = found.filter(found["at"] >= found.since, found["at"] < ends, found["at"] < ibis.timestamp(until))
    counts = within.group_by(day=within["at"].date()).agg(actions=within.count())
    return {row["day"]: row["actions"] for row in counts.to_pyarrow().to_pylist()}


def _remedy(problem: Problem) -> str:
    if isinstance(problem.source, SimulatorSource) and problem.source.live is not None:
        return "days of this world pass faster than they are planned, so raise source.live.day_every"
    return "have each day planned before it begins, or stop the experiment"
