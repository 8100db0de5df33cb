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

STARTED: Final = "started"
MODELS_FIXED: Final = "models"
ENDED: Final = ("stopped", "finished")


@dataclass(frozen=True)
class Held:
    """A version that keeps the challenger's place, and the experiment that it keeps it for."""

    version: str
    experiment: str

    @property
    def sentence(self) -> str:
        return f"Version {self.version} stays challenger until the end of experiment {self.experiment}."


def held_challenger(lake: Lake) -> Held | None:
    """The challenger that running experiments decide by; None where none does.

    All have the same: while one holds its version, the others begin with that one.
    """
    rows = lake.read_arrow(EXPERIMENTS).to_pylist() if lake.exists(EXPERIMENTS) else []
    ended = {(row["experiment"], row["version"]) for row in rows if row["event"] in ENDED}
    for row in rows:
        key = row["experiment"], row["version"]
        if (
            row["event"] == MODELS_FIXED
            and key not in ended
            and (version := json.loads(row["content"]).get("challenger"))
        ):
            return Held(version, f"{key[0]}, version {key[1]}")
    return None
