"""How many units of a running experiment have met their arm, and how many of them wait for their outcome."""

from datetime import datetime

from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.actions import actions_of, members_of, tables_of_actions
from mlguide_assets.experiment.exposure import exposures_of
from mlguide_assets.experiment.outcomes import unit_outcomes
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.unplanned import unplanned_actions
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.lake.lake import Lake


def unplanned(lake: Lake, problem: Problem, started: Started) -> list[str]:
    """That too much of what its units met was on days without a plan, as a sentence; empty where it was not."""
    actions = actions_of(tables_of_actions(lake, problem), problem)
    until = data_clock(actions, problem.decision.time)
    fault = unplanned_actions(lake, problem, started, actions, until) if until else None
    return [f"{fault}."] if fault else []


def exposed_and_waiting(lake: Lake, problem: Problem, started: Started) -> tuple[dict[str, int], dict[str, int]]:
    """Exposed units of each arm, and those of them whose outcome is not known yet; both are empty before the first.

    Units wait until all that counts of them is final, and as long as a label in their window is empty.
    """
    exposures = exposures_of(lake, started)
    if exposures is None:
        return {}, {}
    tables = tables_of_actions(lake, problem)
    actions, members = actions_of(tables, problem), members_of(tables, problem)
    until = data_clock(actions, problem.decision.time) or datetime.min
    units = unit_outcomes(exposures, actions, members, started.experiment, problem, until=until)
    counts = units.group_by("arm").agg(units=units.count(), waiting=(~units.closed).sum()).order_by("arm")
    rows = counts.to_pyarrow().to_pylist()
    return {row["arm"]: row["units"] for row in rows}, {row["arm"]: row["waiting"] for row in rows}
