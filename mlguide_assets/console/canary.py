"""`mlguide canary status` and `stop`: the version that goes live step by step, as a home knows it."""

import json
from typing import Any

from mlguide_assets.console.terminal import print_json, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.held_challenger import experiments_that_hold
from mlguide_assets.deploy.gate.history import canaries
from mlguide_assets.deploy.gate.override import person
from mlguide_assets.english import counted, percent
from mlguide_assets.experiment.canary.day import stop_canary
from mlguide_assets.experiment.canary.ratio_words import ratio_in_words
from mlguide_assets.experiment.canary.record import GOING_ON, Progress, canary_steps, last_canary
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


def show_canary(home: Home, as_json: bool) -> None:
    """How far the newest canary is, or how it ended."""
    home.require_used()
    problem = current_problem(home)
    found = standing(Lake(home.lake(problem.key)), problem)
    if as_json:
        print_json(found)
    else:
        _print(found, home)


def stop(home: Home, reason: str, as_json: bool) -> None:
    """Stop the canary by hand, and say what serves."""
    home.require_used()
    problem = current_problem(home)
    home.ensure_writable()
    lake = Lake(home.lake(problem.key))
    stopped = stop_canary(home, lake, problem, reason=reason, by=person())
    # Once it is decided, since it takes longer to be imported.
    from mlguide_assets.retrain.decision_alerts import announce_decisions

    announce_decisions(home, problem)
    if as_json:
        print_json(standing(lake, problem))
        return
    held = experiments_that_hold(lake, stopped.version)
    whom = f"all units but those of {held.named}" if held else "all units"
    screen.print(f"The canary of version {stopped.version} is stopped. Version {stopped.champion} serves {whom}.")
    if held:
        screen.print(home.commands(f"There version {stopped.version} goes on: {held.stops} takes it from them, too."))
    screen.print(home.commands("Servers follow at once, the plan from the next day that is planned."))


def standing(lake: Lake, problem: Problem) -> dict[str, Any]:
    """The newest canary as JSON: state `running`, `ended` or `none`, the versions that wait to begin, and the
    experiments that decide by its version, whatever becomes of the canary."""
    progress = last_canary(lake)
    undecided = [row["version"] for row in canaries(lake)]
    if progress is None:
        return {"state": "none", "waiting": undecided}
    rows = [row for row in canary_steps(lake) if row["version"] == progress.version]
    runs = bool(progress.share) and progress.version in undecided
    held = experiments_that_hold(lake, progress.version)
    return {
        "state": "running" if runs else "ended",
        **_progress(progress, problem, runs),
        "looks": len(rows),
        "findings": json.loads(rows[-1]["evidence"]),
        "waiting": [version for version in undecided if version != progress.version],
        "experiments": [name for name, _ in held.experiments] if held else [],
    }


def _progress(progress: Progress, problem: Problem, runs: bool) -> dict[str, Any]:
    return {
        "version": progress.version,
        "champion": progress.champion,
        "action": progress.action,
        "reason": progress.reason,
        "share": progress.share if runs else 0.0,
        "ramp": list(problem.canary.ramp) if problem.canary else [],
        "begun": progress.begun.isoformat(),
        "looked": progress.looked.isoformat(),
    }


def _print(found: dict[str, Any], home: Home) -> None:
    if found["state"] == "none":
        screen.print("No version has gone live by canary yet: 'canary' in the problem file enables it.")
    else:
        ramp = ", ".join(percent(share) for share in found["ramp"]) or "not in the problem file any more"
        screen.print(f"Version {found['version']} against version {found['champion']}: {_state(found)}")
        screen.print(f"  since       {found['begun']}, last look {found['looked']} ({found['looks']} in all)")
        screen.print(f"  ramp        {ramp}")
        screen.print(f"  last look   {found['action']}: {found['reason']}")
        # The next look puts it on record.
        if found["state"] == "ended" and found["action"] in GOING_ON:
            screen.print(home.commands("  end         Another decision ended it: 'mlguide history' has it."))
        for each in found["findings"]:
            screen.print(f"  {each['metric']:<11} {_finding(each)}")
        for name in found["experiments"]:
            screen.print(f"  experiment  {name} goes on with version {found['version']} until it ends")
    for version in found["waiting"]:
        screen.print(f"Version {version} waits to go live by canary.")
    if found["state"] == "running":
        screen.print(home.commands("'mlguide canary stop --reason TEXT' ends it; the champion stays."))


def _state(found: dict[str, Any]) -> str:
    return f"{percent(found['share'])} of the units see it" if found["state"] == "running" else "ended"


def _finding(each: dict[str, Any]) -> str:
    counts = f"{counted(each['treatment'], 'unit')} of its own, {each['control']:,} of the champion's"
    if not each["treatment"] + each["control"]:
        return f"{counts}: nothing to compare"
    ratio = (each[f"ratio_{name}"] for name in ("value", "low", "high"))
    words = ratio_in_words(*ratio, control=each["control"], treatment=each["treatment"])
    return f"{counts}: {words} ({each['role']}, accepted up to {1 + each['margin']:g})"
