"""How trainings ended: from the gate's record to the record of ticks, and from there to the lake."""

from datetime import datetime
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.history import UNDECIDED, deciding_reason, decisions
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.retrain.ticks import FAILED, RETRAINING_DECISIONS, RUN, Tick, ticks_of
from mlguide_assets.retrain.trigger_state import landed
from mlguide_assets.settings import Home

BY_HAND = Tick("by_hand", RUN, "A person started it.")


def land_decisions(
    home: Home, lake: Lake, problem: Problem, *, run_id: str, tick: str | None, started: datetime | None = None
) -> Snapshot:
    """Note how this run's training ended, if it trained, and write every tick to the lake.

    Args:
        tick: the id of the tick that requested the run; None where a person did.
        started: when the run began, which is when a person decided on it; None where that is not known.
    """
    ticks = ticks_of(home, problem)
    if decided := _decision_of(lake, run_id):
        key = tick or ticks.note(BY_HAND, data_until=last_day(landed(lake)), now=started)
        reason = deciding_reason(decided)
        ticks.end(key, outcome=decided["verdict"], reason=reason, run_id=run_id, version=decided["version"])
    return lake.write(RETRAINING_DECISIONS, ticks.table())


def note_failure(home: Home, lake: Lake, problem: Problem, *, run_id: str, tick: str, error: str) -> None:
    """Note that a training failed; what the gate had decided before it did stands."""
    decided = _decision_of(lake, run_id)
    outcome = decided["verdict"] if decided else FAILED
    reason = f"The run failed after the decision: {error}" if decided else error
    version = decided["version"] if decided else ""
    ticks_of(home, problem).end(tick, outcome=outcome, reason=reason, run_id=run_id, version=version)


def _decision_of(lake: Lake, run_id: str) -> dict[str, Any] | None:
    """The decision on the version that a run trained; what it decided on a version that was waiting is not that."""
    last: dict[str, str] = {}
    for row in decisions(lake):
        if row["run_id"] == run_id and last.get(row["version"]) not in UNDECIDED:
            return row
        last[row["version"]] = row["verdict"]
    return None
