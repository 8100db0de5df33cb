"""Which model versions decide in the arms of an experiment, and whether they are those that it began with.

The challenger's version is recorded at the start, and no other takes its place until the experiment ends. An arm of
the champion is another matter: it follows whatever is in production, and what decided there is named.
"""

from collections.abc import Mapping
from datetime import date

from mlguide_assets.define.policies import MODEL_POLICIES
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, CHAMPION, pointed_version
from mlguide_assets.deploy.gate.decision_lock import decision_lock
from mlguide_assets.english import counted
from mlguide_assets.experiment.ledger import record_models
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

MOST_FALLBACKS = 0.05
"""Of the units that met an arm by the API, the share that another version may have answered: an effect looks smaller by
that much. With more, the arm does not show its version."""

BY_PLAN = "plan"
"""Who recorded the versions of the arms, where the start did not."""


def models_of_arms(home: Home, problem: Problem, experiment: Experiment) -> dict[str, str]:
    """The versions that decide now, by the policies of the arms; a policy without one is left out."""
    bundles, policies = home.bundles(problem.key), {arm.policy for arm in experiment.arms}
    found = {role: pointed_version(bundles, role) for role in (CHAMPION, CHALLENGER) if role in policies}
    return {role: version for role, version in found.items() if version is not None}


def keep_models(home: Home, lake: Lake, problem: Problem, started: Started) -> Started:
    """Record the versions of policies that had none when the experiment started."""
    if {arm.policy for arm in started.experiment.arms} & {*MODEL_POLICIES} <= started.models.keys():
        return started
    with decision_lock(home, problem):
        return record_models(lake, started, models_of_arms(home, problem, started.experiment), who=BY_PLAN)


def versions_of_arms(
    lake: Lake, problem: Problem, started: Started, since: date | None = None
) -> dict[str, tuple[str, ...]]:
    """The versions that decided in each arm that a model decides for; before the first plan, those of the start.

    Args:
        since: the first day that is looked at; default: the start.
    """
    from mlguide_assets.experiment.plans import versions_in_plans

    planned = versions_in_plans(lake, problem, started.experiment.name, max(since or started.start, started.start))
    found: dict[str, tuple[str, ...]] = {}
    for arm in started.experiment.arms:
        if arm.policy in MODEL_POLICIES:
            first = started.models.get(arm.policy)
            found[arm.name] = planned.get(arm.name, (first,) if first else ())
    return found


def lost_version(started: Started, versions: Mapping[str, tuple[str, ...]]) -> str | None:
    """That other versions decided where the experiment keeps one, in words; None where none did.

    Args:
        versions: as of `versions_of_arms`.
    """
    for arm in started.experiment.arms:
        kept = started.kept_models.get(arm.policy)
        if others := [version for version in versions.get(arm.name, ()) if kept not in (None, version)]:
            return (
                f"Arm {arm.name!r} lost its version {kept}: plans of it were made by version {', '.join(others)}, so "
                f"what it shows is of no one version; stop it, and start a new version of the experiment"
            )
    return None


def fallback_fault(lake: Lake, started: Started) -> str | None:
    """That servers answered too many units of an arm by another version than its own; None where they did not.

    Where the challenger fails, the champion answers. Such a unit stays in the arm that it was drawn for, or the arms
    would differ in who could be answered. But an arm of which many are answered so compares the champion with itself.
    """
    from mlguide_assets.experiment.exposure import API, exposures_of

    exposures = exposures_of(lake, started)
    for arm in started.experiment.arms:
        kept = started.kept_models.get(arm.policy)
        if exposures is None or kept is None:
            continue
        met = exposures.filter(exposures.arm == arm.name, exposures.origin == API)
        counts = met.aggregate(units=met.count(), others=(met.model_version != kept).sum()).to_pyarrow().to_pylist()[0]
        if (counts["others"] or 0) > MOST_FALLBACKS * counts["units"]:
            return (
                f"{counts['others']:,} of {counted(counts['units'], 'unit')} that met arm {arm.name!r} by the API were "
                f"answered by another version than its own, {kept}, so the arm does not show that version: see what "
                f"the log of 'mlguide serve' says of the challenger, then start a new version of the experiment"
            )
    return None
