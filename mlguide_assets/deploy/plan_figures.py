"""What a day's plan does, in units and money, and whether the propensities that it states are true."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.policies import POLICIES, Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.choices import BEST, EXPLORE, MODELS
from mlguide_assets.deploy.propensities import Bools, Floats, mixed, propensity_of_best, propensity_of_other

FALSE_ALARM = 1e-6
"""How often a right plan may look wrong: once in three thousand years of days."""

_ROUNDING = 1e-12
_SHARES_ROUNDING = 1e-9


@dataclass(frozen=True)
class Followers:
    """How many units follow a policy, and how many were expected to."""

    users: int
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
        sent = self.best + self.explored_by_models
        return self.explored_by_models / sent if sent else 0.0

    def as_metadata(self) -> dict[str, Any]:
        """Name → value, as the asset shows them."""
        numbers = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "followers"}
        followers = {f"follow_{policy}": each.users for policy, each in self.followers.items()}
        return numbers | followers | {"share_explored": self.share_explored}


@dataclass(frozen=True)
class PlanVerdict:
    """Whether the propensities of a plan are exact, in words."""

    exact: bool
    sentence: str


def plan_figures(plan: ibis.Table, problem: Problem) -> PlanFigures:
    """The figures of one day's plan."""
    rows, act = plan.to_pyarrow(), problem.decision.actions[0]
    probability, best = rows["probability"].to_numpy(), rows["best_probability"].to_numpy()
    sent = pc.equal(rows["decision"], act).to_numpy()
    drawn, greedy = (pc.equal(rows["choice"], choice).to_numpy() & sent for choice in (EXPLORE, BEST))
    shares, policy = _by_policy(rows["policy_shares"]), rows["policy"].to_numpy()
    return PlanFigures(
        best=int(greedy.sum()),
        explored=int(drawn.sum()),
        explored_by_models=int((drawn & np.isin(policy, MODELS)).sum()),
        withheld=int((~sent).sum()),
        expected_lost_best=float(probability[greedy].sum()),
        expected_lost_explore=float(probability[drawn].sum()),
        exploration_cost=float((probability - best)[drawn].sum()) * problem.costs.missed,
        inexact=int((~_exact(rows, sent, drawn)).sum()),
        share=float(rows["exploration_share"].to_numpy().max(initial=0.0)),
        followers={each: Followers(int((policy == each).sum()), float(shares[each].sum())) for each in POLICIES},
    )


def check_plan(figures: PlanFigures) -> PlanVerdict:
    """Every propensity follows from its row, and chance explains how many units are explored and follow each policy."""
    if figures.inexact:
        rows = f"{figures.inexact:,} rows have a propensity"
        return PlanVerdict(False, f"{rows} that does not follow from their policies, their candidates and the share.")
    sent, users = figures.best + figures.explored_by_models, sum(each.users for each in figures.followers.values())
    low, high = _bounds(sent, figures.share)
    exact = low <= figures.explored_by_models <= high
    found = f"{figures.explored_by_models:,} of {sent:,} units are explored"
    sentences = [f"{found}; a share of {figures.share:g} explains {low:,.0f} to {high:,.0f}."]
    for policy, each in figures.followers.items():
        low, high = _bounds(users, each.expected / users if users else 0.0)
        if not low <= each.users <= high:
            exact = False
            followed = f"{each.users:,} of {users:,} units follow the policy {policy}"
            sentences.append(f"{followed}; its share explains {low:,.0f} to {high:,.0f}.")
    return PlanVerdict(bool(exact), " ".join(sentences))


def _bounds(users: int, share: float) -> tuple[float, float]:
    """How many of the units a share may hit. Where their shares differ, the bounds of the mean share are wider."""
    from scipy.stats import binom

    return binom.interval(1 - FALSE_ALARM, users, min(share, 1.0)) if users else (0.0, 0.0)


def _exact(rows: pa.Table, sent: Bools, drawn: Bools) -> Bools:
    """Which rows state the propensities that follow from what else they state."""
    shares, given = _by_policy(rows["policy_shares"]), _by_policy(rows["policy_propensities"])
    policy, propensity = rows["policy"].to_numpy(), rows["propensity"].to_numpy()
    candidates, share = rows["candidates"].to_numpy(), rows["exploration_share"].to_numpy()
    best, other = propensity_of_best(candidates, share), propensity_of_other(candidates, share)
    uniform = np.where(sent, 1 / np.maximum(rows["offered"].to_numpy(), 1), 0.0)
    own = {
        each: np.select([policy == name for name in POLICIES], [from_[name] for name in POLICIES], 0.0)
        for each, from_ in (("share", shares), ("given", given))
    }
    # Where the draw hit the least risky candidate, its propensity is that one's.
    of_model = (own["given"] == best) | (drawn & (own["given"] == other))
    exact: Bools = (
        (np.abs(propensity - mixed(shares, given)) <= _ROUNDING)
        & (np.abs(sum(shares.values()) - 1) <= _SHARES_ROUNDING)
        & (own["share"] > 0)
        & (propensity > 0)
        & (propensity <= 1 + _ROUNDING)
        & (given["random"] == uniform)
        & np.isin(given["generic"], (0.0, 1.0))
        & np.where(np.isin(policy, MODELS), of_model, own["given"] > 0)
    )
    return exact


def _by_policy(column: pa.ChunkedArray) -> dict[Policy, Floats]:
    return {policy: pc.struct_field(column, policy).to_numpy() for policy in POLICIES}
