"""The partitions of what is made day by day: they end where the data do, whatever the date of this machine is."""

from datetime import UTC, date, datetime

import dagster as dg

from mlguide_assets.defs.workspace import SCORING_DATES, Workspace
from mlguide_assets.errors import InputError


def known_days(instance: dg.DagsterInstance, workspace: Workspace) -> list[str]:
    """The days that can be scored, the oldest first, after reporting them to Dagster.

    A day that the data no longer reach is removed, so that it cannot be requested.
    """
    from mlguide_assets.deploy.batch import days_to_score
    from mlguide_assets.retrain.trigger_state import landed

    days = [day.isoformat() for day in days_to_score(landed(workspace.lake), today=today(workspace))]
    name = str(SCORING_DATES.name)
    before = list(instance.get_dynamic_partitions(name))
    # Dagster keeps them in the order in which they were added, and the last is the latest.
    same = next((place for place, pair in enumerate(zip(before, days, strict=False)) if pair[0] != pair[1]), None)
    kept = min(len(before), len(days)) if same is None else same
    for day in before[kept:]:
        instance.delete_dynamic_partition(name, day)
    if days[kept:]:
        instance.add_dynamic_partitions(name, days[kept:])
    return days


def chosen_day(context: dg.AssetExecutionContext) -> str:
    """The day that a run is for. A launch of `lifecycle` from elsewhere than the UI, which asks for one, may have none.

    Raises:
        InputError: in our words; Dagster's are about runs without partitions.
    """
    if not context.has_partition_key:
        raise InputError("This run has no day to score for: launch it for a partition, or use 'mlguide run'.")
    return str(context.partition_key)


def newest_day(workspace: Workspace) -> date:
    """The day to score for.

    Raises:
        InputError: no event has a time.
    """
    from mlguide_assets.deploy.batch import scoring_day
    from mlguide_assets.prepare.features.building import clock_of, tables_of

    problem = workspace.problem
    return scoring_day(clock_of(tables_of(workspace.lake, problem), problem).date(), today=today(workspace))


def today(workspace: Workspace) -> date:
    """By the clock of the source."""
    from mlguide_assets.prepare.sources.simulation_clock import day_reached

    problem = workspace.problem
    return day_reached(problem, workspace.home.simulation_clock(problem.key), datetime.now(UTC))
