"""The challenger that a running experiment decides by: it keeps its place until the experiment ends.

Experiments stand to the right of this stage, so that nothing of theirs may be imported here: their record is read as
rows.
"""

import json
from dataclasses import dataclass
from typing import Final

from mlguide_assets.prepare.lake.lake import Lake

EXPERIMENTS = "experiments"
"""The record of experiments: rows with an `event`; those of `MODELS_FIXED` hold versions by policy, as JSON."""

CANARY_STEPS = "canary_steps"
"""The record of canaries: every look at a `version` that goes live step by step."""

STARTED: Final = "started"
MODELS_FIXED: Final = "models"
ENDED: Final = ("stopped", "finished")


@dataclass(frozen=True)
class Held:
    """A version that keeps the challenger's place, and the experiments that it keeps it for: name and version of each.

    >>> held = Held("3", (("colours", 1), ("offers", 2)))
    >>> held.sentence
    'Version 3 stays challenger until the end of experiments colours, version 1, and offers, version 2.'
    >>> held.stops
    "'mlguide experiment stop colours --reason TEXT' and 'mlguide experiment stop offers --reason TEXT'"
    """

    version: str
    experiments: tuple[tuple[str, int], ...]

    @property
    def named(self) -> str:
        titles = ", and ".join(f"{name}, version {version}" for name, version in self.experiments)
        return f"experiment{'s' if len(self.experiments) > 1 else ''} {titles}"

    @property
    def sentence(self) -> str:
        return f"Version {self.version} stays challenger until the end of {self.named}."

    @property
    def stops(self) -> str:
        """The commands that end them."""
        return " and ".join(f"'mlguide experiment stop {name} --reason TEXT'" for name, _ in self.experiments)


def held_challenger(lake: Lake) -> Held | None:
    """The challenger that running experiments decide by; None where none does.

    All have the same: while one holds its version, the others begin with that one.
    """
    found: dict[str, dict[tuple[str, int], None]] = {}
    rows = lake.read_arrow(EXPERIMENTS).to_pylist() if lake.exists(EXPERIMENTS) else []
    ended = {(row["experiment"], row["version"]) for row in rows if row["event"] in ENDED}
    for row in rows:
        key = row["experiment"], row["version"]
        if row["event"] != MODELS_FIXED or key in ended:
            continue
        if version := json.loads(row["content"]).get("challenger"):
            found.setdefault(version, {})[key] = None
    return next((Held(version, tuple(keys)) for version, keys in found.items()), None)


def experiments_that_hold(lake: Lake, version: str) -> Held | None:
    """The running experiments that decide by a version, whatever became of it otherwise; None where none does."""
    held = held_challenger(lake)
    return held if held is not None and held.version == version else None
