"""Weighting by propensity: which sends a plan chose, what they count, and that it undoes the choosing."""

from datetime import date, datetime
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.evaluation.metrics import log_loss_rows
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import refit_xgboost
from mlguide_assets.train.propensity import effective_sample_size, propensity_weights, uniform_ratios
from mlguide_assets_tests.train.choosing import chosen_sends
from mlguide_assets_tests.train.sends import PROBLEM

DAY = date(2024, 4, 20)
PLAN = {
    "scoring_date": DAY,
    "user_id": 1,
    "email_id": 10,
    "decision": "send",
    "propensity": 0.625,
    "candidates": 4,
    "exploration_share": 0.5,
    "planned_at": datetime(2024, 4, 20, 8),
}
NINE = datetime(2024, 4, 20, 9)


def ratios(sends: list[tuple[int, int, datetime]], *plans: dict[str, Any]) -> list[float | None]:
    """The ratio of each send, None where no plan chose it; `plans` replace values of the one above."""
    rows = pa.table(
        {
            "user_id": [user for user, _, _ in sends],
            "email_id": [email for _, email, _ in sends],
            "delivered_at": pa.array([time for *_, time in sends], pa.timestamp("us")),
        }
    )
    plan = pa.Table.from_pylist([{**PLAN, **changes} for changes in plans or ({},)])
    found = uniform_ratios(rows, ibis.memtable(plan), PROBLEM.decision)
    return [None if np.isnan(ratio) else float(ratio) for ratio in found]


def test_a_send_by_the_plan_counts_as_uniform_choice_relative_to_its_propensity() -> None:
    assert ratios([(1, 10, NINE)]) == [1 / (4 * 0.625)]


@pytest.mark.parametrize(
    "send",
    [
        (2, 10, NINE),
        (1, 11, NINE),
        (1, 10, datetime(2024, 4, 19, 23, 59)),
        (1, 10, datetime(2024, 4, 21)),
        (1, 10, datetime(2024, 4, 20, 8)),
        (1, 10, datetime(2024, 4, 20, 7)),
    ],
    ids=["another user", "another email", "the day before", "the day after", "as it was made", "before it was made"],
)
def test_a_send_that_the_plan_did_not_choose_has_none(send: tuple[int, int, datetime]) -> None:
    assert ratios([send]) == [None]


def test_of_several_sends_to_a_user_on_a_day_the_plan_chose_the_first_of_its_email() -> None:
    early, late = datetime(2024, 4, 20, 7), datetime(2024, 4, 20, 22)
    sends = [(1, 10, late), (1, 11, NINE), (1, 10, NINE), (1, 10, early)]
    assert ratios(sends) == [None, None, 0.4, None]


def test_each_day_has_its_own_plan() -> None:
    tomorrow = {"scoring_date": date(2024, 4, 21), "planned_at": datetime(2024, 4, 20, 23), "propensity": 0.125}
    sends = [(1, 10, NINE), (1, 10, datetime(2024, 4, 21, 9))]
    assert ratios(sends, {}, tomorrow) == [0.4, 2.0]


def test_neither_a_withheld_send_nor_a_plan_that_drew_nothing_has_anything_to_undo() -> None:
    withheld = {"decision": "withhold", "candidates": 0, "propensity": 1.0}
    certain = {"exploration_share": 0.0, "propensity": 1.0}
    assert ratios([(1, 10, NINE)], withheld) == ratios([(1, 10, NINE)], certain) == [None]


def test_under_a_mixture_of_policies_it_is_relative_to_all_that_the_user_might_have_been_sent() -> None:
    mixed = {"exploration_share": 0.0, "candidates": 4, "supported": 20, "propensity": 0.2}
    assert ratios([(1, 10, NINE)], mixed) == [1 / (20 * 0.2)]
    assert ratios([(1, 10, NINE)], mixed | {"supported": 1, "propensity": 1.0}) == [None]


def test_without_plans_nothing_is_weighted() -> None:
    rows = pa.table({"user_id": [1, 2], "email_id": [10, 10], "delivered_at": [NINE, NINE]})
    found = uniform_ratios(rows, None, PROBLEM.decision)
    assert np.isnan(found).all()
    assert (propensity_weights(found, max_weight=5) == 1).all()


def test_weights_have_mean_one_over_the_planned_and_leave_the_others_at_one() -> None:
    given = np.array([0.5, np.nan, 0.5, 2.0])
    np.testing.assert_allclose(propensity_weights(given, max_weight=5), [0.5, 1, 0.5, 2])
    np.testing.assert_allclose(propensity_weights(given * 7, max_weight=5), [0.5, 1, 0.5, 2])


def test_no_send_counts_more_than_the_most() -> None:
    weights = propensity_weights(np.array([0.1] * 99 + [20.0]), max_weight=5)
    assert weights.max() == 5
    np.testing.assert_allclose(weights[:99], 0.1 / (29.9 / 100))


def test_rows_that_count_alike_are_as_good_as_they_are_many() -> None:
    assert effective_sample_size(np.full(40, 0.3)) == pytest.approx(40)
    assert effective_sample_size(np.array([1.0, 0, 0])) == 1
    assert effective_sample_size(np.array([3.0, 1])) == pytest.approx(1.6)
    assert effective_sample_size(np.empty(0)) == 0


def test_weighted_training_is_nearer_to_the_truth_of_emails_that_were_seldom_chosen() -> None:
    """On the simulator's truth, of users and emails at random, where the plan knew more than the features tell.

    Over twelve seeds the gain in log-loss was 0.0109 with a standard deviation of 0.0014; that in squared error 0.0012
    with 0.0004. The margin is three and a half of them below the mean.
    """
    world = chosen_sends(0, share=0.1, count=40_000)
    features = [feature for feature in features_of(PROBLEM) if feature.name in world.sends.column_names]
    encoding = Encoding.fit(world.sends, features)
    matrix, uniform = encoding.matrix(world.sends), encoding.matrix(world.uniform)
    found = uniform_ratios(world.sends, ibis.memtable(world.plan), PROBLEM.decision)
    assert not np.isnan(found).any()
    assert found.mean() == pytest.approx(1, abs=0.1)

    def errors(weights: Any) -> tuple[float, float]:
        model = refit_xgboost(matrix, world.labels, encoding, rounds=60, seed=0, weights=weights)
        said, truth = model.predict(uniform), world.truth
        expected = truth * log_loss_rows(np.ones_like(truth, dtype=bool), said)
        expected += (1 - truth) * log_loss_rows(np.zeros_like(truth, dtype=bool), said)
        return float(expected.mean()), float(np.square(said - truth).mean())

    plain, weighted = errors(np.ones(len(found))), errors(propensity_weights(found, max_weight=5.0))
    assert plain[0] - weighted[0] > 0.006
    assert plain[1] > weighted[1]
