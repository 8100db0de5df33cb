"""A model ages where the world moves, and only there."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.backtest.history import History
from mlguide_assets.train.backtest.staleness import MOST_PERIODS, PERIODS, staleness_curve
from mlguide_assets.train.plots.backtest import staleness_plot
from mlguide_assets_tests.train.backtest.worlds import QUICK, Floats, ageing_in, drifting, same, world
from mlguide_assets_tests.train.sends import PROBLEM, replaced


@pytest.mark.ml_test_score("model-4")
def test_a_model_ages_where_the_world_drifts() -> None:
    ageing = ageing_in(drifting)
    rows = ageing.table().to_pylist()
    assert ageing.table().schema == PERIODS
    assert ageing.per_30_days.low > 0.01
    assert rows[-1]["loss_low"] > rows[1]["loss_low"]
    assert rows[-1]["roc_auc"] < rows[0]["roc_auc"] - 0.1
    assert ageing.loss_per_30_days.startswith("Every 30 days without retraining cost 0.")


def test_a_model_does_not_age_where_the_world_stays() -> None:
    ageing = ageing_in(same)
    assert abs(ageing.per_30_days.value) < 0.005
    assert all(row["loss_low"] <= 0.01 for row in ageing.table().to_pylist())


def test_periods_follow_each_other_in_whole_weeks_and_hold_every_later_row_once() -> None:
    rows, table = world(drifting), ageing_in(drifting).table().to_pylist()
    assert table[0]["age_days_low"] == 0
    for period, following in pairwise(table):
        assert period["age_days_high"] == following["age_days_low"]
        assert period["age_days_high"] % 7 == 0
        assert period["positives"] >= PROBLEM.evaluation.min_positives
    fold = History.of(rows, PROBLEM).folds(1, unseen_units=False)[0]
    assert sum(period["rows"] for period in table) == len(fold.validate)
    assert 2 <= len(table) <= MOST_PERIODS


def test_in_the_first_period_the_ageing_and_the_retrained_model_are_one() -> None:
    first = ageing_in(drifting).table().to_pylist()[0]
    assert first["roc_auc"] == first["retrained_roc_auc"]
    assert (first["loss"], first["loss_low"], first["loss_high"]) == (0.0, 0.0, 0.0)


def test_no_period_knows_of_later_outcomes() -> None:
    rows, known = world(drifting), ageing_in(drifting).table()
    labels = rows["unsubscribed"].to_numpy().copy()
    last = known["rows"][-1].as_py()
    labels[-last:] = np.random.default_rng(0).permutation(labels[-last:])
    poisoned = staleness_curve(replaced(rows, "unsubscribed", labels), PROBLEM, recipe=QUICK).table()
    assert poisoned["roc_auc"][:-1].equals(known["roc_auc"][:-1])
    assert poisoned["retrained_roc_auc"][:-1].equals(known["retrained_roc_auc"][:-1])
    assert not poisoned["roc_auc"][-1].equals(known["roc_auc"][-1])


def test_a_retrained_model_knows_only_what_had_matured_when_its_period_began() -> None:
    rows, known = world(drifting), ageing_in(drifting).table()
    times, labels = rows["delivered_at"].to_numpy(), rows["unsubscribed"].to_numpy().copy()
    start = times[-known["rows"][-1].as_py()]
    week_before = (times < start) & (times > start - np.timedelta64(PROBLEM.label.window - timedelta(days=1)))
    labels[week_before] = 1 - labels[week_before]
    poisoned = staleness_curve(replaced(rows, "unsubscribed", labels), PROBLEM, recipe=QUICK).table()
    assert poisoned["retrained_roc_auc"][-1].equals(known["retrained_roc_auc"][-1])
    assert not poisoned["retrained_roc_auc"][-2].equals(known["retrained_roc_auc"][-2])


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (
            Estimate(0.002, 0.001, 0.003),
            "Every 30 days without retraining cost 0.0020 ROC AUC (95 % CI 0.0010 to 0.0030)",
        ),
        (
            Estimate(-0.002, -0.003, -0.001),
            "Every 30 days without retraining won 0.0020 ROC AUC (95 % CI 0.0010 to 0.0030)",
        ),
        (
            Estimate(0.002, -0.001, 0.005),
            "The cost of age is not significant: 0.0020 ROC AUC per 30 days (95 % CI -0.0010 to 0.0050)",
        ),
    ],
)
def test_what_age_costs_is_said_as_surely_as_it_is_known(estimate: Estimate, said: str) -> None:
    assert replace(ageing_in(same), per_30_days=estimate).loss_per_30_days == said


def test_rare_outcomes_make_longer_periods_and_at_last_one_without_a_verdict() -> None:
    def rare(age: Floats, place: Floats) -> Floats:
        return -4.0 + age

    problem = PROBLEM.model_copy(update={"evaluation": PROBLEM.evaluation.model_copy(update={"min_positives": 40})})
    assert 2 <= staleness_curve(world(rare), problem, recipe=QUICK).periods.num_rows < MOST_PERIODS
    problem = PROBLEM.model_copy(update={"evaluation": PROBLEM.evaluation.model_copy(update={"min_positives": 5000})})
    short = staleness_curve(world(rare), problem, recipe=QUICK)
    assert short.periods.num_rows == 1
    assert short.loss_per_30_days == "The history is too short to measure what age costs a model"
    assert staleness_plot(short).startswith(b"\x89PNG")


def test_the_picture_is_a_small_png_and_the_same_twice() -> None:
    first, again = (staleness_plot(ageing_in(drifting)) for _ in range(2))
    assert first == again
    assert first.startswith(b"\x89PNG")
    assert 5_000 < len(first) < 60_000


def test_without_any_period_that_holds_both_outcomes_there_is_still_a_picture() -> None:
    table = ageing_in(drifting).table()
    nothing = replaced(table, "roc_auc", [float("nan")] * table.num_rows)
    picture = staleness_plot(replace(ageing_in(drifting), periods=nothing))
    assert picture.startswith(b"\x89PNG")
    assert picture != staleness_plot(ageing_in(drifting))
