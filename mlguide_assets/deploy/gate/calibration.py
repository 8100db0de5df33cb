"""How large a calibration error the gate allows."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.statistics.intervals import Estimate


def largest_error(by_chance: Estimate, problem: Problem) -> float:
    """`gate.max_calibration_error`, or what chance alone explains where that is more.

    Args:
        by_chance: what perfectly calibrated probabilities show on the same rows: `calibration_error_under`.
    """
    return max(problem.gate.max_calibration_error, by_chance.high)
