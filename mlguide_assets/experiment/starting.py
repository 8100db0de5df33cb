"""Starting an experiment in a home: by hand, or by itself where the problem file names one."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.deploy.bundle import CHALLENGER, pointed_version
from mlguide_assets.deploy.gate.decision_lock import decision_lock
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.arm_models import models_of_arms
from mlguide_assets.experiment.ledger import record_models, recorded, refuse_start, refuse_used_version, start_of
from mlguide_assets.experiment.ledger import start as record_start
from mlguide_assets.experiment.specification import Experiment, load_experiment
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    from mlguide_assets.experiment.sizing import Population

BY_PROBLEM = "problem file"
"""Who started an experiment, in the record, where the problem file did."""


def start_from_file(
    home: Home, lake: Lake, problem: Problem, name_or_file: str, *, who: str, reason: str = ""
) -> Started:
    """Start the experiment of a file, on the day after the last that is planned, or on its own later `start`.

    Raises:
        InputError: the file is not valid, its units cannot be compared here, or the record refuses it.
    """
    experiment, content = load_experiment(name_or_file, problem)
    planned = last_planned(lake, problem)
    if planned is None:
        raise InputError("No day was planned here yet, so no unit can be assigned: run 'mlguide run' first.")
    first_day = planned + timedelta(days=1)
    return start(home, lake, problem, experiment, content, first_day=first_day, who=who, reason=reason)


def start(
    home: Home,
    lake: Lake,
    problem: Problem,
    experiment: Experiment,
    content: str,
    *,
    first_day: date,
    who: str,
    reason: str = "",
) -> Started:
    """Start an experiment on a day; see `ledger.start`.

    Raises:
        InputError: as there; or an arm follows a model that there is not, or the data are too short.
    """
    from mlguide_assets.experiment.sizing import size_of

    # Before anything is measured.
    _refuse(home, lake, problem, experiment)
    start_of(experiment, first_day)
    sizing = size_of(experiment, problem, population(lake, problem, experiment))
    # A training that decides meanwhile waits: its candidate finds the place of the challenger taken.
    with decision_lock(home, problem):
        begun = record_start(
            lake,
            experiment,
            content,
            first_day=first_day,
            planned_units=sizing.planned_units,
            who=who,
            reason=reason,
        )
        return record_models(lake, begun, models_of_arms(home, problem, experiment), who=who)


def why_not(home: Home, lake: Lake, problem: Problem, experiment: Experiment) -> str | None:
    """Why an experiment cannot be started now, whatever its days; None where it can."""
    try:
        _refuse(home, lake, problem, experiment)
    except InputError as error:
        return str(error)
    return None


def population(lake: Lake, problem: Problem, experiment: Experiment) -> "Population":
    """Who could take part in an experiment, from the tables of a home.

    Raises:
        InputError: nothing was read yet, or as `population_of`.
    """
    from mlguide_assets.experiment.actions import actions_of, members_of, tables_of_actions
    from mlguide_assets.experiment.sizing import population_of
    from mlguide_assets.prepare.clock import data_clock

    tables = tables_of_actions(lake, problem)
    actions, members = actions_of(tables, problem), members_of(tables, problem)
    until = data_clock(actions, problem.decision.time) or datetime.min
    return population_of(experiment, problem, actions=actions, members=members, until=until)


def check_named(lake: Lake, problem: Problem) -> tuple[Experiment, str] | None:
    """The experiment that the problem file names and that is still to start, with its text; None where there is none.

    Raises:
        InputError: the file is missing or not valid, or has changed since it was started.
    """
    if problem.experiment.file is None:
        return None
    experiment, content = load_experiment(problem.experiment.file, problem)
    known = recorded(lake)
    before = next((each for each in known if each.key == experiment.key), None)
    if before is None:
        return experiment, content
    if before.fingerprint != experiment.fingerprint:
        refuse_used_version(experiment, known)
    return None


def check_days(lake: Lake, problem: Problem, experiment: Experiment) -> None:
    """Refuse an experiment that could not start on the next day to be planned, unless it was started before.

    Raises:
        InputError: its start is over, or its end comes too early.
    """
    planned = last_planned(lake, problem)
    if planned is not None and not any(each.key == experiment.key for each in recorded(lake)):
        start_of(experiment, planned + timedelta(days=1))


def start_named(home: Home, lake: Lake, problem: Problem, day: date) -> Started | None:
    """Start the experiment that the problem file names, on a day that is about to be planned.

    It starts once, when there is a champion, and only where days go on: a world that stands still has no outcomes.
    A day that is scored afterwards starts nothing.

    Raises:
        InputError: as `check_named` and `start`.
    """
    if not days_go_on(problem) or pointed_version(home.bundles(problem.key)) is None:
        return None
    if day < (last_planned(lake, problem) or day):
        return None
    named = check_named(lake, problem)
    if named is None:
        return None
    experiment, content = named
    return start(home, lake, problem, experiment, content, first_day=day, who=BY_PROBLEM, reason=problem.hypothesis)


def last_planned(lake: Lake, problem: Problem) -> date | None:
    """The last day that was planned; None before the first."""
    plan = problem.decision.plan_table
    days = lake.snapshot(plan).partitions if lake.exists(plan) else ()
    return max(map(date.fromisoformat, days), default=None)


def days_go_on(problem: Problem) -> bool:
    """Whether there will be days after those that are known: not in a simulated world that is read whole."""
    return not isinstance(problem.source, AnySimulator) or problem.source.live is not None


def _refuse(home: Home, lake: Lake, problem: Problem, experiment: Experiment) -> None:
    refuse_start(experiment, lake)
    _refuse_missing_models(home, problem, {arm.policy for arm in experiment.arms})


def _refuse_missing_models(home: Home, problem: Problem, policies: Collection[str]) -> None:
    bundles = home.bundles(problem.key)
    if "champion" in policies and pointed_version(bundles) is None:
        raise InputError("An arm follows the champion, and there is none yet: 'mlguide run' trains a model.")
    if "challenger" in policies and pointed_version(bundles, CHALLENGER) is None:
        raise InputError(
            "An arm follows the challenger, and there is none: it would do what the champion does. A version that "
            "passed the gate and waits, or that did not beat the champion, becomes challenger."
        )
