"""Publishing the running experiments to the servers: the API answers a unit by its arm, and logs which one it met."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.routing import ROUTING, Route, change_routes, published_experiments, without_canary
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.tables import EXPERIMENTS
from mlguide_assets.prepare.hosts.shared_files import mark
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.experiment.started import Started


def publish_routes(home: Home, problem: Problem, running: Iterable["Started"], day: date) -> None:
    """Let servers follow the experiments as they stand on a day; nothing is imported where there is nothing to say.

    The route of a canary stays as it is: `publish_canary` is for that.
    """
    bundles = home.bundles(problem.key)
    present = [each for each in running if each.share_on(day)]
    if not present and mark(bundles / ROUTING) is None:
        return
    from mlguide_assets.experiment.assignment import route_of

    routes = [route_of(each.experiment, each.share_on(day), each.kept_models) for each in present]
    change_routes(bundles, lambda published: [*routes, *(route for route in published if route.is_canary)])


def ended_on_servers(home: Home, problem: Problem, running: Iterable["Started"]) -> set[str]:
    """The names of the experiments that servers follow and that have ended: a kill came before they were told."""
    return published_experiments(home.bundles(problem.key)) - {each.experiment.name for each in running}


def publish_canary(home: Home, problem: Problem, canary: Route | None) -> None:
    """Let servers follow a canary, or none. It comes last: a unit of an experiment is in no canary."""
    own = [canary] if canary else []
    change_routes(home.bundles(problem.key), lambda published: [*without_canary(published), *own])


def eligibility_to_publish(lake: Lake, problem: Problem) -> "ibis.Table | None":
    """What the online store says of who may take part, see `eligibility.of_experiments`; None where everybody may.

    Nothing is imported where no experiment was ever started.
    """
    if not problem.chooses or (problem.experiment.file is None and not lake.exists(EXPERIMENTS)):
        return None
    from mlguide_assets.experiment.eligibility import of_experiments
    from mlguide_assets.experiment.ledger import running
    from mlguide_assets.experiment.starting import check_named

    present = [each.experiment for each in running(lake)]
    # The one that the problem file names may start while this day is planned; planning reports what is wrong with it.
    with suppress(InputError):
        named = check_named(lake, problem)
        present += [named[0]] if named else []
    return of_experiments(present, lake, problem)
