"""What a day's plan does, in units and money, and whether the propensities that it states are true."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import ibis
import ibis.expr.types as ir

from mlguide_assets.define.policies import MODEL_POLICIES, POLICIES, Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.plan.choices import BEST, EXPLORE
from mlguide_assets.english import agreeing, counted

FALSE_ALARM = 1e-6
"""How often a right plan may look wrong: once in three thousand years of days."""

_ROUNDING = 1e-12
_SHARES_ROUNDING = 1e-9


@dataclass(frozen=True)
class Followers:
    """How many units follow a policy, and how many were expected to."""

    units: int
    expected: float


@dataclass(frozen=True)
class PlanFigures:
    """What a plan does, in units; `exploration_cost` is in the problem's currency.

    Attributes:
        best: units that get the least risky candidate because a model chose it.
        explored: units whose candidate was drawn, by a model's policy or the random one.
        explored_by_models: those of them who follow a model.
        exploration_cost: what the drawn candidates are expected to lose beyond the least risky ones.
        inexact: rows whose propensity is not what the plan says of itself.
        share: the share that the models were to explore; 0 without rows.
        followers: by policy.
    """

    best: int
    explored: int
    explored_by_models: int
    withheld: int
    expected_lost_best: float
    expected_lost_explore: float
    exploration_cost: float
    inexact: int
    share: float
    followers: Mapping[Policy, Followers]

    @property
    def share_explored(self) -> float:
        """Of the units that get something by a model."""
        acted = self.best + self.explored_by_models
        return self.explored_by_models / acted if acted else 0.0

    def as_metadata(self) -> dict[str, Any]:
        """Name → value, as the asset shows them."""
        numbers = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "followers"}
        followers = {f"follow_{policy}": each.units for policy, each in self.followers.items()}
        return numbers | followers | {"share_explored": self.share_explored}


@dataclass(frozen=True)
class PlanVerdict:
    """Whether the propensities of a plan are exact, in words."""

    exact: bool
    sentence: str


def plan_figures(plan: ibis.Table, problem: Problem) -> PlanFigures:
    """The figures of one day's plan, which are counted where it is: one pass, and no row is read."""
    acted = plan.decision == problem.decision.actions[0]
    drawn, greedy = (plan.choice == EXPLORE) & acted, (plan.choice == BEST) & acted
    shares: ir.StructValue = plan.policy_shares
    sums = {
        "best": _count(greedy),
        "explored": _count(drawn),
        "explored_by_models": _count(drawn & plan.policy.isin(MODEL_POLICIES)),
        "withheld": _count(~acted),
        "expected_lost_best": plan.probability.sum(where=greedy),
        "expected_lost_explore": plan.probability.sum(where=drawn),
        "exploration_cost": (plan.probability - plan.best_probability).sum(where=drawn),
        "inexact": _count(~_exact(plan, acted, drawn).fill_null(False)),
        "share": plan.exploration_share.max(),
    }
    for policy in POLICIES:
        sums |= {f"of_{policy}": _count(plan.policy == policy), f"share_of_{policy}": shares[policy].sum()}
    (found,) = plan.aggregate(sums).to_pyarrow().to_pylist()
    # Without rows there are no sums.
    known = {name: value or 0 for name, value in found.items()}
    followers = {each: Followers(known.pop(f"of_{each}"), float(known.pop(f"share_of_{each}"))) for each in POLICIES}
    known["exploration_cost"] *= problem.costs.missed
    return PlanFigures(**known, followers=followers)


def check_plan(figures: PlanFigures) -> PlanVerdict:
    """Every propensity follows from its row, and chance explains how many units are explored and follow each policy."""
    if figures.inexact:
        rows = f"{counted(figures.inexact, 'row')} {agreeing(figures.inexact, 'has')} a propensity"
        return PlanVerdict(False, f"{rows} that does not follow from their policies, their candidates and the share.")
    acted, units = figures.best + figures.explored_by_models, sum(each.units for each in figures.followers.values())
    low, high = _bounds(acted, figures.share)
    exact = low <= figures.explored_by_models <= high
    found = (
        f"{figures.explored_by_models:,} of {counted(acted, 'unit')} {agreeing(figures.explored_by_models, 'is')} "
        "explored"
    )
    sentences = [f"{found}; a share of {figures.share:g} explains {low:,.0f} to {high:,.0f}."]
    for policy, each in figures.followers.items():
        low, high = _bounds(units, each.expected / units if units else 0.0)
        if not low <= each.units <= high:
            exact = False
            followed = (
                f"{each.units:,} of {counted(units, 'unit')} {agreeing(each.units, 'follow')} the policy {policy}"
            )
            sentences.append(f"{followed}; its share explains {low:,.0f} to {high:,.0f}.")
    return PlanVerdict(bool(exact), " ".join(sentences))


def _bounds(units: int, share: float) -> tuple[float, float]:
    """How many of the units a share may hit. Where their shares differ, the bounds of the mean share are wider."""
    from scipy.stats import binom

    return binom.interval(1 - FALSE_ALARM, units, min(share, 1.0)) if units else (0.0, 0.0)


def _exact(plan: ibis.Table, acted: ir.BooleanValue, drawn: ir.BooleanValue) -> ir.BooleanValue:
    """Which rows state the propensities that follow from what else they state; see `choices`."""
    shares, given = (
        {each: column[each] for each in POLICIES} for column in (plan.policy_shares, plan.policy_propensities)
    )
    own_share, own_given = (_of_own_policy(plan, each) for each in (shares, given))
    candidates, share = ibis.greatest(plan.candidates, 1), plan.exploration_share
    best, other = 1 - share * (candidates - 1) / candidates, share / candidates
    uniform = ibis.ifelse(acted, 1 / ibis.greatest(plan.offered, 1), 0.0)
    mixed = sum((shares[each] * given[each] for each in POLICIES), start=ibis.literal(0.0, "float64"))
    # Where the draw hit the least risky candidate, its propensity is that one's.
    of_model = (own_given == best) | (drawn & (own_given == other))
    return (
        ((plan.propensity - mixed).abs() <= _ROUNDING)
        & ((sum(shares.values(), start=ibis.literal(0.0, "float64")) - 1).abs() <= _SHARES_ROUNDING)
        & (own_share > 0)
        & (plan.propensity > 0)
        & (plan.propensity <= 1 + _ROUNDING)
        & (given["random"] == uniform)
        & given["generic"].isin([0.0, 1.0])
        & ibis.ifelse(plan.policy.isin(MODEL_POLICIES), of_model, own_given > 0)
    )


def _of_own_policy(plan: ibis.Table, by_policy: Mapping[Policy, ir.FloatingValue]) -> ir.FloatingValue:
    return ibis.cases(*((plan.policy == each, by_policy[each]) for each in POLICIES), else_=0.0)


def _count(rows: ir.BooleanValue) -> ir.IntegerScalar:
    return rows.cast("int64").sum()
