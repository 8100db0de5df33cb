"""A day that followed its send plan, and what each policy would have been worth on it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.policies import Exploration, Policies, Policy
from mlguide_assets.deploy.plan.actions import generic_action
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.deploy.plan.propensities import Scores, propensities
from mlguide_assets.experiment.off_policy.planned import planned_decisions
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets_tests.deploy.plans import DAY, NOW, THRESHOLD, predictions_of

PROBLEM = load_problem("planeswalker")
NOON = datetime.combine(DAY, datetime.min.time()) + timedelta(hours=12)
FINAL = datetime.combine(DAY, datetime.min.time()) + timedelta(days=1) + PROBLEM.label.window
MIXED = Policies(champion=0.5, random=0.5)


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan of one day, the sends that followed it, and what each policy is worth in truth."""

    plan: pa.Table
    sends: pa.Table
    worth: dict[Policy, float]


def planned(seed: int = 1, *, users: int = 3000, policies: Policies = MIXED, share: float = 0.3) -> Planned:
    """Half of the users are due for an email; it loses them ten times as often as the champion holds."""
    generator = np.random.default_rng(seed)
    scores = generator.gamma(2, 0.015, (users, 6))
    plan = plan_choices(
        ibis.memtable(predictions_of(scores)),
        Choosing(PROBLEM.decision, Exploration(share=share), policies),
        day=DAY,
        planned_at=NOW,
        run_id="run",
    ).read_all()
    due = generator.random(users) < 0.5
    truth = np.minimum(10 * scores, 1)
    sent = due & pc.equal(plan["decision"], "send").to_numpy()
    email = plan["email_id"].to_numpy()
    lost = generator.random(users) < truth[np.arange(users), email - 1]
    sends = pa.table(
        {
            "user_id": plan["user_id"].filter(sent),
            "email_id": plan["email_id"].filter(sent),
            "delivered_at": pa.array(np.full(sent.sum(), np.datetime64(NOON, "us"))),
            "unsubscribed": np.where(lost[sent], PROBLEM.label.positive, PROBLEM.label.negative),
        }
    )
    return Planned(plan, sends, _worth(scores, truth * due[:, None], share))


def _worth(scores: Floats, truth: Floats, share: float) -> dict[Policy, float]:
    said = Scores(scores, scores < THRESHOLD)
    generic = generic_action(list(range(1, 7)), salt=Exploration().salt, day=DAY) - 1
    using = propensities(said, said, share=share, generic=generic).using
    return {policy: float((probability * truth).sum(axis=1).mean()) for policy, probability in using.items()}


def decisions_of(world: Planned, until: datetime = FINAL) -> pa.Table:
    return planned_decisions(ibis.memtable(world.plan), ibis.memtable(world.sends), PROBLEM, until=until)
