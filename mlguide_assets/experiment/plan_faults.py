"""What is wrong with the plans of an experiment that runs: made too late, or by other versions than it began with;
and what is wrong with the answers of the API that took their place."""

from collections.abc import Iterator
from datetime import date

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, CHAMPION
from mlguide_assets.deploy.history import rightful_champion, withdrawal
from mlguide_assets.experiment.arm_models import fallback_fault, lost_version, versions_of_arms
from mlguide_assets.experiment.exposure import API, exposures_of
from mlguide_assets.experiment.plans import late_plan
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake


def plan_faults(lake: Lake, problem: Problem, started: Started, since: date | None = None) -> Iterator[str]:
    """The faults of the plans so far, in sentences.

    Args:
        since: the first day whose versions are looked at; default: the start.
    """
    late = late_plan(lake, problem, started.experiment.name)
    if late and not _reached_by_api(lake, started):
        yield late
    kept = started.kept_models.get(CHALLENGER)
    if kept is None:
        return
    if lost := lost_version(started, versions_of_arms(lake, problem, started, since)):
        yield f"{lost}."
    if fallbacks := fallback_fault(lake, started):
        yield f"{fallbacks}."
    champion = rightful_champion(lake)
    if champion and champion["version"] == kept and any(arm.policy == CHAMPION for arm in started.experiment.arms):
        yield f"Version {kept} of the challenger's arm became champion, so two arms do the same: stop it."
    elif left := withdrawal(lake, kept):
        yield f"Version {kept} of the challenger's arm was withdrawn {left} and goes on there: stop it if it harms."


def _reached_by_api(lake: Lake, started: Started) -> bool:
    """Whether units meet their arms by the API, whatever the plans say."""
    exposures = exposures_of(lake, started)
    return exposures is not None and bool((exposures.origin == API).any().to_pyarrow().as_py())
