"""Routes: which arm of a running experiment a unit is in, as a file beside the pointers to the models.

    <bundles>/routing.json     {"routes": […]}, replaced atomically; without it no experiment runs

The experiment stage publishes the file, and servers follow it: they may not import from stages to their right. A
route is nothing but ranges of draws; where not every unit is eligible, the online store says which are
(`ELIGIBLE`), as the plan decided it. Ibis is not imported.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlguide_assets.define.policies import Policy
from mlguide_assets.errors import InputError, not_permitted
from mlguide_assets.prepare.hosts.shared_files import change, read
from mlguide_assets.statistics.draws import Unit, draw

ROUTING = "routing.json"

CANARY_PREFIX = "canary-"
"""What the routes of canaries are called; no experiment of a file has such a name."""

ELIGIBLE = "_eligible"
"""The table of the online store that says which units may take part; no entity can have this name."""


def eligibility_column(experiment: str, version: int) -> str:
    """The column of `ELIGIBLE` that says of each unit whether it may take part in an experiment.

    >>> eligibility_column("fewer_losses", 2)
    'fewer_losses_2'
    """
    return f"{experiment}_{version}"


@dataclass(frozen=True)
class Range:
    """The units whose draw by a salt is at least `low` and below `high`."""

    salt: str
    low: int
    high: int

    def holds(self, unit: Unit) -> bool:
        return self.low <= draw(self.salt, unit) < self.high


@dataclass(frozen=True)
class Arm:
    """One arm: units whose draw is below `end`, and not in an arm before."""

    name: str
    policy: Policy
    end: int


@dataclass(frozen=True)
class Route:
    """Where the units of one experiment go.

    Attributes:
        ranges: a unit takes part where all hold it.
        arms: in growing order of their ends.
        by_eligibility: whether only those units may take part of which the online store says so.
        models: by policy, the versions that are compared, where it matters which ones: no others decide for its units.
    """

    experiment: str
    version: int
    ranges: tuple[Range, ...]
    arm_salt: str
    arms: tuple[Arm, ...]
    by_eligibility: bool = False
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_canary(self) -> bool:
        return self.experiment.startswith(CANARY_PREFIX)

    def is_served_by(self, champion: str, challenger: str | None) -> bool:
        """Whether a server with these versions can do for each unit what its arm says."""
        loaded = {"champion": champion, "challenger": challenger}
        if challenger is None and any(arm.policy == "challenger" for arm in self.arms):
            return False
        return all(loaded.get(policy) == version for policy, version in self.models.items())

    def arm_of(self, unit: Unit) -> Arm | None:
        """The arm of a unit; None where it does not take part. Eligibility is not checked."""
        if not all(each.holds(unit) for each in self.ranges):
            return None
        drawn = draw(self.arm_salt, unit)
        return next(arm for arm in self.arms if drawn < arm.end)

    def admits(self, eligible: Mapping[str, Any]) -> bool:
        """Whether a unit may take part, by its row of `ELIGIBLE`; an empty one admits to no experiment that chooses."""
        return not self.by_eligibility or bool(eligible.get(self.eligibility_column))

    @property
    def eligibility_column(self) -> str:
        """See `eligibility_column`."""
        return eligibility_column(self.experiment, self.version)


@dataclass(frozen=True)
class Met:
    """The arm that a unit met."""

    experiment: str
    version: int
    arm: str
    policy: Policy


def met_by(unit: Unit, eligible: Mapping[str, Any], routes: Sequence[Route]) -> Met | None:
    """The arm that a unit meets; it is in one experiment at most, since those that run share no units.

    Args:
        eligible: its row of `ELIGIBLE`.
    """
    for route in routes:
        arm = route.arm_of(unit)
        # Whom an experiment does not admit may be in the canary, which comes last.
        if arm is not None and route.admits(eligible):
            return Met(route.experiment, route.version, arm.name, arm.policy)
    return None


def write_routes(bundles: Path, routes: Sequence[Route]) -> None:
    """Publish the routes; without any, a file that is there says so, and none is made."""
    change_routes(bundles, lambda _: routes)


def change_routes(bundles: Path, changed: Callable[[Sequence[Route]], Sequence[Route]]) -> None:
    """Publish what follows from the routes that are published, which nobody else changes meanwhile.

    Servers ignore a damaged file, and it is rewritten.

    Args:
        changed: called again where another process came first.
    """
    # Here: the lake imports PyArrow, which a server needs not.
    from mlguide_assets.prepare.hosts.file_lock import locked
    from mlguide_assets.prepare.lake.failures import writing

    path = bundles / ROUTING

    def content(stored: bytes | None) -> bytes:
        routes = changed(_readable(stored))
        return json.dumps({"routes": [asdict(route) for route in routes]}, indent=1).encode()

    def differs(stored: bytes | None) -> bool:
        return content(stored) != stored if stored is not None else bool(changed(()))

    if not differs(read(path)):
        return
    with writing("The routes of the experiments", bundles), locked(bundles / ".routing.lock"):
        change(path, content)


def published_canary(bundles: Path) -> Route | None:
    """The canary that servers follow; None where they follow none, or the file is damaged."""
    return next((route for route in _readable(read(bundles / ROUTING)) if route.is_canary), None)


def published_experiments(bundles: Path) -> set[str]:
    """The names of the experiments that servers follow; none where the file is damaged."""
    return {route.experiment for route in without_canary(_readable(read(bundles / ROUTING)))}


def without_canary(routes: Sequence[Route]) -> Sequence[Route]:
    """The routes of experiments alone."""
    return [route for route in routes if not route.is_canary]


def read_routes(bundles: Path) -> tuple[Route, ...]:
    """The published routes.

    Raises:
        InputError: the file is damaged.
    """
    path = bundles / ROUTING
    try:
        return _parsed(read(path))
    except PermissionError as error:
        raise not_permitted(error) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged (it does not say which units are in which arm): delete it, then 'mlguide run' writes "
            f"it again; until then no answer names an experiment."
        ) from error


def _parsed(stored: bytes | None) -> tuple[Route, ...]:
    return () if stored is None else tuple(_route(each) for each in json.loads(stored)["routes"])


def _readable(stored: bytes | None) -> tuple[Route, ...]:
    try:
        return _parsed(stored)
    except (ValueError, KeyError, TypeError):
        return ()


def _route(stored: Mapping[str, Any]) -> Route:
    # An earlier version wrote the conditions themselves.
    by_eligibility = bool(stored["conditions"]) if "conditions" in stored else stored["by_eligibility"]
    return Route(
        **{
            **{key: value for key, value in stored.items() if key != "conditions"},
            "ranges": tuple(Range(**each) for each in stored["ranges"]),
            "arms": tuple(Arm(**each) for each in stored["arms"]),
            "by_eligibility": by_eligibility,
        }
    )
