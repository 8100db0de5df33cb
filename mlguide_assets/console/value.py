"""`mlguide experiment value`: what a model or a policy would be worth, from the plans of a home."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.console.off_policy import as_json, support_table, value_table
from mlguide_assets.console.terminal import console, print_json, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.policies import Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, pointed_version
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.english import counted, duration
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.actions import actions_of, tables_of_actions
from mlguide_assets.experiment.off_policy.candidate import ModelValue, value_of_version
from mlguide_assets.experiment.off_policy.comparing import final_decisions, late_plans
from mlguide_assets.experiment.off_policy.planned import policy_value
from mlguide_assets.experiment.specification import refuse_without_choice
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


def show_value(home: Home, model: str | None, policy: Policy | None, against: Policy, json_wanted: bool) -> None:
    """Print what the plans say of a model or a policy.

    Raises:
        InputError: there is no such version, no challenger, or no plan whose outcomes are final.
    """
    home.require_used()
    problem = current_problem(home)
    refuse_without_choice(problem)
    lake = Lake(home.lake(problem.key))
    version = None if policy else _version(home, problem, model)
    if policy == against:
        raise InputError(f"--policy and --against are both {against}: compare two different policies.")
    with console.status("Reading the plans and scoring their days"):
        found = _value(home, lake, problem, version, policy, against)
    if json_wanted:
        print_json(_as_json(found, policy, against))
    else:
        _print(found, policy, against)


def _version(home: Home, problem: Problem, model: str | None) -> str:
    if model is not None:
        known = registry_of(home, problem).versions()
        if model not in known:
            raise InputError(
                f"The registry has no version {model} of {problem.key} (versions: {', '.join(known) or 'none yet'})."
            )
        return model
    challenger = pointed_version(home.bundles(problem.key), CHALLENGER)
    if challenger is None:
        raise InputError("There is no challenger: name a version with --model, or a policy with --policy.")
    return challenger


def _value(
    home: Home, lake: Lake, problem: Problem, version: str | None, policy: Policy | None, against: Policy
) -> ModelValue:
    read = all(lake.exists(name) for name in problem.action_tables)
    actions = actions_of(tables_of_actions(lake, problem), problem) if read else None
    decisions = final_decisions(lake, problem, actions) if actions is not None else None
    if decisions is None or not decisions.num_rows:
        if actions is not None and (late := late_plans(lake, problem, actions)):
            raise InputError(late)
        raise InputError(
            f"No plan has final outcomes yet: they are final {duration(problem.final_after)} after the day that was "
            "planned; 'mlguide run' plans the next one."
        )
    if policy is None:
        assert version is not None
        return value_of_version(home, lake, problem, version, decisions, against=against)
    return ModelValue("", "planned day", policy_value(decisions, policy, against), decisions)


def _as_json(found: ModelValue, policy: Policy | None, against: Policy) -> dict[str, Any]:
    said = {
        "policy": policy or "model",
        "model_version": None if policy else found.version,
        "against": against,
        "days": [*_days(found.decisions)] if found.value else None,
        "of": found.which,
    }
    if found.value is None:
        nothing = {"ratio": None, "estimates": dict.fromkeys(("ips", "snips", "dr")), "logged_value": None}
        return {**said, **nothing, "diagnostics": None, "supported": False, "reason": found.which}
    ratio = found.value.ratio
    return {
        **said,
        "ratio": None if ratio is None else {name: getattr(ratio, name) for name in ("value", "low", "high")},
        **as_json(found.value.evaluation),
        "supported": ratio is not None,
        "reason": found.value.reason,
    }


def _print(found: ModelValue, policy: Policy | None, against: Policy) -> None:
    what = f"Policy {policy}" if policy else f"Model version {found.version}"
    if found.value is None:
        screen.print(f"{what}: no value. {found.which}", style="red")
        return
    first, last = _days(found.decisions)
    evaluation = found.value.evaluation
    rows, units = evaluation.diagnostics.rows, evaluation.diagnostics.units
    screen.print(
        f"{what} against {against}, from {counted(rows, 'decision')} on {counted(units, 'unit')}, {first} to {last}."
    )
    if policy is None:
        screen.print(f"Taken: each {found.which}.")
    screen.print("Values are positive outcomes per unit and day.")
    screen.print()
    screen.print(value_table(evaluation))
    screen.print()
    screen.print(support_table(evaluation.diagnostics, with_units=True))
    screen.print()
    ratio = found.value.ratio
    if ratio is None:
        screen.print(f"Not supported: {found.value.reason}", style="red")
        return
    screen.print(f"{ratio.value:.3f} times the value of {against} ({ratio.ci('.3f', of=counted(units, 'unit'))}).")
    screen.print(f"Supported: {found.value.reason}")


def _days(decisions: pa.Table) -> tuple[str, str]:
    found = pc.min_max(decisions["scoring_date"]).as_py()
    return found["min"].isoformat(), found["max"].isoformat()
