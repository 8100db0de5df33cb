"""Values of policies from send plans: against the truth, and refused where the plans are no record of what was done."""

from datetime import timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.define.policies import Exploration, Policies
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.experiment.off_policy.planned import policy_value, scored_policies
from mlguide_assets_tests.deploy.plans import DAY, NOW, predictions_of
from mlguide_assets_tests.experiment.planned import FINAL, NOON, Planned, decisions_of, planned
from mlguide_assets_tests.train.sends import PROBLEM


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def test_the_value_of_each_policy_is_that_of_the_truth() -> None:
    world = planned(policies=Policies(champion=0.4, random=0.3, generic=0.3))
    decisions = decisions_of(world)
    assert decisions["followed"].to_pylist() == [True] * 3000
    for policy in ("champion", "generic", "random"):
        found = policy_value(decisions, policy, "random", repeats=200)
        snips, truth = found.evaluation.estimates["snips"].value, world.worth[policy]
        assert snips.low < truth < snips.high
        assert snips.high - snips.low < 0.7 * truth
        assert found.ratio is not None
        assert found.ratio.low <= truth / world.worth["random"] <= found.ratio.high
    assert policy_value(decisions, "champion", "random").ratio.high < 0.9


def test_days_whose_outcomes_are_not_final_are_left_out() -> None:
    world = planned(users=10)
    assert decisions_of(world, FINAL).num_rows == 10
    assert decisions_of(world, FINAL - timedelta(seconds=1)).num_rows == 0


def test_what_was_sent_before_the_plan_is_no_part_of_it() -> None:
    world = planned(users=100)
    late = with_column(world.plan, "planned_at", pa.array([NOON] * 100, pa.timestamp("us")))
    found = decisions_of(Planned(late, world.sends, {}))
    assert not any(found["acted"].to_pylist())
    assert sum(found["reward"].to_pylist()) == 0


def test_a_plan_that_came_after_its_day_is_none() -> None:
    world = planned(users=100)
    after = pa.array([NOON + timedelta(hours=12)] * 100, pa.timestamp("us"))
    assert not decisions_of(Planned(with_column(world.plan, "planned_at", after), world.sends, {})).num_rows


def test_sends_that_the_plan_did_not_choose_refuse_it() -> None:
    world = planned()
    other = pc.add(pc.if_else(pc.greater(world.sends["email_id"], 5), 0, world.sends["email_id"]), 1)
    changed = Planned(world.plan, with_column(world.sends, "email_id", other), {})
    found = policy_value(decisions_of(changed), "champion", "random")
    assert found.ratio is None
    assert found.evaluation.estimates == {}
    assert found.reason.startswith("100% of the actions were not those of the plan")


def test_units_of_experiments_are_taken_alone_where_the_plan_is_followed_for_them_only() -> None:
    world = planned()
    decisions = decisions_of(world)
    alone = policy_value(decisions, "champion", "random", repeats=20)
    unfollowed = with_column(decisions, "followed", pc.invert(decisions["acted"]))
    others = with_column(unfollowed, "unit_id", pc.add(decisions["unit_id"], 10_000))
    both = pa.concat_tables([with_column(decisions, "in_experiment", pa.array([True] * 3000)), others])
    assert policy_value(both, "champion", "random", repeats=20) == alone


def test_what_the_plan_never_draws_is_not_estimated() -> None:
    decisions = decisions_of(planned(policies=Policies(champion=1.0), share=0.0))
    found = policy_value(decisions, "random", "champion")
    assert found.ratio is None
    assert found.reason.startswith("random: The mean weight is ")
    assert "the logging policy never takes at least" in found.reason


@pytest.mark.parametrize("with_challenger", [False, True])
def test_a_challenger_is_compared_only_where_it_was_scored(with_challenger: bool) -> None:
    scores = np.random.default_rng(0).gamma(2, 0.015, (50, 6))
    choosing = Choosing(
        PROBLEM.decision,
        Exploration(),
        Policies(champion=0.5, challenger=0.5),
        challenger=ibis.memtable(predictions_of(scores[:, ::-1], version="8")) if with_challenger else None,
    )
    reader = plan_choices(ibis.memtable(predictions_of(scores)), choosing, day=DAY, planned_at=NOW, run_id="run")
    decisions = decisions_of(Planned(reader.read_all(), planned(users=1).sends, {}))
    assert ("challenger" in scored_policies(decisions)) is with_challenger
