"""What windows and ageing share: resampling, the limit on rows, and histories that are too short."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.train.backtest.history import LEAST_REPEATS, FoldScores, History, replicated
from mlguide_assets.train.backtest.staleness import staleness_curve
from mlguide_assets.train.backtest.windows import choose_window
from mlguide_assets.train.evaluation.uncertainty import replicate_metrics
from mlguide_assets_tests.train.backtest.worlds import QUICK, RECENT, same, world
from mlguide_assets_tests.train.sends import PROBLEM, replaced


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "log_loss", "brier"])
def test_one_part_is_resampled_as_the_evaluation_does(metric: str) -> None:
    random = np.random.default_rng(1)
    labels, users = random.random(400) < 0.3, random.integers(0, 50, 400)
    scores = {"a": random.random(400), "b": np.clip(labels * 0.3 + random.random(400) * 0.7, 0, 1)}
    points, values = replicated(metric, [FoldScores(labels, users, scores)], ("a", "b"), PROBLEM)
    seed = PROBLEM.evaluation.seed
    known = replicate_metrics(labels, scores, users, repeats=LEAST_REPEATS, seed=seed)
    for at, name in enumerate(("a", "b")):
        value, replicates = known.of(name, metric)
        assert points[at, 0] == pytest.approx(value)
        np.testing.assert_allclose(values[at, 0], replicates, rtol=1e-10)


def test_parts_with_the_same_users_vary_together() -> None:
    """Were the folds taken as independent, the interval of their mean would be too narrow by the square root of 2."""
    random = np.random.default_rng(1)
    part = FoldScores(random.random(400) < 0.3, random.integers(0, 50, 400), {"a": random.random(400)})
    _, values = replicated("roc_auc", [part, part], ("a",), PROBLEM)
    np.testing.assert_array_equal(values[0, 0], values[0, 1])


def test_of_too_many_rows_whole_users_are_left_out() -> None:
    rows = world(same)
    history = History.of(rows, PROBLEM, most_rows=2000)
    assert 1900 <= history.rows.num_rows <= 2000
    kept = set(history.units.tolist())
    assert history.rows.num_rows == sum(user in kept for user in rows["user_id"].to_pylist())


@pytest.mark.parametrize("ask", [choose_window, staleness_curve])
def test_too_short_a_history_or_one_outcome_is_said_in_one_sentence(ask: Callable[..., object]) -> None:
    with pytest.raises(InputError, match="The history has 0 matured decisions before the test window"):
        ask(world(same, rows=0), PROBLEM, recipe=QUICK)
    with pytest.raises(InputError, match="too few or over too short a time"):
        ask(world(same, rows=200, length=5), PROBLEM, recipe=QUICK)
    spared = world(lambda age, place: np.full(len(age), -50.0), rows=500)
    with pytest.raises(InputError, match="of which 0 are positive"):
        ask(spared, PROBLEM, recipe=QUICK)


def test_missing_values_and_an_empty_column_stop_nothing() -> None:
    rows = world(same, rows=1500)
    rows = rows.set_column(rows.column_names.index("purchases"), "purchases", pa.nulls(1500, pa.int64()))
    ages = rows["age"].to_numpy().copy()
    ages[::3] = np.nan
    rows = replaced(rows, "age", ages)
    assert choose_window(rows, PROBLEM, recipe=QUICK, candidates=[RECENT]).table().num_rows == 8


def test_progress_is_reported_in_words() -> None:
    said: list[str] = []
    choose_window(world(same, rows=1500), PROBLEM, recipe=QUICK, candidates=[RECENT], report=said.append)
    assert said[0] == "backtest: fold 1 of 3, 2 training windows"
    said.clear()
    staleness_curve(world(same, rows=1500), PROBLEM, recipe=QUICK, report=said.append)
    assert said[0].startswith("ageing: period 1 of ")
