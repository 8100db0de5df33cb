"""How trainings ended: from the gate's record to the record of ticks, and from there to the lake."""

from datetime import datetime
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.history import PROMOTED, decisions
from mlguide_assets.observe.alerting import dropped, unexpected
from mlguide_assets.observe.alerts import Alert
from mlguide_assets.observe.performance_verdict import VERDICTS
from mlguide_assets.prepare.lake import Lake, Snapshot
from mlguide_assets.retrain.situation import landed, rows_of
from mlguide_assets.retrain.ticks import FAILED, RETRAINING_DECISIONS, ROLL_BACK, RUN, Tick, TickLog, ticks_of
from mlguide_assets.settings import Home

BY_HAND = Tick("by_hand", RUN, "A person started it.")


def land_decisions(home: Home, lake: Lake, problem: Problem, *, run_id: str, tick: str | None) -> Snapshot:
    """Note how this run's training ended, if it trained, and write every tick to the lake.

    Args:
        tick: the id of the tick that asked for the run; None where a person did.
    """
    ticks = ticks_of(home, problem)
    if decided := _decision_of(lake, run_id):
        key = tick or ticks.note(BY_HAND, data_until=max(landed(lake), default=None))
        reason = " ".join(decided["reasons"][:1])
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
    return next((row for row in reversed(decisions(lake)) if row["run_id"] == run_id), None)


def incidents(home: Home, lake: Lake, problem: Problem) -> dict[str, Alert | None]:
    """What is amiss with the champion, by the key of the incident; None where nothing is."""
    version, metric = pointed_version(home.bundles(problem.key)), problem.metric.primary
    verdicts = rows_of(lake, VERDICTS, version)
    gaps = rows_of(lake, "performance_gap", version, metric=metric, window_days=problem.watching.window_days)
    found = {"performance-drop": dropped(verdicts), "performance-gap": unexpected(gaps)}
    return {**found, "rollback": rolled_back(ticks_of(home, problem))}


def rolled_back(ticks: TickLog) -> Alert | None:
    """A champion was rolled back by itself, and none was trained since; None otherwise."""
    told = [tick for tick in ticks.ticks() if tick["decision"] == ROLL_BACK or tick["outcome"] == PROMOTED]
    if not told or told[-1]["decision"] != ROLL_BACK:
        return None
    last = told[-1]
    return Alert(
        key="rollback",
        kind="performance",
        level="act",
        title=f"The champion was rolled back to version {last['version']}",
        happened=last["reason"],
        since=datetime.fromisoformat(last["at"]),
        severity=f"Version {last['version']} serves again; what it replaced never comes back by itself.",
        next_step="'mlguide history' tells how it came; asset champion_watch has the numbers.",
        facts=last["evidence"],
    )
