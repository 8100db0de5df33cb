"""The record of canaries: every look at a version that goes live step by step, with its evidence. Rows are only added.

How far a canary is follows from its newest row. It imports neither Ibis nor SciPy, so that a home without a canary
pays for a file that is not there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlguide_assets.deploy.gate.history import canaries
from mlguide_assets.deploy.routing import CANARY_PREFIX, Arm, Route
from mlguide_assets.experiment.salts import CANARY_SALT
from mlguide_assets.experiment.tables import CANARY_STEPS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.draws import SIZE

if TYPE_CHECKING:
    from mlguide_assets.experiment.canary.evaluation import Action, Evaluation

BY = "canary"
"""Who decided, in the record of decisions."""

CONTROL, TREATMENT = "champion", "canary"
"""Its arms."""

GOING_ON = ("start", "hold", "pause", "advance")
"""What a look does to a canary that goes on after it."""

_SCHEMA = pa.schema(
    [
        ("recorded_at", pa.string()),
        ("day", pa.string()),
        ("version", pa.string()),
        ("champion", pa.string()),
        ("experiment", pa.string()),
        ("action", pa.string()),
        ("step", pa.int64()),
        ("share", pa.float64()),
        ("reason", pa.string()),
        ("evidence", pa.string()),
        ("run_id", pa.string()),
    ]
)

COLUMNS = {
    "recorded_at": "When it was looked at, UTC, by the wall's clock.",
    "day": "How far the data reached then.",
    "version": "The version that goes live step by step.",
    "champion": "The version that it is held against.",
    "experiment": "What the plan and the prediction log call it.",
    "action": "start, hold, pause (by a signal), advance, abort (significantly harmful), promote, give_up, or stop (by "
    "a person).",
    "step": "Of the ramp, from 0.",
    "share": "Of the units that see it from then on; 0 where it has ended.",
    "reason": "Why, in words.",
    "evidence": "Of every guardrail and signal the units counted, the ratio to the champion, and what is accepted; "
    "JSON.",
    "run_id": "The Dagster run that looked.",
}
"""Column → meaning."""


@dataclass(frozen=True)
class Progress:
    """How far the canary of a version is.

    Attributes:
        champion: the version that it is held against.
        step, share: as of the last look; the share is 0 once it has ended.
        begun, step_begun, looked: days of the data: its first, its step's first, and the last look's.
        logged_since: the first day (UTC, by the wall's clock) on which servers may have answered by it.
        shares: of the units, those that have seen it, in turn.
        findings: of the last look, as `Finding.to_json` gives them, guardrails first.
    """

    version: str
    champion: str
    action: "Action"
    step: int
    share: float
    reason: str
    begun: date
    step_begun: date
    looked: date
    logged_since: date
    shares: tuple[float, ...]
    findings: tuple[Mapping[str, Any], ...] = ()

    @property
    def deciding(self) -> Mapping[str, Any] | None:
        """The guardrail that is beyond what is accepted, else the first; None where the last look counted nothing."""
        beyond = (each for each in self.findings if each["role"] == "guardrail" and each["beyond"])
        return next(beyond, None) or next(iter(self.findings), None)

    @property
    def experiment(self) -> str:
        return name_of(self.version)

    @property
    def route_versions(self) -> tuple[int, ...]:
        """Of the route at each of the shares. Earlier versions of this project called all of them 1."""
        return tuple(range(2, 2 + len(self.shares)))

    @property
    def route(self) -> Route | None:
        """Which units a server answers by it; None once it has ended.

        The salt is the version's own, and the range of the canary keeps its start: a larger share moves no unit.
        The version of the route counts the shares, so that each answer in the log says which of them it was given at.
        """
        if not self.share:
            return None
        arms = (Arm(TREATMENT, "challenger", round(self.share * SIZE)), Arm(CONTROL, "champion", SIZE))
        models = {"champion": self.champion, "challenger": self.version}
        return Route(self.experiment, self.route_versions[-1], (), f"{CANARY_SALT}{self.version}", arms, models=models)


def name_of(version: str) -> str:
    """What the plan and the logs call the canary of a version."""
    return f"{CANARY_PREFIX}{version}"


def canary_steps(lake: Lake) -> list[dict[str, Any]]:
    """Every look at every canary, the oldest first."""
    rows: list[dict[str, Any]] = lake.read_arrow(CANARY_STEPS).to_pylist() if lake.exists(CANARY_STEPS) else []
    return rows


def progress_of(lake: Lake, version: str) -> Progress | None:
    """How far the canary of a version is; None before it begins."""
    return _progress([row for row in canary_steps(lake) if row["version"] == version])


def running_canary(lake: Lake) -> Progress | None:
    """The canary that some units see now, if there is one; none once another version became champion."""
    found = last_canary(lake)
    if found is None or not found.share:
        return None
    return found if any(row["version"] == found.version for row in canaries(lake)) else None


def last_canary(lake: Lake) -> Progress | None:
    """How far the newest canary is, or how it ended; None before the first."""
    rows = canary_steps(lake)
    return _progress([row for row in rows if row["version"] == rows[-1]["version"]]) if rows else None


def add_step(lake: Lake, found: "Evaluation", *, version: str, champion: str, day: date, run_id: str) -> Progress:
    """Put a look on record."""
    row = {
        "recorded_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "day": day.isoformat(),
        "version": version,
        "champion": champion,
        "experiment": name_of(version),
        "action": found.action,
        "step": found.step,
        "share": found.share,
        "reason": found.reason,
        "evidence": json.dumps([each.to_json() for each in found.findings]),
        "run_id": run_id,
    }
    lake.append(CANARY_STEPS, small_table([row], _SCHEMA))
    added = progress_of(lake, version)
    assert added is not None
    return added


def _progress(rows: list[dict[str, Any]]) -> Progress | None:
    if not rows:
        return None
    last = rows[-1]
    at_step = next(row for row in rows if row["step"] == last["step"])
    changes = zip([None, *rows], rows, strict=False)
    shares = tuple(row["share"] for before, row in changes if before is None or before["share"] != row["share"])
    return Progress(
        version=last["version"],
        champion=last["champion"],
        action=last["action"],
        step=last["step"],
        share=last["share"],
        reason=last["reason"],
        begun=date.fromisoformat(rows[0]["day"]),
        step_begun=date.fromisoformat(at_step["day"]),
        looked=date.fromisoformat(last["day"]),
        # Not the first look's: the clock may have been set back since.
        logged_since=min(datetime.fromisoformat(row["recorded_at"]).date() for row in rows),
        shares=shares,
        findings=tuple(json.loads(last["evidence"])),
    )
