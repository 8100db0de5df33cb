"""What a home's plans and experiments say of its policies, as far as the record lacks it."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.policies import Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, pointed_version
from mlguide_assets.deploy.registry.registry import LostVersionError
from mlguide_assets.experiment.actions import Tables, actions_of
from mlguide_assets.experiment.ledger import experiments, table_lock
from mlguide_assets.experiment.ledger import results as looks
from mlguide_assets.experiment.off_policy.candidate import value_of_version
from mlguide_assets.experiment.off_policy.planned import planned_decisions
from mlguide_assets.experiment.off_policy.record import (
    OFFLINE_AND_ONLINE,
    Result,
    estimates,
    is_estimate_due,
    is_model_due,
    model_estimate,
    record,
    recorded,
    results,
)
from mlguide_assets.experiment.outcomes import OUTCOME
from mlguide_assets.experiment.plans import WHAT_TO_DO, in_time
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.missing import nan_if_none

_log = logging.getLogger(__name__)

PLANNED_DAYS = 28
"""Days of plans, the latest whose outcomes are final, that an estimate is made from."""

PAIRS: tuple[tuple[Policy, Policy], ...] = (("champion", "generic"), ("random", "generic"), ("challenger", "champion"))
"""Compared in every home, beside the arms of its experiments."""


@dataclass(frozen=True)
class Compared:
    """What was added to the record.

    Attributes:
        version: of the record; another one where rows were added.
        supported: how many of the estimates the plans support.
        late: why there can be none, where all plans were made too late.
    """

    version: str
    estimates: int
    supported: int
    results: int
    late: str | None = None


def compare_policies(
    lake: Lake, problem: Problem, *, tables: Tables, run_id: str, home: Home | None = None
) -> Compared:
    """Add the estimates that are due and the results that are not on record.

    Args:
        tables: accepted, by their names in the problem file.
        home: where there may be a challenger that decides nothing yet: it is valued by what it would do.
    """
    now, challenger = datetime.now(UTC), _challenger(home, problem)
    actions = actions_of(tables, problem)
    with table_lock(lake, OFFLINE_AND_ONLINE):
        known, started = recorded(lake), experiments(lake)
        last = _last_final_day(lake, problem, actions)
        due = last is not None and is_estimate_due(known, last)
        new = challenger if last is not None and challenger and is_model_due(known, challenger, last) else None
        decisions = final_decisions(lake, problem, actions) if due or new else None
        arms = [pair for each in started for pair in _arms(each.experiment).values()]
        made = estimates(decisions, [*PAIRS, *arms], now=now, run_id=run_id) if decisions is not None and due else []
        if decisions is not None and decisions.num_rows and home is not None and new:
            made += _of_model(home, lake, problem, new, decisions, now, run_id)
        found = results([*known, *made], _results(lake, started), now=now, run_id=run_id)
        if made or found:
            record(lake, [*made, *found])
        version = lake.snapshot(OFFLINE_AND_ONLINE).id if lake.exists(OFFLINE_AND_ONLINE) else "nothing"
    empty = decisions is not None and not decisions.num_rows
    late = late_plans(lake, problem, actions) if empty else None
    return Compared(version, len(made), sum(row["supported"] for row in made), len(found), late)


def _challenger(home: Home | None, problem: Problem) -> str | None:
    return pointed_version(home.bundles(problem.key), CHALLENGER) if home else None


def _of_model(
    home: Home, lake: Lake, problem: Problem, version: str, decisions: pa.Table, now: datetime, run_id: str
) -> list[dict[str, Any]]:
    try:
        found = value_of_version(home, lake, problem, version, decisions)
        last = max(decisions["scoring_date"].to_pylist())
        return [model_estimate(found, last_day=last, now=now, run_id=run_id)]
    except LostVersionError as error:
        _log.warning("Version %s cannot be valued: %s", version, error)
        return []


def _last_final_day(lake: Lake, problem: Problem, actions: ibis.Table) -> date | None:
    """The newest planned day whose outcomes are final."""
    days = _final_days(lake, problem, data_clock(actions, problem.decision.time))
    return date.fromisoformat(days[-1]) if days else None


def _final_days(lake: Lake, problem: Problem, until: datetime | None) -> list[str]:
    table = problem.decision.plan_table
    if until is None or not lake.exists(table):
        return []
    last = (until - problem.final_after - timedelta(days=1)).date().isoformat()
    return sorted(day for day in lake.snapshot(table).partitions if day <= last)[-PLANNED_DAYS:]


def final_decisions(lake: Lake, problem: Problem, actions: ibis.Table) -> pa.Table | None:
    """The newest planned decisions whose outcomes are final, see `planned_decisions`; None where there are none.

    Args:
        actions: as of `actions.actions_of`.
    """
    until = data_clock(actions, problem.decision.time)
    days = _final_days(lake, problem, until)
    if until is None or not days:
        return None
    plans = lake.read(problem.decision.plan_table, partitions=days)
    # Plans of earlier versions do not say what other policies would have done.
    if "policy_propensities" not in plans.columns:
        return None
    return planned_decisions(plans.filter(plans.policy_propensities.notnull()), actions, problem, until=until)


def late_plans(lake: Lake, problem: Problem, actions: ibis.Table) -> str | None:
    """That the plans whose outcomes are final were all made when their days were over, in sentences; None where some
    were in time, or there are none."""
    days = _final_days(lake, problem, data_clock(actions, problem.decision.time))
    plans = lake.read(problem.decision.plan_table, partitions=days, by_name=True) if days else None
    if plans is None or (~in_time(plans)).all().to_pyarrow().as_py() is not True:
        return None
    return (
        f"The plans from {days[0]} to {days[-1]} were all made when their days were over: they decided nothing, so no "
        f"policy can be valued by them. {WHAT_TO_DO}"
    )


def _results(lake: Lake, started: Iterable[Started]) -> Iterator[Result]:
    """What the last look at each experiment found of the outcome, for each arm but the control."""
    for each in started:
        arms = _arms(each.experiment)
        for row in looks(lake, each) if each.experiment.primary.metric == OUTCOME else ():
            primary = [found for found in json.loads(row["evidence"])["results"] if found["role"] == "primary"]
            for found in primary if row["is_final"] else ():
                policy, against = arms[found["variant"]]
                ratio = Estimate(**{name: nan_if_none(found["ratio"][name]) for name in ("value", "low", "high")})
                name, version = each.key
                yield Result(name, version, row["look"], row["verdict"], policy, against, each.start, ratio)


def _arms(experiment: Experiment) -> dict[str, tuple[Policy, Policy]]:
    """The policy of each arm but the control, and that of the control."""
    policies = {arm.name: arm.policy for arm in experiment.arms}
    control = policies.pop(experiment.control)
    return {name: (policy, control) for name, policy in policies.items()}
