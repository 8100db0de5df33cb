"""What a policy is worth in truth: the simulator knows the risk of every choice, also of those that were not made.

On some days of a replay, the users who were due are looked at: what the champion's plan would do with each, what the
generic policy would, and what is best. All three are evaluated with the same true probabilities.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Costs
from mlguide_assets.deploy.plan.actions import generic_action
from mlguide_assets.deploy.predictions_table import PREDICTIONS
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.simulator.plans import Plans
from mlguide_assets.prepare.simulator.truth import opportunities, true_probabilities
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.prepare.sources.followed_plans import followed_plans
from mlguide_assets.statistics.arrays import Floats

PER = 1000


@dataclass(frozen=True)
class Worth:
    """Sums over the opportunities of some days.

    Attributes:
        opportunities: users who were due, a user once for each day.
        expected_saved: users whom the champion's choices save against the generic ones, by its own probabilities.
        saved: the same in truth. A plan that sends nothing saves every user, so it means nothing without `regret`.
        regret: what the champion's choices cost more than the best ones, in truth, in the problem's currency.
    """

    opportunities: int = 0
    expected_saved: float = 0.0
    saved: float = 0.0
    regret: float = 0.0

    def __add__(self, other: "Worth") -> "Worth":
        return Worth(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def per_1000(self, total: float) -> float | None:
        """A sum for 1,000 opportunities; None where there were none."""
        return total / self.opportunities * PER if self.opportunities else None


def worth_of_day(world: World, day: date, lake: Lake, problem: Problem) -> Worth:
    """What the champion's choices for one day are worth, as the home predicted and planned; nothing if it did not."""
    key = day.isoformat()
    if not lake.exists(PREDICTIONS) or key not in lake.snapshot(PREDICTIONS).partitions:
        return Worth()
    predictions = lake.read_arrow(PREDICTIONS, [key])
    plans = followed_plans(problem, lake, until=midnight(day))
    return worth_of(world, day, plans, predictions, problem.costs, salt=problem.exploration.salt)


def worth_of(world: World, day: date, plans: Plans, predictions: pa.Table, costs: Costs, *, salt: str) -> Worth:
    """What the choices of a model for one day are worth.

    Args:
        plans: what was sent on the days before.
        predictions: of the day: user_id, email_id, probability and decision, every user with the same candidates.
        salt: of the send plan.
    """
    due = opportunities(world, day, plans)
    rows = predictions.filter(pc.is_in(predictions["user_id"], pa.array(due)))
    rows = rows.sort_by([("user_id", "ascending"), ("email_id", "ascending")])
    users = len(pc.unique(rows["user_id"]))
    if not users:
        return Worth()
    user_ids, email_ids = rows["user_id"].to_numpy(), rows["email_id"].to_numpy()
    shape = users, len(rows) // users
    expected = rows["probability"].to_numpy().reshape(shape)
    truth = true_probabilities(world, day, user_ids, email_ids, plans).reshape(shape)
    sendable = pc.equal(rows["decision"], "send").to_numpy(zero_copy_only=False).reshape(shape)
    chosen, sent = np.argmin(expected, axis=1), sendable.any(axis=1)
    candidates = email_ids.reshape(shape)[0].tolist()
    generic = np.full(users, candidates.index(generic_action(candidates, salt=salt, day=day)))
    all_sent = np.ones(users, dtype=bool)
    best = truth.min(axis=1)
    least = np.minimum(costs.missed * best, costs.false_alarm)
    return Worth(
        users,
        _expected_positives(expected, generic, all_sent) - _expected_positives(expected, chosen, sent),
        _expected_positives(truth, generic, all_sent) - _expected_positives(truth, chosen, sent),
        costs.missed * _expected_positives(truth, chosen, sent)
        + costs.false_alarm * int((~sent).sum())
        - float(least.sum()),
    )


def _expected_positives(probabilities: Floats, chosen: np.ndarray, sent: np.ndarray) -> float:
    """The expected number of positive outcomes of the chosen emails, where they are sent."""
    return float(probabilities[np.arange(len(chosen)), chosen][sent].sum())
