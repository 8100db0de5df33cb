"""What the plans say of an experiment or a canary: which versions decided in its arms, and whether in time."""

from datetime import date

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.lake.lake import Lake

WHAT_TO_DO = "A day is planned once the day before is in the data: let that arrive earlier."
"""Against plans that are made too late."""


def in_time(plan: ibis.Table) -> ibis.ir.BooleanValue:
    """Whether rows of a plan decided anything: a plan that was made when its day was over did not."""
    made: ibis.ir.BooleanValue = plan.planned_at < plan.scoring_date.cast("timestamp") + ibis.interval(days=1)
    return made


def late_plan(lake: Lake, problem: Problem, name: str, day: date | None = None) -> str | None:
    """That a plan with arms was made when its day was over, as sentences; None where it was not, or has no arms.

    Args:
        name: of the experiment or canary.
        day: default: the last that is planned.
    """
    days = _planned(lake, problem)
    key = day.isoformat() if day else max(days, default="")
    plan = _rows(lake, problem, name, [key]) if key in days else None
    late = plan.filter(~in_time(plan)).planned_at.max().to_pyarrow().as_py() if plan is not None else None
    if late is None:
        return None
    return (
        f"The plan of {key} was made at {late:%Y-%m-%d %H:%M} UTC, when its day was over: it decided nothing, so no "
        f"unit counts by it. {WHAT_TO_DO}"
    )


def versions_in_plans(lake: Lake, problem: Problem, name: str, since: date) -> dict[str, tuple[str, ...]]:
    """The model versions that plans were made by since a day, of each arm, in the order in which they came.

    Args:
        name: of the experiment or canary.
    """
    plans = _rows(lake, problem, name, [day for day in _planned(lake, problem) if day >= since.isoformat()])
    if plans is None:
        return {}
    made = plans.filter(in_time(plans)).group_by("arm", "model_version").agg(first=lambda rows: rows.scoring_date.min())
    found: dict[str, tuple[str, ...]] = {}
    for row in made.order_by("first", "model_version").to_pyarrow().to_pylist():
        found[row["arm"]] = (*found.get(row["arm"], ()), row["model_version"])
    return found


def days_in_time(lake: Lake, problem: Problem, name: str, since: date) -> frozenset[date]:
    """The days since one whose plans have arms and were made in time.

    Args:
        name: of the experiment or canary.
    """
    plans = _rows(lake, problem, name, [day for day in _planned(lake, problem) if day >= since.isoformat()])
    if plans is None:
        return frozenset()
    days = plans.filter(in_time(plans)).select("scoring_date").distinct().to_pyarrow()
    return frozenset(days["scoring_date"].to_pylist())


def _planned(lake: Lake, problem: Problem) -> list[str]:
    table = problem.decision.plan_table
    return sorted(lake.snapshot(table).partitions) if lake.exists(table) else []


def _rows(lake: Lake, problem: Problem, name: str, days: list[str]) -> ibis.Table | None:
    if not days:
        return None
    plans = lake.read(problem.decision.plan_table, partitions=days, by_name=True)
    # Plans that an earlier version made know no experiment.
    if "experiment" not in plans.columns:
        return None
    return plans.filter(plans.experiment == name, plans.arm.notnull())
