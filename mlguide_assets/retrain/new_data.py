"""What is due when time passes: a reading of the source, and the scores for the day that has begun."""

from datetime import UTC, datetime
from pathlib import Path

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.deploy.batch import days_to_score
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.sources.simulation_clock import day_reached, visible
from mlguide_assets.retrain.trigger_state import landed
from mlguide_assets.settings import Home

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reading_due(problem: Problem, clock: Path, now: datetime) -> str | None:
    """The name of the reading that should have been made by now, another one whenever another is due.

    Of a simulated world it is the day until which it is seen; None where its clock does not run, since then nothing
    new can come. Else it is the last instant at which `refresh_every`, counted from midnight UTC, was over.

    Args:
        clock: the file of the world's clock (`Home.simulation_clock`).
        now: with a time zone.
    """
    if isinstance(problem.source, AnySimulator):
        seen = visible(problem, clock, now)
        return f"{seen.until:%Y-%m-%d}" if seen else None
    every = problem.retraining.refresh_every
    return f"{_EPOCH + ((now - _EPOCH) // every) * every:%Y-%m-%dT%H:%MZ}"


def scores_due(home: Home, lake: Lake, problem: Problem, now: datetime) -> tuple[str, str] | None:
    """The day to score for, and the name of its scores: others where the tables, or the champion, are others.

    None before the first reading, and without a champion.
    """
    champion = pointed_version(home.bundles(problem.key))
    days = landed(lake)
    if champion is None or not days:
        return None
    today = day_reached(problem, home.simulation_clock(problem.key), now)
    day = days_to_score(days, today=today)[-1].isoformat()
    event = str(problem.schema.table_of(problem.deciding_event))
    return day, f"{day}-{lake.snapshot(event).id}-{champion}"
