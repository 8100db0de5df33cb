"""How trainings ended: from the gate's record to the record of ticks, and from there to the lake."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Costs
from mlguide_assets.deploy.bundle import metadata_of_version, pointed_version
from mlguide_assets.deploy.history import PROMOTED, UNDECIDED, decisions
from mlguide_assets.experiment.canary_alert import canary_alert
from mlguide_assets.experiment.plan_alert import plan_alert
from mlguide_assets.observe.alerting import drop_alert, gap_alert
from mlguide_assets.observe.alerts.alert import (
    CANARY_ABORT,
    DATA_OLD,
    EXPERIMENT_PLANS,
    OUTCOMES_MISSING,
    PERFORMANCE_DROP,
    PERFORMANCE_GAP,
    ROLLBACK,
    ROWS_LOST,
    Alert,
)
from mlguide_assets.observe.cost_effect import last_window, window_cost
from mlguide_assets.observe.landed import landed_rows
from mlguide_assets.observe.lost_rows import lost_rows_alert
from mlguide_assets.observe.missing_outcomes import missing_outcomes_alert
from mlguide_assets.observe.old_data import old_data_alert
from mlguide_assets.observe.performance_verdict import VERDICTS
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.retrain.ticks import FAILED, RETRAINING_DECISIONS, ROLL_BACK, RUN, Tick, TickLog, ticks_of
from mlguide_assets.retrain.trigger_state import landed, rows_of
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import model_name

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
    """The decision on the version that a run trained; what it decided on a version that was waiting is not that."""
    last: dict[str, str] = {}
    for row in decisions(lake):
        if row["run_id"] == run_id and last.get(row["version"]) not in UNDECIDED:
            return row
        last[row["version"]] = row["verdict"]
    return None


def incidents(home: Home, lake: Lake, problem: Problem, *, today: date) -> dict[str, Alert | None]:
    """The alerts about the champion, its rows and outcomes, by the key of the incident; None where there is none.

    Args:
        today: by the clock of the wall, UTC.
    """
    bundles, metric = home.bundles(problem.key), problem.metric.primary
    version = pointed_version(bundles)
    verdicts = rows_of(lake, VERDICTS, version)
    found = rows_of(lake, "performance_gap", version)
    length = max((row["window_days"] for row in found), default=0)
    windows = [row for row in found if row["window_days"] == length]
    gaps = [row for row in windows if row["metric"] == metric]
    facts = metadata_of_version(bundles, version) if version else {}
    trained_cost = facts.get("evaluation", {}).get(f"{model_name(facts)}_cost_per_1000")
    against_training, against_estimate = cost_effects(windows, trained_cost, problem.costs)
    days = landed_rows(lake)
    return {
        PERFORMANCE_DROP: drop_alert(verdicts, cost_effect=against_training),
        PERFORMANCE_GAP: gap_alert(gaps, cost_effect=against_estimate),
        ROLLBACK: rollback_alert(ticks_of(home, problem)),
        CANARY_ABORT: canary_alert(lake),
        EXPERIMENT_PLANS: plan_alert(lake, problem),
        OUTCOMES_MISSING: missing_outcomes_alert(days, problem),
        DATA_OLD: old_data_alert(days, problem, today=today),
        ROWS_LOST: lost_rows_alert(lake, problem),
    }


def cost_effects(
    windows: Sequence[Mapping[str, Any]], at_training: float | None, costs: Costs
) -> tuple[float | None, float | None]:
    """What 1,000 decisions of the newest window cost more than at training, and than the champion's probabilities say.

    Args:
        windows: rows of `performance_gap` of one version and length of window, all metrics.
        at_training: cost per 1,000 on the champion's test window; None where it was not recorded.
    """
    realised, estimated = last_window(windows, "realised"), last_window(windows, "estimated")
    if realised is None or estimated is None:
        return None, None
    cost = window_cost(realised, costs)
    return None if at_training is None else cost - at_training, cost - window_cost(estimated, costs)


def rollback_alert(ticks: TickLog) -> Alert | None:
    """A champion was rolled back automatically, and none was promoted since; None otherwise."""
    relevant = [tick for tick in ticks.ticks() if tick["decision"] == ROLL_BACK or tick["outcome"] == PROMOTED]
    if not relevant or relevant[-1]["decision"] != ROLL_BACK:
        return None
    last = relevant[-1]
    return Alert(
        key=ROLLBACK,
        kind="performance",
        level="act",
        title=f"The champion was rolled back to version {last['version']}",
        happened=last["reason"],
        since=datetime.fromisoformat(last["at"]),
        severity=f"Version {last['version']} serves again; what it replaced never comes back automatically.",
        next_step="'mlguide history' shows how it came; asset champion_watch has the numbers.",
        facts=last["evidence"],
    )
