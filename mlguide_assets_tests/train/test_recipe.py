"""Training windows weigh rows by their age, and a recipe survives being stored."""

import json

import numpy as np
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.recipe import CHOSEN, DEFAULT_RECIPE, Recipe, TrainingWindow, current_recipe

DAYS = np.datetime64("2025-01-01", "us") + np.arange(100) * np.timedelta64(1, "D")


def test_the_whole_history_counts_alike() -> None:
    assert (TrainingWindow().weights(DAYS) == 1).all()


def test_a_rolling_window_leaves_out_what_is_older() -> None:
    weights = TrainingWindow("rolling", 30).weights(DAYS)
    assert weights.sum() == 30
    assert (weights[-30:] == 1).all()


def test_a_decayed_window_halves_with_every_span() -> None:
    weights = TrainingWindow("decayed", 10).weights(DAYS)
    np.testing.assert_allclose(weights[[-1, -11, -21]], [1, 0.5, 0.25])


@pytest.mark.parametrize(("kind", "days"), [("all", 3), ("rolling", None), ("decayed", 0)])
def test_a_window_that_makes_no_sense_is_refused(kind: str, days: int | None) -> None:
    with pytest.raises(ValueError, match="days >= 1"):
        TrainingWindow(kind, days)  # type: ignore[arg-type]


def test_no_rows_have_no_weights() -> None:
    assert TrainingWindow("rolling", 3).weights(DAYS[:0]).shape == (0,)


def test_a_recipe_comes_back_from_json() -> None:
    recipe = Recipe({"max_depth": 3}, TrainingWindow("rolling", 90))
    for each in (recipe, recipe.of_lately(load_problem("planeswalker"))):
        assert Recipe.from_json(json.loads(json.dumps(each.to_json()))) == each


def test_where_the_past_is_no_guide_the_latest_count_and_test() -> None:
    recipe = DEFAULT_RECIPE.of_lately(load_problem("planeswalker"))
    assert (recipe.window, recipe.test_days) == (TrainingWindow("decayed", 28), 7)
    assert recipe.parameters == DEFAULT_RECIPE.parameters


def test_the_default_holds_until_something_was_chosen(tmp_path: object) -> None:
    assert current_recipe(Lake(tmp_path)) == DEFAULT_RECIPE  # type: ignore[arg-type]
    assert CHOSEN == "training_recipe"
