"""What a policy would be worth, from the plans of a home and what came of them.

A decision is a row of a plan: what is done with a unit on a day, doing nothing included. Its reward is 1 where an
action that the plan chose had the positive outcome, else 0; so the value of a policy is the positive outcomes per unit
and day. When a unit is due for an action is not the plan's to choose: where none was made, the reward is 0 whatever
the plan said, for every policy alike. Values of two policies are therefore compared by their ratio, which does not
depend on how often units are due.

Propensities are those of a day. Draws that are repeated each day, as those of exploration are, need no more. A unit
that keeps its policy is another matter: the risky units leave a risky policy first, so that after months those who
are left under two policies are no longer alike, and the estimate compares them as they are. In 70 simulated companies
it was off by 4 to 9 % on average, after six days at a base rate of 6 %; by 0 to 4 % where policies were redrawn each
day. An experiment, which counts units from their first exposure, has no such error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.policies import POLICIES, Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.off_policy.estimators import relative_value
from mlguide_assets.experiment.off_policy.evaluation import Evaluation, evaluate
from mlguide_assets.experiment.off_policy.log import PolicyLog
from mlguide_assets.experiment.off_policy.support import TOLERANCE, diagnose, refusal
from mlguide_assets.experiment.plans import in_time
from mlguide_assets.statistics.intervals import Estimate


@dataclass(frozen=True)
class PolicyValue:
    """What the plans say of a policy beside another.

    Attributes:
        evaluation: of the policy alone.
        ratio: value of the policy over that of the other; None where the plans do not support both.
        reason: why, or why not.
    """

    policy: Policy
    against: Policy
    evaluation: Evaluation
    ratio: Estimate | None
    reason: str


def planned_decisions(plans: ibis.Table, actions: ibis.Table, problem: Problem, *, until: datetime) -> pa.Table:
    """The decisions of the plans whose outcomes are final and known, and what came of them.

    Args:
        plans: rows of the plan, of any days.
        actions: as of `actions.actions_of`.
        until: the data's clock.

    Returns:
        unit_id, scoring_date, choice_id, decision, exploration_share, `in_experiment`, model_version, propensity,
        policy_propensities, `acted` (whether anything was done with the unit that day, after the plan was made),
        `followed` (whether that is what the plan said) and `reward`.
    """
    decision, label = problem.decision, problem.label
    unit, choose, act = decision.unit_id, str(decision.choose_id), decision.actions[0]
    final = until - problem.final_after - timedelta(days=1)
    day = plans.scoring_date.cast("timestamp")
    known = plans.filter(day <= ibis.timestamp(final), in_time(plans))
    known = known.rename(unit_id=unit, choice_id=choose)
    made = actions.filter(actions[decision.time].notnull()).select(
        done_to=actions[unit],
        done=actions[choose],
        at=actions[decision.time],
        on=actions[decision.time].date(),
        positive=actions[label.column].cast("string") == label.positive,
    )
    both = known.left_join(made, [known.unit_id == made.done_to, known.scoring_date == made.on])
    acted = both.done.notnull() & (both["at"] > both.planned_at)
    as_planned = acted & (both.decision == act) & (both.done == both.choice_id)
    decisions = both.group_by("unit_id", "scoring_date").agg(
        choice_id=both.choice_id.max(),
        decision=both.decision.max(),
        exploration_share=both.exploration_share.max(),
        in_experiment=both.experiment.notnull().any(),
        model_version=both.model_version.max(),
        propensity=both.propensity.max(),
        policy_propensities=both.policy_propensities.first(),
        acted=acted.any(),
        followed=(as_planned | ~acted).all(),
        reward=(as_planned & both.positive.fill_null(False)).any().cast("float64"),
        unknown=(as_planned & both.positive.isnull()).any().fill_null(False),
    )
    # An empty label is not known yet, however old it is: it is no negative.
    decisions = decisions.filter((decisions.reward > 0) | ~decisions.unknown).drop("unknown")
    rows: pa.Table = plans.get_backend().to_pyarrow(decisions.order_by("scoring_date", "unit_id"))
    return rows


def policy_value(
    decisions: pa.Table, policy: Policy, against: Policy, *, repeats: int = 1000, seed: int = 0
) -> PolicyValue:
    """The value of a policy, and its ratio to that of another, from the decisions that followed their plan.

    Args:
        decisions: as `planned_decisions` gives them, at least one row.
    """
    rows, contradiction = followed(decisions)
    log, other = policy_log(rows, policy), policy_log(rows, against)
    evaluation = evaluate(log, repeats=repeats, seed=seed)
    refused_by = {policy: refusal(evaluation.diagnostics), against: refusal(diagnose(other))}
    reasons = [contradiction, *(f"{name}: {why}" for name, why in refused_by.items() if why)]
    if reason := " ".join(each for each in reasons if each):
        refused = replace(evaluation, estimates={}, supported=False, reason=reason)
        return PolicyValue(policy, against, refused, None, reason)
    ratio = relative_value(log, other, repeats=repeats, seed=seed)
    return PolicyValue(policy, against, evaluation, ratio, evaluation.reason)


def policy_log(decisions: pa.Table, policy: Policy) -> PolicyLog:
    """Decisions with a policy as the target."""
    return PolicyLog(
        units=decisions["unit_id"].to_numpy(),
        rewards=decisions["reward"].to_numpy(),
        propensities=decisions["propensity"].to_numpy(),
        target=pc.struct_field(decisions["policy_propensities"], policy).to_numpy().clip(0, 1),
    )


def scored_policies(decisions: pa.Table) -> Sequence[Policy]:
    """The policies that the plans know the propensities of; the challenger is one where it was scored."""
    chosen = {name: pc.struct_field(decisions["policy_propensities"], name).to_numpy() for name in POLICIES}
    return [name for name in POLICIES if name != "challenger" or (chosen[name] != chosen["champion"]).any()]


def followed(decisions: pa.Table) -> tuple[pa.Table, str]:
    """The decisions that followed their plan, and why the plans are no record of what was done, if they are not.

    Some do what the plan says with the units of experiments only. So those and the others are taken apart, and those
    of the two that follow the plan are kept.
    """
    acted, as_planned, in_experiment = (decisions[name].to_numpy() for name in ("acted", "followed", "in_experiment"))
    kept, least = np.zeros(len(acted), dtype=bool), 1.0
    for group in (in_experiment, ~in_experiment):
        if (group & acted).any():
            share = float(np.mean(~as_planned[group & acted]))
            least = min(least, share)
            kept |= group & as_planned & (share <= TOLERANCE)
    if not acted.any():
        return decisions, ""
    if kept.any():
        return decisions.filter(pa.array(kept)), ""
    return decisions, (
        f"{least:.0%} of the actions were not those of the plan; at most {TOLERANCE:.0%} may be others: do what the "
        f"plan says."
    )
