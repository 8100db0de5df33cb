"""Which units an experiment could change at all: those for which its two policies decide otherwise.

Where both would do the same, arms cannot differ, and such units only thin out the effect. The plan states for
every unit with which probability each policy would have done what was done, from the scores of both models. Of a unit
that met its arm by the API first, the log has what both models said of the same request: one answered, the other
scored in its shadow. So both show in both arms alike whether the policies agree, whatever was done and whatever the
outcome.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.policies import Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.prediction_log import CHALLENGER, CHAMPION, CHAMPION_SHADOW, FALLBACK, ROUTED
from mlguide_assets.deploy.plan.actions import generic_action, random_action
from mlguide_assets.experiment.exposure import API, PLAN
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.statistics.draws import Unit

TRIGGER = "decided_otherwise"

_APART = 0.5
"""Two policies that do the same differ by what they explore at most."""

_SCORED_BY = {
    CHAMPION: "champion",
    CHAMPION_SHADOW: "champion",
    FALLBACK: "champion",
    CHALLENGER: "challenger",
    ROUTED: "challenger",
}
"""Whose scores the rows of a variant hold."""


def with_trigger(
    units: ibis.Table, exposures: ibis.Table, lake: Lake, started: Started, problem: Problem
) -> ibis.Table:
    """The same units, with a column that says whether the two policies decided otherwise when they first met their arm.

    Only then counts: later decisions follow from what the arm has done.

    Args:
        units: unit_id and arm, a row each.
        exposures: of the experiment.

    Returns:
        The units as they are where the experiment does not compare exactly two policies, or no plan or log shows it.
    """
    policies = sorted({arm.policy for arm in started.experiment.arms})
    if len(policies) != 2:
        return units
    by_plan = _by_plan(exposures, lake, started, problem, policies)
    by_api = _by_api(exposures, lake, started, problem, policies)
    found = [each for each in (by_plan, by_api) if each is not None]
    if not found:
        return units
    triggered = found[0] if len(found) == 1 else ibis.union(*found)
    joined = units.left_join(triggered.distinct(), units.unit_id == triggered.triggered)
    return joined.select(*units.columns, joined.triggered.notnull().name(TRIGGER))


def _by_plan(
    exposures: ibis.Table, lake: Lake, started: Started, problem: Problem, policies: Sequence[Policy]
) -> ibis.Table | None:
    """The units that the plan of their first day has the policies decide otherwise for; None where no plan shows it."""
    plan = _since_start(lake, problem.decision.plan_table, started)
    if plan is None or "policy_propensities" not in plan.columns:
        return None
    one, other = (plan.policy_propensities[policy] for policy in policies)
    planned = plan.filter(plan.experiment == started.experiment.name).select(
        planned_for=plan[problem.decision.unit_id], day=plan.scoring_date, apart=((one - other).abs() > _APART)
    )
    first = exposures.filter(exposures.origin == PLAN).select(exposed=exposures.unit_id, first_at=exposures.exposed_at)
    met = first.inner_join(planned, [first.exposed == planned.planned_for, first.first_at.date() == planned.day])
    return met.filter(met.apart).select(triggered="exposed")


def _by_api(
    exposures: ibis.Table, lake: Lake, started: Started, problem: Problem, policies: Sequence[Policy]
) -> ibis.Table | None:
    """The units that the policies decide otherwise for by the scores of their first answer; None where none is logged.

    A unit whose request only one of the models has scored is not among them, in either arm.
    """
    log = _since_start(lake, PREDICTION_LOG, started)
    if log is None or "experiment" not in log.columns:
        return None
    first = exposures.filter(exposures.origin == API).select(exposed=exposures.unit_id, first_at=exposures.exposed_at)
    own = log.filter(log.experiment == started.experiment.name, log.endpoint == "recommend")
    decision = problem.decision
    unit, choose = decision.unit_id, str(decision.choose_id)
    answers = first.inner_join(own, [first.exposed == own[unit], first.first_at == own.answered_at])
    requests = answers.select("exposed", request="request_id").distinct()
    scored = log.filter(log.variant.isin(list(_SCORED_BY)), log[choose].notnull())
    both = requests.inner_join(scored, [requests.request == scored.request_id, requests.exposed == scored[unit]])
    rows = both.select(
        "exposed", "variant", "probability", "decision", choice=both[choose], day=both[decision.time].date()
    )
    found: defaultdict[Unit, list[dict[str, Any]]] = defaultdict(list)
    for row in lake.connection.to_pyarrow(rows).to_pylist():
        found[row["exposed"]].append(row)
    apart = [each for each, said in found.items() if _is_apart(each, said, policies, problem)]
    ids = exposures.unit_id.type().to_pyarrow()
    return ibis.memtable(pa.table({"triggered": pa.array(sorted(apart, key=str), ids)}))


def _is_apart(unit: Unit, said: Sequence[dict[str, Any]], policies: Sequence[Policy], problem: Problem) -> bool:
    one, other = (_decided(unit, said, policy, problem) for policy in policies)
    return one is not None and other is not None and one != other


def _decided(unit: Unit, said: Sequence[dict[str, Any]], policy: Policy, problem: Problem) -> Unit | None:
    """What a policy does with a unit: the candidate that it gets, or the word for none; None where it is not logged.

    As the API answers: see `serving.answering`.
    """
    salt, withheld = problem.exploration.salt, problem.decision.above
    if policy in ("generic", "random"):
        choices, day = sorted({row["choice"] for row in said}), said[0]["day"]
        chosen: Unit = generic_action(choices, salt=salt, day=day)
        if policy == "random":
            chosen = random_action(choices, unit, salt=salt, day=day)
        return chosen
    own = [row for row in said if _SCORED_BY[row["variant"]] == policy]
    if not own:
        return None
    best: dict[str, Any] = max(own, key=lambda row: (-row["probability"], row["choice"]))
    chosen = withheld if best["decision"] == withheld else best["choice"]
    return chosen


def _since_start(lake: Lake, table: str, started: Started) -> ibis.Table | None:
    known = lake.snapshot(table).partitions if lake.exists(table) else ()
    days = [day for day in known if day >= started.start.isoformat()]
    return lake.read(table, partitions=days, by_name=True) if days else None
