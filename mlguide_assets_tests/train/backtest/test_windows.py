"""The training window that wins is the one that is better beyond chance."""

import numpy as np
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.train.backtest.history import History
from mlguide_assets.train.backtest.windows import ALL, WINDOWS, choose_window, default_windows
from mlguide_assets.train.recipe import TrainingWindow
from mlguide_assets_tests.train.backtest.worlds import QUICK, RECENT, Risk, choice_in, noise, same, turning, world
from mlguide_assets_tests.train.sends import PROBLEM, replaced
from mlguide_assets_tests.train.times import days


def test_where_the_world_has_turned_the_recent_window_wins() -> None:
    choice = choice_in(turning)
    assert choice.chosen == RECENT
    assert choice.reason.startswith("The window rolling 40 d is learned from: it gains significantly")


@pytest.mark.parametrize("risk", [same, noise])
def test_where_nothing_has_changed_the_whole_history_stays(risk: Risk) -> None:
    choice = choice_in(risk)
    assert choice.chosen == ALL
    assert choice.reason.startswith("The whole history is learned from: no window gains significantly")


def test_every_window_is_evaluated_on_every_fold_and_the_whole_history_is_the_zero() -> None:
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
    last = History.of(rows, PROBLEM).folds(3, unseen_units=True)[-1]
    labels[last.validate] = 1 - labels[last.validate]
    poisoned = choose_window(replaced(rows, "unsubscribed", labels), PROBLEM, recipe=QUICK, candidates=[ALL, RECENT])
    known = choice_in(turning).table()
    for window in (0, 4):
        for column in ("roc_auc", "log_loss", "gain"):
            assert poisoned.table()[column][window : window + 2].equals(known[column][window : window + 2])
            assert window == 0 or not poisoned.table()[column][6].equals(known[column][6])


def test_one_user_cannot_be_evaluated_on_others() -> None:
    with pytest.raises(InputError, match="each with units of its own"):
        choose_window(world(turning, users=1), PROBLEM, recipe=QUICK, candidates=[RECENT])


def test_windows_are_evaluated_on_users_that_the_fold_did_not_learn_from() -> None:
    history = History.of(world(turning), PROBLEM)
    for fold in history.folds(3, unseen_units=True):
        assert not set(history.units[fold.train]) & set(history.units[fold.validate])
