"""A day's send plan in the lake: until when it may be made anew, what it costs, and whether its propensities are true.

A plan is evidence: whoever learns from its sends needs the propensities with which they were made. So a plan that was
made in time stands from the start of its day on, whoever scores the day again. One that was made too late to have
chosen any send, of a day scored afterwards, may be replaced; training matches no send with it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.send_plan import EXPLORE, plan_sends, propensity_of_best, propensity_of_other
from mlguide_assets.prepare.lake import Lake, Snapshot, writing
from mlguide_assets.prepare.locking import locked
from mlguide_assets.train.lineage import SEND_PLAN

FALSE_ALARM = 1e-6
"""How often a right plan may look wrong: once in three thousand years of days."""


@dataclass(frozen=True)
class Planned:
    """The snapshot that holds a day's plan, and why it is an earlier plan, if it is."""

    snapshot: Snapshot
    kept: str | None


@dataclass(frozen=True)
class PlanFigures:
    """What a plan does, in users; `expected_lost` by policy, `exploration_cost` in the problem's currency.

    Attributes:
        exploration_cost: what the drawn emails are expected to lose beyond the least risky ones.
        inexact: rows whose propensity is not what the plan says of itself.
        asked: the share that was to be explored; 0 without rows.
    """

    best: int
    explored: int
    withheld: int
    expected_lost_best: float
    expected_lost_explore: float
    exploration_cost: float
    inexact: int
    asked: float

    @property
    def share_explored(self) -> float:
        """Of the users who are sent something."""
        return self.explored / (self.best + self.explored) if self.best + self.explored else 0.0


def plan_day(
    lake: Lake, predictions: ibis.Table, problem: Problem, *, day: date, now: datetime, run_id: str
) -> Planned:
    """Plan a day from its predictions, unless a plan stands for it.

    Args:
        now: by the problem's clock, UTC.
    """
    with _planning(lake):
        standing = _standing(lake, day, now)
        if standing is not None:
            return Planned(lake.snapshot(SEND_PLAN), standing)
        plan = plan_sends(predictions, problem.exploration, day=day, planned_at=now, run_id=run_id)
        return Planned(lake.write_partition(SEND_PLAN, day.isoformat(), plan), None)


def plan_figures(plan: ibis.Table, problem: Problem) -> PlanFigures:
    """The figures of one day's plan."""
    sent, drawn = plan.decision == "send", plan.policy == EXPLORE
    best = propensity_of_best(plan.candidates, plan.exploration_share)
    other = propensity_of_other(plan.candidates, plan.exploration_share)
    # Where the draw hit the least risky email, its propensity is that email's.
    exact = (plan.propensity == best) | (drawn & (plan.propensity == other))
    figures: dict[str, Any] = (
        plan.agg(
            best=plan.count(where=sent & ~drawn),
            explored=plan.count(where=drawn),
            withheld=plan.count(where=~sent),
            expected_lost_best=plan.probability.sum(where=sent & ~drawn).fill_null(0),
            expected_lost_explore=plan.probability.sum(where=drawn).fill_null(0),
            exploration_cost=(plan.probability - plan.best_probability).sum(where=drawn).fill_null(0)
            * problem.costs.lost_user,
            inexact=plan.count(where=~exact | ~plan.propensity.between(0, 1) | (plan.propensity == 0)),
            asked=plan.exploration_share.max().fill_null(0),
        )
        .to_pyarrow()
        .to_pylist()[0]
    )
    return PlanFigures(**figures)


@dataclass(frozen=True)
class PlanVerdict:
    """Whether the propensities of a plan are exact, in words."""

    exact: bool
    sentence: str


def judge_plan(figures: PlanFigures) -> PlanVerdict:
    """Every propensity follows from candidates and share, and chance explains how many users were explored."""
    from scipy.stats import binom

    if figures.inexact:
        rows = f"{figures.inexact:,} rows have a propensity"
        return PlanVerdict(False, f"{rows} that does not follow from their candidates and the share.")
    sent = figures.best + figures.explored
    low, high = binom.interval(1 - FALSE_ALARM, sent, figures.asked) if sent else (0, 0)
    found = f"{figures.explored:,} of {sent:,} users are explored"
    explained = f"a share of {figures.asked:g} explains {low:,.0f} to {high:,.0f}"
    return PlanVerdict(bool(low <= figures.explored <= high), f"{found}; {explained}.")


def _standing(lake: Lake, day: date, now: datetime) -> str | None:
    """In words, the plan that may not be replaced, if there is one."""
    start = datetime.combine(day, time())
    if now < start or not lake.exists(SEND_PLAN) or day.isoformat() not in lake.snapshot(SEND_PLAN).partitions:
        return None
    first = lake.read(SEND_PLAN, partitions=[day.isoformat()]).limit(1).to_pyarrow().to_pylist()
    if not first or first[0]["planned_at"] >= start + timedelta(days=1):
        return None
    made = first[0]
    return (
        f"The plan that model version {made['model_version']} made at {made['planned_at']:%Y-%m-%d %H:%M} stands: "
        f"{day} has begun, and sends may have been made by it."
    )


@contextlib.contextmanager
def _planning(lake: Lake) -> Iterator[None]:
    """Two runs take turns: the second sees that the first one's plan stands."""
    with writing("The send plan", lake.root):
        turn = locked(lake.root / ".planning.lock")
    with turn:
        yield
