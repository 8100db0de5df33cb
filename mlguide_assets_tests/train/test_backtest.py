"""The backtest on worlds made by hand: one that turns round, one that drifts, one that stays as it is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train import backtest
from mlguide_assets.train.backtest import (
    ALL,
    PERIODS,
    WINDOWS,
    History,
    Judged,
    Staleness,
    WindowChoice,
    choose_window,
    default_windows,
    staleness_curve,
)
from mlguide_assets.train.backtest_plots import staleness_plot
from mlguide_assets.train.recipe import PARAMETERS, Recipe, TrainingWindow
from mlguide_assets.train.uncertainty import replicate_metrics
from mlguide_assets_tests.train.sends import PROBLEM, replaced
from mlguide_assets_tests.train.test_split import days

Floats = npt.NDArray[np.float64]
Risk = Callable[[Floats, Floats], Floats]
"""Log-odds of each row (n,), from its age, standard normal, and its place in the history from 0 to 1."""

QUICK = Recipe({**PARAMETERS, "learning_rate": 0.3, "max_depth": 2, "colsample_bytree": 1.0})
"""Finds what is planted in a few rounds."""

RECENT = TrainingWindow("rolling", 40)


def world(risk: Risk, *, rows: int = 6000, length: int = 200, users: int = 300, seed: int = 0) -> pa.Table:
    """Matured rows of `send_features` over `length` days; every feature is noise but for `age`."""
    random = np.random.default_rng(seed)
    place = np.sort(random.random(rows))
    age = random.normal(size=rows)
    labels = random.random(rows) < 1 / (1 + np.exp(-risk(age, place)))
    columns: dict[str, Any] = {
        "user_id": random.integers(0, users, rows),
        "email_id": random.integers(0, 20, rows),
        "delivered_at": days(*(place * length)),
        "unsubscribed": labels.astype(np.int8),
    }
    for feature in features_of(PROBLEM):
        noise = random.choice(["a", "b", "c"], rows) if feature.kind == "category" else random.normal(size=rows)
        columns[feature.name] = ["subject"] * rows if feature.kind == "text" else noise
    return pa.table({**columns, "age": age})


def same(age: Floats, place: Floats) -> Floats:
    return -1.5 + 1.2 * age


def turning(age: Floats, place: Floats) -> Floats:
    """What was risky becomes harmless after a quarter of the history, and the other way round."""
    return -1.5 + np.where(place < 0.25, -1.5, 1.5) * age


def drifting(age: Floats, place: Floats) -> Floats:
    return -1.5 + 2.0 * np.cos(2.5 * place) * age


def noise(age: Floats, place: Floats) -> Floats:
    return np.full(len(age), -1.5)


@cache
def choice_in(risk: Risk) -> WindowChoice:
    return choose_window(world(risk), PROBLEM, recipe=QUICK, candidates=[ALL, RECENT])


@cache
def ageing_in(risk: Risk) -> Staleness:
    return staleness_curve(world(risk), PROBLEM, recipe=QUICK)


def test_where_the_world_has_turned_the_recent_window_wins() -> None:
    choice = choice_in(turning)
    assert choice.chosen == RECENT
    assert choice.reason.startswith("The window rolling 40 d is learned from: it surely gains")


@pytest.mark.parametrize("risk", [same, noise])
def test_where_nothing_has_changed_the_whole_history_stays(risk: Risk) -> None:
    choice = choice_in(risk)
    assert choice.chosen == ALL
    assert choice.reason.startswith("The whole history is learned from: no window surely gains")


def test_every_window_is_judged_on_every_fold_and_the_whole_history_is_the_zero() -> None:
    table = choice_in(turning).table()
    assert table.schema == WINDOWS
    rows = table.to_pylist()
    assert [(row["window"], row["fold"]) for row in rows] == [
        (window, fold) for window in ("all", "rolling 40 d") for fold in ("1", "2", "3", "mean")
    ]
    assert {(row["gain"], row["low"], row["high"]) for row in rows[:4]} == {(0.0, 0.0, 0.0)}
    for row, base in zip(rows[4:], rows[:4], strict=True):
        assert row["gain"] == pytest.approx(row["roc_auc"] - base["roc_auc"])
        assert row["low"] <= row["gain"] <= row["high"]
        assert row["train_rows"] < base["train_rows"]
    assert rows[-1]["gain"] == pytest.approx(np.mean([row["gain"] for row in rows[4:7]]))
    assert [row["chosen"] for row in rows] == [False] * 4 + [True] * 4


def test_the_gain_is_in_the_primary_metric_and_positive_where_better() -> None:
    problem = PROBLEM.model_copy(update={"metric": PROBLEM.metric.model_copy(update={"primary": "log_loss"})})
    table = choose_window(world(turning), problem, recipe=QUICK, candidates=[RECENT]).table().to_pylist()
    assert table[-1]["gain"] == pytest.approx(table[3]["log_loss"] - table[7]["log_loss"])
    assert table[-1]["low"] > 0


def test_a_window_longer_than_the_history_of_a_fold_is_the_whole_history() -> None:
    table = choose_window(world(same, rows=2000), PROBLEM, recipe=QUICK, candidates=[TrainingWindow("rolling", 110)])
    first = table.table().to_pylist()[4]
    assert (first["fold"], first["gain"], first["low"], first["high"]) == ("1", 0.0, 0.0, 0.0)


def test_more_windows_make_it_harder_to_win() -> None:
    few = choice_in(same)
    many = choose_window(
        world(same), PROBLEM, recipe=QUICK, candidates=[RECENT, *(TrainingWindow("decayed", n) for n in (50, 60, 70))]
    )
    assert (few.level, many.level) == (0.95, 1 - 0.05 / 4)
    found, again = (choice.table().to_pylist()[7] for choice in (few, many))
    assert (found["window"], found["fold"]) == (again["window"], again["fold"]) == (RECENT.name, "mean")
    assert again["low"] < found["low"]
    assert again["gain"] == found["gain"]


def test_default_windows_follow_the_length_of_the_history_and_are_never_short() -> None:
    assert [window.name for window in default_windows(days(0, 360))] == [
        "all",
        "rolling 180 d",
        "rolling 90 d",
        "decayed 90 d",
    ]
    assert [window.name for window in default_windows(days(0, 80))] == ["all", "rolling 40 d"]
    assert default_windows(days(0, 20)) == default_windows(days()) == (ALL,)


def test_the_same_backtest_twice_is_the_same() -> None:
    again = choose_window(world(turning), PROBLEM, recipe=QUICK, candidates=[ALL, RECENT])
    assert again.table().equals(choice_in(turning).table())
    assert again.reason == choice_in(turning).reason


def test_what_happens_in_the_last_fold_does_not_change_the_others() -> None:
    rows = world(turning)
    labels = rows["unsubscribed"].to_numpy().copy()
    last = History.of(rows, PROBLEM).folds(3, unseen_users=True)[-1]
    labels[last.validate] = 1 - labels[last.validate]
    poisoned = choose_window(replaced(rows, "unsubscribed", labels), PROBLEM, recipe=QUICK, candidates=[ALL, RECENT])
    known = choice_in(turning).table()
    for window in (0, 4):
        for column in ("roc_auc", "log_loss", "gain"):
            assert poisoned.table()[column][window : window + 2].equals(known[column][window : window + 2])
            assert window == 0 or not poisoned.table()[column][6].equals(known[column][6])


def test_one_user_cannot_be_judged_on_others() -> None:
    with pytest.raises(InputError, match="each with users of its own"):
        choose_window(world(turning, users=1), PROBLEM, recipe=QUICK, candidates=[RECENT])


def test_windows_are_judged_on_users_that_the_fold_did_not_learn_from() -> None:
    history = History.of(world(turning), PROBLEM)
    for fold in history.folds(3, unseen_users=True):
        assert not set(history.users[fold.train]) & set(history.users[fold.validate])


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "log_loss", "brier"])
def test_one_part_is_resampled_as_the_evaluation_does(metric: str) -> None:
    random = np.random.default_rng(1)
    labels, users = random.random(400) < 0.3, random.integers(0, 50, 400)
    scores = {"a": random.random(400), "b": np.clip(labels * 0.3 + random.random(400) * 0.7, 0, 1)}
    points, values = backtest._replicated(metric, [Judged(labels, users, scores)], ("a", "b"), PROBLEM)
    seed = PROBLEM.evaluation.seed
    known = replicate_metrics(labels, scores, users, repeats=backtest.LEAST_REPEATS, seed=seed)
    for at, name in enumerate(("a", "b")):
        value, replicates = known.of(name, metric)
        assert points[at, 0] == pytest.approx(value)
        np.testing.assert_allclose(values[at, 0], replicates, rtol=1e-10)


def test_parts_with_the_same_users_vary_together() -> None:
    """Were the folds taken as independent, the interval of their mean would be too narrow by the square root of 2."""
    random = np.random.default_rng(1)
    part = Judged(random.random(400) < 0.3, random.integers(0, 50, 400), {"a": random.random(400)})
    _, values = backtest._replicated("roc_auc", [part, part], ("a",), PROBLEM)
    np.testing.assert_array_equal(values[0, 0], values[0, 1])


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
    fold = History.of(rows, PROBLEM).folds(1, unseen_users=False)[0]
    assert sum(period["rows"] for period in table) == len(fold.validate)
    assert 2 <= len(table) <= backtest.MOST_PERIODS


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
            "Every 30 days without retraining cost 0.0020 ROC AUC (95 %: 0.0010 to 0.0030)",
        ),
        (
            Estimate(-0.002, -0.003, -0.001),
            "Every 30 days without retraining won 0.0020 ROC AUC (95 %: 0.0010 to 0.0030)",
        ),
        (
            Estimate(0.002, -0.001, 0.005),
            "No cost of age can be told from chance: 0.0020 ROC AUC per 30 days (95 %: -0.0010 to 0.0050)",
        ),
    ],
)
def test_what_age_costs_is_said_as_surely_as_it_is_known(estimate: Estimate, said: str) -> None:
    assert replace(ageing_in(same), per_30_days=estimate).loss_per_30_days == said


def test_rare_outcomes_make_longer_periods_and_at_last_one_without_a_verdict() -> None:
    def rare(age: Floats, place: Floats) -> Floats:
        return -4.0 + age

    problem = PROBLEM.model_copy(update={"evaluation": PROBLEM.evaluation.model_copy(update={"min_positives": 40})})
    assert 2 <= staleness_curve(world(rare), problem, recipe=QUICK).periods.num_rows < backtest.MOST_PERIODS
    problem = PROBLEM.model_copy(update={"evaluation": PROBLEM.evaluation.model_copy(update={"min_positives": 5000})})
    short = staleness_curve(world(rare), problem, recipe=QUICK)
    assert short.periods.num_rows == 1
    assert short.loss_per_30_days == "The history is too short to tell what age costs a model"
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


def test_of_too_many_rows_whole_users_are_left_out() -> None:
    rows = world(same)
    history = History.of(rows, PROBLEM, most_rows=2000)
    assert 1900 <= history.rows.num_rows <= 2000
    kept = set(history.users.tolist())
    assert history.rows.num_rows == sum(user in kept for user in rows["user_id"].to_pylist())


@pytest.mark.parametrize("ask", [choose_window, staleness_curve])
def test_too_short_a_history_or_one_outcome_is_said_in_one_sentence(ask: Callable[..., object]) -> None:
    with pytest.raises(InputError, match="The history has 0 matured sends before the test window"):
        ask(world(same, rows=0), PROBLEM, recipe=QUICK)
    with pytest.raises(InputError, match="too few or over too short a time"):
        ask(world(same, rows=200, length=5), PROBLEM, recipe=QUICK)
    spared = world(lambda age, place: np.full(len(age), -50.0), rows=500)
    with pytest.raises(InputError, match="of which 0 are unsubscribes"):
        ask(spared, PROBLEM, recipe=QUICK)


def test_missing_values_and_an_empty_column_stop_nothing() -> None:
    rows = world(same, rows=1500)
    rows = rows.set_column(rows.column_names.index("purchases"), "purchases", pa.nulls(1500, pa.int64()))
    ages = rows["age"].to_numpy().copy()
    ages[::3] = np.nan
    rows = replaced(rows, "age", ages)
    assert choose_window(rows, PROBLEM, recipe=QUICK, candidates=[RECENT]).table().num_rows == 8


def test_progress_is_told_in_words() -> None:
    said: list[str] = []
    choose_window(world(same, rows=1500), PROBLEM, recipe=QUICK, candidates=[RECENT], report=said.append)
    assert said[0] == "backtest: fold 1 of 3, 2 training windows"
    said.clear()
    staleness_curve(world(same, rows=1500), PROBLEM, recipe=QUICK, report=said.append)
    assert said[0].startswith("ageing: period 1 of ")
