"""Schedules by the clock of the source: the wall's, or in a simulated world whose days pass, that world's own.

Dagster's schedules know the wall only. A world that goes faster has a sensor instead: it ticks once for the days that
have landed since it ticked last, if the schedule would have.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.defs.new_data import SCORES_COME_FIRST, scores_come_first
from mlguide_assets.defs.run_requests import LOOK_EVERY, Answer, newest_run, under_way
from mlguide_assets.defs.workspace import PROBLEM, Workspace
from mlguide_assets.instants import midnight, zoned_now

Decide = Callable[[dg.DagsterInstance, Workspace], Answer]

REST = 2
"""After a scheduled training in a simulated world, so many times its duration pass before the next one begins: a
training lasts for days of such a world, which would else be read and scored only in passing."""

PATIENCE = timedelta(minutes=5)
"""For so long a training that may begin waits for the source to be read and the day to be scored."""


def ticks_with_the_source(job: Any, cron: str) -> Callable[[Decide], dg.ScheduleDefinition | dg.SensorDefinition]:
    """Make a schedule of a function that decides, or a sensor of the same name where the source has its own clock."""
    source = PROBLEM.source
    lives = isinstance(source, SimulatorSource) and source.live is not None
    return lambda decide: _sensor(job, cron, decide) if lives else _schedule(job, cron, decide)


def _schedule(job: Any, cron: str, decide: Decide) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=decide.__name__,
        description=decide.__doc__,
        job=job,
        cron_schedule=cron,
        execution_timezone=PROBLEM.retraining.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def tick(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> Answer:
        return decide(context.instance, workspace)

    return tick


def _sensor(job: Any, cron: str, decide: Decide) -> dg.SensorDefinition:
    @dg.sensor(
        name=decide.__name__,
        description=f"{decide.__doc__} Follows the simulated world's clock: {cron}.",
        job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=LOOK_EVERY,
    )
    def tick(context: dg.SensorEvaluationContext, workspace: Workspace) -> Answer:
        from mlguide_assets.prepare.clock import last_day
        from mlguide_assets.retrain.trigger_state import landed

        newest = last_day(landed(workspace.lake))
        if newest is None:
            return dg.SkipReason("Nothing was read yet.")
        reached = midnight(newest) + timedelta(days=1)
        if context.cursor is None:
            context.update_cursor(reached.isoformat())
            return dg.SkipReason(f"The world has reached {reached:%Y-%m-%d}; ticks begin here.")
        if not ticked(cron, PROBLEM.retraining.timezone, datetime.fromisoformat(context.cursor), reached):
            return dg.SkipReason(f"No tick of {cron!r} until {reached:%Y-%m-%d}.")
        if waits := _waits(context.instance, str(job.name)):
            return dg.SkipReason(waits)
        if scores_come_first(context.instance, workspace, zoned_now()):
            return SCORES_COME_FIRST
        context.update_cursor(reached.isoformat())
        return decide(context.instance, workspace)

    return tick


def ticked(cron: str, timezone: str, after: datetime, until: datetime) -> bool:
    """Whether a schedule ticks at or after one instant and before another, both UTC without a zone."""
    start, end = (each.replace(tzinfo=UTC) for each in (after, until))
    format = "%Y-%m-%dT%H:%M%z"
    times = dg.TimeWindowPartitionsDefinition(cron_schedule=cron, start=start, timezone=timezone, fmt=format)
    window = times.get_next_partition_window(start, respect_bounds=False)
    return window is not None and window.start < end


def _waits(instance: dg.DagsterInstance, job: str) -> str | None:
    """Why the job is not requested now, if it is not."""
    from mlguide_assets.prepare.sources.simulation_clock import WORLD_TIME_VARIABLE

    if under_way(instance, job):
        return "A run of the job is under way; the tick waits for its end."
    if WORLD_TIME_VARIABLE in os.environ:
        # Days pass only on request: none is read in passing.
        return None
    last = newest_run(instance, job)
    if last is None or last.start_time is None or last.end_time is None:
        return None
    rested = datetime.fromtimestamp(last.end_time + REST * (last.end_time - last.start_time), UTC)
    if zoned_now() >= rested:
        # What is being read would be scored only after the training. In a world that is always being read it has to.
        reads = zoned_now() < rested + PATIENCE and under_way(instance, "refresh_job")
        return "The source is being read; the day is scored first." if reads else None
    took = f"{last.end_time - last.start_time:.0f} s"
    return f"The last run took {took}; the next begins after {rested:%H:%M:%S} UTC, so that days are read meanwhile."
