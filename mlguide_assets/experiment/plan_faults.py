"""What is wrong with the plans of an experiment that runs: made too late, by other versions than it began with, or by
one that was withdrawn since; and what is wrong with the answers of the API that took their place."""

from collections.abc import Iterator
from datetime import date
from typing import Literal

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, CHAMPION
from mlguide_assets.deploy.gate.history import rightful_champion, withdrawal
from mlguide_assets.experiment.arm_models import fallback_fault, lost_version, versions_of_arms
from mlguide_assets.experiment.exposure import API, exposures_of
from mlguide_assets.experiment.plans import late_plan
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake

Cause = Literal["late", "versions", "withdrawn"]


def plan_faults(lake: Lake, problem: Problem, started: Started) -> Iterator[str]:
    """The faults of the plans so far, in sentences."""
    return (fault for _, fault in faults_by_cause(lake, problem, started))


def faults_by_cause(
    lake: Lake, problem: Problem, started: Started, since: date | None = None
) -> Iterator[tuple[Cause, str]]:
    """The faults of the plans so far: cause and sentence of each.

    Args:
        since: the first day whose versions are looked at; default: the start.
    """
    late = late_plan(lake, problem, started.experiment.name)
    if late and not reached_by_api(lake, started):
        yield "late", late
    kept = started.kept_models.get(CHALLENGER)
    if kept is None:
        return
    if lost := lost_version(started, versions_of_arms(lake, problem, started, since)):
        yield "versions", f"{lost}."
    if fallbacks := fallback_fault(lake, started):
        yield "versions", f"{fallbacks}."
    champion = rightful_champion(lake)
    if champion and champion["version"] == kept and any(arm.policy == CHAMPION for arm in started.experiment.arms):
        both = f"Version {kept} of the challenger's arm became champion, so two arms do the same: stop it."
        yield "versions", both
    elif left := withdrawal(lake, kept):
        goes_on = f"Version {kept} of the challenger's arm was withdrawn {left} and goes on there: stop it if it harms."
        yield "withdrawn", goes_on


def reached_by_api(lake: Lake, started: Started) -> bool:
    """Whether units meet their arms by the API, whatever the plans say."""
    exposures = exposures_of(lake, started)
    return exposures is not None and bool((exposures.origin == API).any().to_pyarrow().as_py())
