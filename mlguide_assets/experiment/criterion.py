"""The verdict of an experiment as a criterion of the gate: a row, since the gate imports nothing from here."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.criteria import EXPERIMENT, Criterion
from mlguide_assets.deploy.gate.gate import Verdict
from mlguide_assets.deploy.gate.history import WAITING, DecidedMeanwhileError, decisions
from mlguide_assets.deploy.gate.promotion import decide_again, install_challenger, install_promoted
from mlguide_assets.deploy.gate.recorded_criteria import record_criterion, recorded_criteria
from mlguide_assets.experiment.arm_effects import primary_effects
from mlguide_assets.experiment.arm_models import lost_version, versions_of_arms
from mlguide_assets.experiment.exposure import exposures_of
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.statistics.comparison import NO_EFFECT

_MODELS = ("challenger", "champion")


def record_verdict(lake: Lake, problem: Problem, started: Started, row: Mapping[str, Any]) -> str | None:
    """Record what an experiment found of the model version that it tested; the version, or None where it tested none.

    Args:
        row: of `experiment_results`, a final one.
    """
    arm, version = tested_arm(started, row), tested_version(lake, problem, started, row)
    if version is None:
        return None
    shipped = row["variant"] or "the control"
    effect: dict[str, Any] = next((each for each in primary_effects(row) if each["arm"] == arm), {})
    criterion = Criterion(
        criterion=EXPERIMENT,
        value=effect.get("ratio"),
        low=effect.get("ratio_low"),
        high=effect.get("ratio_high"),
        threshold=NO_EFFECT,
        # Another arm may be the one to ship, of a policy that is no model.
        passed=row["verdict"] == "ship" and row["variant"] == arm,
        reason=f"{started.experiment.title}, look {row['look']}: {row['verdict']} ({shipped}). {row['reason']}",
    )
    record_criterion(
        lake, version=version, criterion=criterion, recorded_by=started.experiment.title, run_id=row["run_id"]
    )
    return version


def tested_arm(started: Started, row: Mapping[str, Any]) -> str | None:
    """The arm to ship, if a model decides there; else the challenger's, else the champion's; None without one."""
    experiment = started.experiment
    treated = [arm for arm in experiment.arms if arm.name != experiment.control and arm.policy in _MODELS]
    treated.sort(key=lambda arm: (arm.name != row["variant"], _MODELS.index(arm.policy)))
    return treated[0].name if treated else None


def tested_version(lake: Lake, problem: Problem, started: Started, row: Mapping[str, Any]) -> str | None:
    """The model version that made all plans of the tested arm; None where several did, or no model decides in one."""
    arm = tested_arm(started, row)
    if arm is None or exposures_of(lake, started) is None:
        return None
    made = versions_of_arms(lake, problem, started)
    versions = made[arm]
    return versions[0] if len(versions) == 1 and not lost_version(started, made) else None


def decide_on_waiting(home: Home, lake: Lake, problem: Problem, *, run_id: str) -> list[Verdict]:
    """Put versions that wait for an experiment before the gate again, once it has a verdict; the verdicts of the gate.

    Each verdict of an experiment is used once, also where the version goes on to wait, for a person.
    """
    last = {row["version"]: row for row in decisions(lake)}
    due = [version for version, row in last.items() if row["verdict"] == WAITING and _has_news(lake, row)]
    found = []
    for version in due:
        # A person may promote it meanwhile.
        with suppress(DecidedMeanwhileError):
            found.append(decide_again(home, lake, problem, version, run_id=run_id).verdict)
    if due:
        install_promoted(home, lake, problem)
        install_challenger(home, lake, problem)
    return found


def _has_news(lake: Lake, row: Mapping[str, Any]) -> bool:
    """Whether something was recorded of a version that its decision does not know yet, whenever that was.

    By what the decision names, and no clock: it may have been set back, and both may have been in one second.
    """
    known = [(each["criterion"], each["reason"]) for each in json.loads(row["criteria"])]
    return not all(
        # What decides nothing is named with that remark behind it.
        any(name == found.criterion and reason.startswith(found.reason) for name, reason in known)
        for found in recorded_criteria(lake, row["version"])
    )
