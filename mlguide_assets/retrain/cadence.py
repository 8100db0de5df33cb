"""How often sensors look. It imports nothing heavy, since every load of the code location asks."""

from datetime import timedelta

from mlguide_assets.define.problem import Problem, SimulatorSource


def look_every(problem: Problem) -> int:
    """Seconds between two looks of a sensor: half a minute, less where a simulated world's days are as short."""
    live = problem.source.live if isinstance(problem.source, SimulatorSource) else None
    usual = timedelta(seconds=30)
    return max(1, int(min(usual, live.day_every / 5 if live else usual).total_seconds()))
