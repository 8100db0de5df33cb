"""Which model becomes the candidate: the best, or a simpler one that is as good."""

from datetime import timedelta

import numpy as np
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.train.choice import SIMPLEST_FIRST, Choice, TrainingRows, choose_model, simplest_as_good
from mlguide_assets.train.models.encoding import EncodedFeature, Encoding
from mlguide_assets.train.models.models import PATIENCE
from mlguide_assets.train.recipe import DEFAULT_RECIPE
from mlguide_assets_tests.samples import sample_problem

PROBLEM = sample_problem("nowhere")
ENCODING = Encoding((EncodedFeature("theme", ("art", "food")), EncodedFeature("age"), *map(EncodedFeature, "xy")))
ROWS = 3000


def training_rows(*, interaction: bool, rows: int = ROWS) -> TrainingRows:
    """Theme and age lose users by themselves, or only together; twenty sends a day."""
    random = np.random.default_rng(0)
    matrix = np.c_[random.integers(0, 2, rows), random.normal(size=(rows, 3))].astype(np.float32)
    food, old = matrix[:, 0] == 1, matrix[:, 1] > 0
    risk = 0.05 + 0.5 * (food == old) if interaction else 0.05 + 0.2 * food + 0.2 * old
    times = np.datetime64("2025-01-01", "us") + np.arange(rows) * np.timedelta64(72, "m")
    return TrainingRows(
        matrix,
        (random.random(rows) < risk).astype(np.int8),
        times.astype("datetime64[us]"),
        random.integers(0, 300, rows),
        ENCODING,
        np.ones(rows),
    )


def chosen(known: TrainingRows, problem: Problem = PROBLEM) -> Choice:
    return choose_model(known, problem, DEFAULT_RECIPE)


def test_what_only_trees_can_learn_makes_xgboost_the_candidate() -> None:
    choice = chosen(training_rows(interaction=True))
    assert choice.model == "xgboost"
    assert choice.reason.startswith("The candidate is xgboost: it is better than l")
    assert "paired 95 % CI +" in choice.reason


def test_where_a_linear_model_is_as_good_it_is_preferred() -> None:
    choice = chosen(training_rows(interaction=False))
    assert choice.model == "logistic_regression"
    assert set(choice.calibrations) == set(SIMPLEST_FIRST)


def test_a_history_too_short_to_compare_on_takes_the_simplest() -> None:
    known = training_rows(interaction=True, rows=100)
    problem = sample_problem("nowhere", label={**PROBLEM.label.model_dump(mode="json"), "window": "30d"})
    choice = chosen(known, problem)
    assert (choice.model, choice.rounds) == ("logistic_regression", PATIENCE)
    assert "too short to compare" in choice.reason


def answers(quality: dict[str, float], rows: int = 4000) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Labels, and probabilities that know of them what `quality` says, with noise in common."""
    random = np.random.default_rng(1)
    labels, noise = (random.random(rows) < 0.2).astype(np.int8), random.normal(size=rows)
    said = {
        name: 1 / (1 + np.exp(-(each * labels + noise + 0.3 * random.normal(size=rows))))
        for name, each in quality.items()
    }
    return labels, said, random.integers(0, 500, rows)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ({"a": 1.0, "b": 1.0, "c": 1.0}, "a"),
        ({"a": 1.0, "b": 2.0, "c": 2.0}, "b"),
        ({"a": 1.0, "b": 1.5, "c": 2.0}, "c"),
        ({"a": 2.0, "b": 1.0, "c": 1.0}, "a"),
    ],
)
def test_the_simplest_model_than_which_none_is_shown_to_be_better(quality: dict[str, float], expected: str) -> None:
    model, reason = simplest_as_good(*answers(quality), PROBLEM)
    assert model == expected
    assert reason.startswith(f"The candidate is {expected}")


def test_one_user_shows_nothing_so_the_simplest_is_taken() -> None:
    labels, said, users = answers({"a": 1.0, "b": 3.0})
    model, reason = simplest_as_good(labels, said, np.zeros_like(users), PROBLEM)
    assert model == "a"
    assert reason.startswith(
        "The candidate is a, the simplest model, since without an interval none can be shown to be better, and so not b"
    )
    assert "no paired 95 % CI can be given for 1 user)" in reason
    assert "nan" not in reason


def test_a_model_that_orders_as_well_and_is_off_by_more_is_not_as_good() -> None:
    labels, said, users = answers({"a": 1.0})
    said = {"a": 1 - (1 - said["a"]) ** 8, "b": said["a"] + 1e-9 * labels}
    model, reason = simplest_as_good(labels, said, users, PROBLEM)
    assert model == "b"
    assert "better than a, the best simpler model (Log-loss +" in reason
    worse_order = {"a": said["a"], "b": said["b"] * 0.2 + 0.8 * np.random.default_rng(0).random(len(labels))}
    for metric, expected in (("roc_auc", "a"), ("log_loss", "b")):
        problem = sample_problem("nowhere", metric={"primary": metric})
        assert simplest_as_good(labels, worse_order, users, problem)[0] == expected


def test_rows_of_weight_zero_are_not_learned_from() -> None:
    known = training_rows(interaction=True)
    inner_start = int(ROWS * 0.85)
    weights = np.r_[np.zeros(1000), np.ones(ROWS - 1000)]
    spoiled = known.labels.copy()
    spoiled[:1000] = 1 - spoiled[:1000]
    assert known.times[inner_start] - known.times[1000] > np.timedelta64(timedelta(days=30))
    as_known, as_spoiled = (
        chosen(TrainingRows(known.matrix, labels, known.times, known.units, ENCODING, weights))
        for labels in (known.labels, spoiled)
    )
    assert as_known == as_spoiled
