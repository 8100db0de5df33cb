"""What a person switched off stays off when the home's only problem gets a neighbour.

Its code location is called by its name from then on, and Dagster takes the sensors and schedules in it for new ones:
they would be on again, and what ended meanwhile would be told to nobody.
"""

from typing import TYPE_CHECKING

from mlguide_assets.console.code_server import ALONE
from mlguide_assets.define.loading import name_in_home, readable_problems
from mlguide_assets.defs.tags import PROBLEM_TAG
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import dagster as dg

_REPOSITORY_TAG = ".dagster/repository"
"""Dagster's, of every run that its daemon or its UI has started."""


def follow_locations(home: Home, instance: "dg.DagsterInstance") -> None:
    """Give what is known of sensors and schedules, cursors too, to the code location that has them now.

    Before anything of Dagster runs. What a crash leaves undone, the next call does.
    """
    names = {key: name_in_home(problem, home) for key, problem in readable_problems(home).items()}
    name = names.get(_last_alone(instance))
    if name is None:
        return
    for state in instance.all_instigator_state():
        repository = state.origin.repository_origin
        if repository.code_location_origin.location_name != ALONE:
            continue
        moved = repository.code_location_origin._replace(location_name=name)  # type: ignore[attr-defined]  # all have it
        origin = repository._replace(code_location_origin=moved).get_instigator_origin(state.instigator_name)
        new = state._replace(origin=origin)
        if instance.get_instigator_state(new.instigator_origin_id, new.selector_id) is None:
            instance.add_instigator_state(new)
        instance.delete_instigator_state(state.instigator_origin_id, state.selector_id)


def _last_alone(instance: "dg.DagsterInstance") -> str:
    """The key of the problem that was the only one, by its last run; empty where there is none."""
    import dagster as dg

    started = dg.RunsFilter(tags={_REPOSITORY_TAG: f"__repository__@{ALONE}"})
    return next((run.tags.get(PROBLEM_TAG, "") for run in instance.get_runs(started, limit=1)), "")
