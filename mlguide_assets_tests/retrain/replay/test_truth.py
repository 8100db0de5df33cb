"""What choices are worth: known without a model, since a model that knows the truth has no regret."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.training import Costs
from mlguide_assets.prepare.simulator.plans import NO_PLANS
from mlguide_assets.prepare.simulator.truth import opportunities, true_probabilities
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.retrain.replay.truth import Worth, worth_of

WORLD = World(sends=3000, days=60)
DAY = date(2025, 2, 20)
COSTS = Costs(missed=12.0, false_alarm=0.5)
EMAILS = np.arange(10, 15)


def predicted(distorted: float = 0.0) -> pa.Table:
    """Probabilities of a model that knows the truth, or its reverse in part."""
    due = opportunities(WORLD, DAY)
    users, emails = np.repeat(due, len(EMAILS)), np.tile(EMAILS, len(due))
    truth = true_probabilities(WORLD, DAY, users, emails)
    given = (1 - distorted) * truth + distorted * (truth.max() - truth)
    decisions = np.where(COSTS.missed * given < COSTS.false_alarm, "send", "withhold")
    return pa.table({"user_id": users, "email_id": emails, "probability": given, "decision": decisions})


@pytest.fixture(scope="module")
def right() -> Worth:
    return worth_of(WORLD, DAY, NO_PLANS, predicted(), COSTS, salt="s")


def test_who_knows_the_truth_has_no_regret_and_expects_what_comes(right: Worth) -> None:
    assert right.opportunities > 20
    assert right.regret == pytest.approx(0, abs=1e-9)
    assert right.expected_saved == pytest.approx(right.saved)
    assert right.saved > 0


def test_who_is_wrong_pays_for_it(right: Worth) -> None:
    wrong = worth_of(WORLD, DAY, NO_PLANS, predicted(distorted=0.9), COSTS, salt="s")
    assert wrong.regret > right.regret
    # It withholds from everybody, and so saves everybody: users who are saved are not all that counts.
    assert wrong.saved > right.saved


def test_users_who_are_not_due_do_not_count(right: Worth) -> None:
    others = pa.table(
        {"user_id": [10**6] * 5, "email_id": EMAILS, "probability": [0.1] * 5, "decision": ["send"] * 5}
    ).cast(predicted().schema)
    both = pa.concat_tables([predicted(), others])
    assert worth_of(WORLD, DAY, NO_PLANS, both, COSTS, salt="s") == right


def test_nothing_that_was_due_is_worth_nothing() -> None:
    assert Worth().per_1000(0.0) is None
    assert Worth(opportunities=500).per_1000(2.0) == 4.0
