"""Publishing the running experiments to the servers: the API answers a unit by its arm, and logs which one it met."""

from collections.abc import Iterable
from datetime import date

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.routing import ROUTING, SERVED_POLICIES, write_routes
from mlguide_assets.experiment.ledger import Started
from mlguide_assets.settings import Home


def publish_routes(home: Home, problem: Problem, running: Iterable[Started], day: date) -> None:
    """Let servers follow the experiments as they stand on a day; nothing is imported where there is nothing to say.

    An experiment of which an arm follows the challenger is left out: a server answers by the champion alone, and a
    unit that got another policy than its arm's would count in the wrong arm.
    """
    bundles = home.bundles(problem.key)
    served = [each for each in running if {arm.policy for arm in each.experiment.arms} <= {*SERVED_POLICIES}]
    shares = [(each.experiment, each.share_on(day)) for each in served if each.share_on(day)]
    if not shares and not (bundles / ROUTING).exists():
        return
    from mlguide_assets.experiment.assignment import route_of

    write_routes(bundles, [route_of(experiment, share) for experiment, share in shares])
