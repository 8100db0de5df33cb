"""Routes: which arm of a running experiment a unit is in, as a file beside the pointers to the models.

    <bundles>/routing.json     {"routes": […]}, replaced atomically; without it no experiment runs

The experiment stage publishes the file, and servers follow it: they may not import from stages to their right. A
route is nothing but ranges of draws, so that a server needs no table to answer. Ibis is not imported.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlguide_assets.define.policies import Policy
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.shared_files import read, replace
from mlguide_assets.statistics.draws import Unit, draw

ROUTING = "routing.json"


@dataclass(frozen=True)
class Range:
    """The units whose draw by a salt is at least `low` and below `high`."""

    salt: str
    low: int
    high: int

    def holds(self, unit: Unit) -> bool:
        return self.low <= draw(self.salt, unit) < self.high


@dataclass(frozen=True)
class Condition:
    """What is known of a unit must be one of some values, or lie within bounds; what is unknown meets no condition."""

    column: str
    values: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None

    def is_met(self, known: Mapping[str, Any]) -> bool:
        value = known.get(self.column)
        if value is None:
            return False
        if self.values:
            return str(value) in self.values
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


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
        conditions: of the units that may take part.
        models: by policy, the versions that are compared, where it matters which ones: no others decide for its units.
    """

    experiment: str
    version: int
    ranges: tuple[Range, ...]
    arm_salt: str
    arms: tuple[Arm, ...]
    conditions: tuple[Condition, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)

    def is_served_by(self, champion: str, challenger: str | None) -> bool:
        """Whether a server with these versions can do for each unit what its arm says."""
        loaded = {"champion": champion, "challenger": challenger}
        if challenger is None and any(arm.policy == "challenger" for arm in self.arms):
            return False
        return all(loaded.get(policy) == version for policy, version in self.models.items())

    def arm_of(self, unit: Unit) -> Arm | None:
        """The arm of a unit; None where it does not take part. Conditions are not checked."""
        if not all(each.holds(unit) for each in self.ranges):
            return None
        drawn = draw(self.arm_salt, unit)
        return next(arm for arm in self.arms if drawn < arm.end)

    def admits(self, known: Mapping[str, Any]) -> bool:
        """Whether a unit of which this is known may take part."""
        return all(condition.is_met(known) for condition in self.conditions)


@dataclass(frozen=True)
class Met:
    """The arm that a unit met."""

    experiment: str
    version: int
    arm: str
    policy: Policy


def met_by(unit: Unit, known: Mapping[str, Any], routes: Sequence[Route]) -> Met | None:
    """The arm that a unit meets; it is in one experiment at most, since those that run share no units."""
    for route in routes:
        arm = route.arm_of(unit)
        if arm is not None:
            return Met(route.experiment, route.version, arm.name, arm.policy) if route.admits(known) else None
    return None


def write_routes(bundles: Path, routes: Sequence[Route]) -> None:
    """Publish the routes; without any, a file that is there says so, and none is made."""
    # Here: the lake imports PyArrow, which a server needs not.
    from mlguide_assets.prepare.lake.failures import writing

    path = bundles / ROUTING
    if not routes and read(path) is None:
        return
    content = json.dumps({"routes": [asdict(route) for route in routes]}, indent=1).encode()
    with writing("The routes of the experiments", bundles):
        if read(path) != content:
            replace(path, content)


def read_routes(bundles: Path) -> tuple[Route, ...]:
    """The published routes.

    Raises:
        InputError: the file is damaged.
    """
    path = bundles / ROUTING
    try:
        if (content := read(path)) is None:
            return ()
        return tuple(_route(each) for each in json.loads(content)["routes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged (it does not say which units are in which arm): delete it, then 'mlguide run' writes "
            f"it again; until then no answer names an experiment."
        ) from error


def _route(stored: Mapping[str, Any]) -> Route:
    conditions = tuple(Condition(**{**each, "values": tuple(each["values"])}) for each in stored["conditions"])
    return Route(
        **{
            **stored,
            "ranges": tuple(Range(**each) for each in stored["ranges"]),
            "arms": tuple(Arm(**each) for each in stored["arms"]),
            "conditions": conditions,
        }
    )
