"""Tuning: better parameters are found where there are any, and the default stays where there are not."""

import logging
import warnings
from collections.abc import Callable
from functools import cache
from itertools import count

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.train.backtest.history import History
from mlguide_assets.train.recipe import PARAMETERS, Recipe, TrainingWindow
from mlguide_assets.train.tuning import trials as trials_module
from mlguide_assets.train.tuning import tuning as tuning_module
from mlguide_assets.train.tuning.parameter_space import SPACE
from mlguide_assets.train.tuning.trials import FINISHED, OUT_OF_TIME, PRUNED, TRIALS
from mlguide_assets.train.tuning.tuning import FOLDS, Tuning, tune
from mlguide_assets_tests.train.backtest.worlds import QUICK, noise, same, world
from mlguide_assets_tests.train.sends import PROBLEM, replaced

POOR = Recipe({**QUICK.parameters, "min_child_weight": 10_000})
"""So cautious that no tree ever splits."""

LONG = 600.0


@cache
def tuned(recipe: str, risk: Callable[..., object] = same, trials: int = 6, seed: int = 0) -> Tuning:
    recipes = {"poor": POOR, "quick": QUICK}
    rows = world(risk, rows=2000)  # type: ignore[arg-type]
    return tune(rows, PROBLEM, recipe=recipes[recipe], seconds=LONG, trials=trials, seed=seed)


def without_seconds(trials: pa.Table) -> pa.Table:
    return trials.drop_columns(["seconds"])


@pytest.mark.ml_test_score("model-3")
def test_a_poor_default_gives_way_to_what_is_surely_better() -> None:
    tuning = tuned("poor")
    assert tuning.adopted
    assert tuning.gain.low > 0
    assert tuning.recipe.parameters["min_child_weight"] <= SPACE["min_child_weight"].high
    assert tuning.reason.startswith("Trial ")
    assert "is adopted" in tuning.reason


def test_what_is_not_searched_stays_as_it_was() -> None:
    window = TrainingWindow("rolling", 150)
    given = Recipe({**POOR.parameters, "max_bin": 64}, window)
    found = tune(world(same, rows=2000), PROBLEM, recipe=given, seconds=LONG, trials=3, seed=0)
    assert found.adopted
    assert found.recipe.window == window
    unsearched = {name: value for name, value in given.parameters.items() if name not in SPACE}
    assert {name: found.recipe.parameters[name] for name in unsearched} == unsearched
    assert set(found.recipe.parameters) == set(given.parameters) | set(SPACE)


@pytest.mark.parametrize("seed", [0, 1])
def test_pure_noise_keeps_the_default(seed: int) -> None:
    tuning = tuned("quick", noise, 6, seed)
    assert not tuning.adopted
    assert tuning.recipe == QUICK
    assert tuning.reason.startswith("The default parameters stay")


def test_trial_zero_is_the_default_as_it_is_even_outside_the_space() -> None:
    first = tuned("poor").trials.to_pylist()[0]
    assert (first["trial"], first["state"]) == (0, FINISHED)
    assert (first["min_child_weight"], first["max_depth"], first["learning_rate"]) == (10_000, 2, 0.3)
    assert first["reg_lambda"] == PARAMETERS["reg_lambda"]


def test_the_table_says_what_became_of_every_trial() -> None:
    tuning = tuned("poor")
    rows = tuning.trials.to_pylist()
    assert tuning.trials.schema == TRIALS
    assert [row["trial"] for row in rows] == list(range(7))
    for row in rows:
        assert (row["log_loss"] is not None) == (row["state"] == FINISHED)
        assert (row["pruned_at_fold"] is not None) == (row["state"] == PRUNED)
        assert row["seconds"] > 0
    for row in rows[1:]:
        assert all(SPACE[name].low <= row[name] <= SPACE[name].high for name in SPACE)
    chosen = [row for row in rows if row["chosen"]]
    assert len(chosen) == 1
    assert {name: chosen[0][name] for name in SPACE} == {name: tuning.recipe.parameters[name] for name in SPACE}
    assert chosen[0]["log_loss"] == min(row["log_loss"] for row in rows if row["state"] == FINISHED)


def test_trials_behind_the_others_are_dropped_before_the_last_choosing_fold() -> None:
    pruned = [row for row in tuned("quick", same, 9).trials.to_pylist() if row["state"] == PRUNED]
    assert pruned
    assert all(1 <= row["pruned_at_fold"] < FOLDS - 1 for row in pruned)


def test_the_same_seed_and_trials_give_the_same_result_and_another_seed_another() -> None:
    again = tune(world(same, rows=2000), PROBLEM, recipe=POOR, seconds=LONG, trials=6, seed=0)
    assert without_seconds(again.trials).equals(without_seconds(tuned("poor").trials))
    assert (again.recipe, again.reason) == (tuned("poor").recipe, tuned("poor").reason)
    other = tuned("poor", trials=1, seed=1).trials["learning_rate"].to_pylist()[1]
    assert other != again.trials["learning_rate"].to_pylist()[1]


def test_outcomes_of_the_last_fold_choose_no_trial_but_decide_on_the_winner() -> None:
    rows = world(same, rows=2000)
    last = History.of(rows, PROBLEM).folds(FOLDS, unseen_units=True)[-1]
    labels = rows["unsubscribed"].to_numpy().copy()
    labels[last.validate] = np.random.default_rng(0).permutation(labels[last.validate])
    poisoned = tune(replaced(rows, "unsubscribed", labels), PROBLEM, recipe=POOR, seconds=LONG, trials=6, seed=0)
    known = tuned("poor")
    for column in ("log_loss", "state", "learning_rate"):
        assert poisoned.trials[column].equals(known.trials[column])
    assert known.adopted
    assert not poisoned.adopted
    assert poisoned.recipe == POOR
    assert "its gain is not significant" in poisoned.reason


def test_without_time_for_the_default_it_stays_and_nothing_is_tried() -> None:
    tuning = tune(world(same, rows=2000), PROBLEM, recipe=POOR, seconds=0, trials=50, seed=0)
    assert (tuning.adopted, tuning.recipe, tuning.trials.num_rows) == (False, POOR, 0)
    assert "before they were evaluated" in tuning.reason
    assert np.isnan(tuning.gain.value)


def set_clock(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    for module in (tuning_module, trials_module):
        monkeypatch.setattr(module, "monotonic", clock)


def test_the_trial_that_runs_when_the_time_is_out_is_dropped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by a second with every look at it: one per boosting round, and a few per trial."""
    clock, said = count(), list[str]()
    set_clock(monkeypatch, lambda: float(next(clock)))
    rows = world(same, rows=1500)
    tuning = tune(rows, PROBLEM, recipe=POOR, seconds=400, trials=1000, seed=0, report=said.append)
    states = tuning.trials["state"].to_pylist()
    assert 1 < len(states) < 1000
    assert OUT_OF_TIME not in states[:-1]
    assert states[-1] == OUT_OF_TIME
    assert "dropped, the time is out" in "".join(said)
    assert 400 < next(clock) < 410, "no round after the deadline"


def test_a_default_that_takes_too_long_is_dropped_and_still_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still until the third boosting round of the default, then jumps past the deadline."""
    ticks = iter([0.0] * 8)
    set_clock(monkeypatch, lambda: next(ticks, 100.0))
    tuning = tune(world(same, rows=1500), PROBLEM, recipe=POOR, seconds=50, trials=5, seed=0)
    assert tuning.trials["state"].to_pylist() == [OUT_OF_TIME]
    assert tuning.recipe == POOR
    assert tuning.trials["log_loss"].to_pylist() == [None]


def test_without_trials_only_the_default_is_evaluated() -> None:
    tuning = tune(world(same, rows=1500), PROBLEM, recipe=QUICK, seconds=LONG, trials=0, seed=0)
    assert tuning.trials["chosen"].to_pylist() == [True]
    assert tuning.reason.endswith("for any others.")


def test_progress_is_reported_in_words_after_every_trial() -> None:
    said: list[str] = []
    tune(world(same, rows=1500), PROBLEM, recipe=POOR, seconds=LONG, trials=2, seed=0, report=said.append)
    assert said[0].startswith("default parameters: log-loss 0.")
    assert said[1].startswith("trial 1 of 2: log-loss 0.")
    assert "(best 0." in said[1]
    assert said[1].endswith(" s left")
    assert said[-1].startswith("tuning: trial ")


def test_optuna_says_nothing_of_its_own(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    import optuna

    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        tune(world(same, rows=1500), PROBLEM, recipe=POOR, seconds=LONG, trials=2, seed=0)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert optuna.logging.get_verbosity() == level


def test_too_short_a_history_or_one_outcome_is_said_in_one_sentence() -> None:
    with pytest.raises(InputError, match="The history has 0 matured decisions before the test window"):
        tune(world(same, rows=0), PROBLEM, recipe=QUICK, seconds=LONG, trials=1, seed=0)
    spared = world(lambda age, place: np.full(len(age), -50.0), rows=500)
    with pytest.raises(InputError, match="of which 0 are positive"):
        tune(spared, PROBLEM, recipe=QUICK, seconds=LONG, trials=1, seed=0)


def test_one_user_cannot_be_evaluated_on_others() -> None:
    with pytest.raises(InputError, match="each with units of its own"):
        tune(world(same, rows=2000, users=1), PROBLEM, recipe=POOR, seconds=LONG, trials=2, seed=0)
