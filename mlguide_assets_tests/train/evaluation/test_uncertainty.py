"""Intervals and nulls: equal to scikit-learn replicate by replicate, right as often as they say, and fast."""

import numpy as np
import pytest
from sklearn import metrics as oracle  # type: ignore[import-untyped]

from mlguide_assets.statistics import bootstrap
from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.train.evaluation.metrics import METRICS, point
from mlguide_assets.train.evaluation.uncertainty import (
    bootstrap_metrics,
    paired_difference,
    permutation_null,
    replicate_metrics,
)

Rows = tuple[Integers, Floats, Integers]


def clustered_rows(users: int, rows_each: int, seed: int, shared: float = 1.5) -> Rows:
    """Labels, scores and users, each (n,); labels and scores lean on a taste that rows of one user share."""
    generator = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rows_each)
    taste = shared * generator.standard_normal(users)[user]
    risk = 1 / (1 + np.exp(1 - taste))
    score = 1 / (1 + np.exp(1 - taste - 0.7 * generator.standard_normal(len(user))))
    return (generator.random(len(user)) < risk).astype(np.int64), score, user


def test_replicates_are_scikit_learns_with_weights() -> None:
    labels, probabilities, users = clustered_rows(40, 6, seed=1)
    models = {"fine": probabilities, "tied": probabilities.round(1).clip(0.1, 0.9), "flat": np.full(240, 0.3)}
    replicates = replicate_metrics(labels, models, users, repeats=20)
    bootstrap = ClusterBootstrap(users, 20)
    weights = np.hstack([bootstrap.row_weights(counts) for counts in bootstrap.draws(at_once=7)])
    assert weights.shape == (240, 20)
    for name, scores in models.items():
        for repeat, weight in enumerate(weights.T):
            expected = {
                "roc_auc": oracle.roc_auc_score(labels, scores, sample_weight=weight),
                "pr_auc": oracle.average_precision_score(labels, scores, sample_weight=weight),
                "log_loss": oracle.log_loss(labels, scores, sample_weight=weight),
                "brier": oracle.brier_score_loss(labels, scores, sample_weight=weight),
            }
            found = {metric: replicates.of(name, metric)[1][repeat] for metric in METRICS}
            assert found == pytest.approx(expected, abs=1e-12)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities, users = clustered_rows(60, 5, seed=2)
    whole = replicate_metrics(labels, {"model": probabilities}, users, repeats=50)
    monkeypatch.setattr(bootstrap, "WORKING_SIZE", 3000)
    np.testing.assert_array_equal(
        replicate_metrics(labels, {"model": probabilities}, users, repeats=50).values, whole.values
    )


def test_estimate_is_the_value_on_all_rows_within_its_interval() -> None:
    labels, probabilities, users = clustered_rows(200, 5, seed=3)
    estimates = bootstrap_metrics(labels, {"model": probabilities}, users)["model"]
    assert list(estimates) == list(METRICS)
    for metric, estimate in estimates.items():
        assert estimate.value == point(metric, labels, probabilities)
        assert estimate.low < estimate.value < estimate.high


def test_narrower_level_is_inside_the_wider() -> None:
    labels, probabilities, users = clustered_rows(100, 5, seed=3)
    replicates = replicate_metrics(labels, {"model": probabilities}, users)
    wide, narrow = (replicates.estimates(level)["model"]["brier"] for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("metric", METRICS)
def test_paired_difference_is_positive_for_the_better_and_tighter_than_two_intervals(metric: str) -> None:
    labels, probabilities, users = clustered_rows(300, 5, seed=4)
    blurred = 0.5 * probabilities + 0.5 * np.random.default_rng(0).random(len(labels))
    replicates = replicate_metrics(labels, {"good": probabilities, "blurred": blurred}, users)
    better = paired_difference(replicates, "good", "blurred", metric)
    worse = paired_difference(replicates, "blurred", "good", metric)
    assert 0 < better.low < better.value < better.high
    assert (worse.value, worse.low, worse.high) == pytest.approx((-better.value, -better.high, -better.low))
    separate = [replicates.estimates()[model][metric] for model in replicates.models]
    assert better.high - better.low < sum(each.high - each.low for each in separate)
    itself = paired_difference(replicates, "good", "good", metric)
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)


def test_replicates_without_a_value_are_left_out() -> None:
    # One user holds the only positive: a quarter of the resamples miss him.
    labels, users = np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1])
    replicates = replicate_metrics(labels, {"model": np.array([0.9, 0.1, 0.2, 0.3])}, users)
    assert 0.15 < np.isnan(replicates.of("model", "roc_auc")[1]).mean() < 0.35
    estimate = replicates.estimates()["model"]["roc_auc"]
    assert (estimate.low, estimate.high) == (1, 1)


def test_one_outcome_alone_has_losses_but_no_ranking() -> None:
    estimates = bootstrap_metrics(np.zeros(4), {"model": np.full(4, 0.1)}, np.arange(4))["model"]
    assert np.isnan([estimates["roc_auc"].value, estimates["roc_auc"].low, estimates["pr_auc"].high]).all()
    assert np.isfinite([estimates["log_loss"].low, estimates["brier"].high]).all()


@pytest.mark.parametrize("rows", [0, 3])
def test_fewer_than_two_users_have_no_interval(rows: int) -> None:
    estimate = bootstrap_metrics([1] * rows, {"model": [0.5] * rows}, ["only"] * rows)["model"]["brier"]
    assert np.isnan([estimate.low, estimate.high]).all()


def test_users_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"units \(3,\) and 'model' \(2,\) must have equal length"):
        bootstrap_metrics([0, 1], {"model": [0.1, 0.2]}, [1, 2, 3])


@pytest.fixture(scope="module")
def simulated_intervals() -> dict[str, Floats]:
    """Low and high (2, 200) of the ROC AUC, by user and by row, over 200 small samples of one world."""
    found = {"user": np.empty((2, 200)), "row": np.empty((2, 200))}
    for seed in range(200):
        labels, probabilities, users = clustered_rows(120, 8, seed)
        for name, units in (("user", users), ("row", np.arange(len(users)))):
            estimates = bootstrap_metrics(labels, {"model": probabilities}, units, repeats=120, seed=seed)
            found[name][:, seed] = estimates["model"]["roc_auc"].low, estimates["model"]["roc_auc"].high
    return found


def test_interval_by_user_covers_and_by_row_does_not(
    simulated_intervals: dict[str, Floats],
) -> None:
    truth = point("roc_auc", *clustered_rows(100_000, 8, seed=9999)[:2])
    covered = {unit: np.mean((low < truth) & (truth < high)) for unit, (low, high) in simulated_intervals.items()}
    assert 0.90 <= covered["user"] <= 0.99
    assert covered["row"] < covered["user"] - 0.05


def test_interval_by_row_is_too_narrow(simulated_intervals: dict[str, Floats]) -> None:
    width = {unit: np.median(high - low) for unit, (low, high) in simulated_intervals.items()}
    assert width["row"] < 0.85 * width["user"]


@pytest.mark.parametrize("metric", METRICS)
def test_null_is_that_of_shuffled_labels(metric: str) -> None:
    labels, probabilities, _ = clustered_rows(60, 2, seed=5, shared=0.5)
    probabilities = probabilities.round(1).clip(0.1, 0.9)
    found = permutation_null(labels, probabilities, metric, repeats=2000)
    generator = np.random.default_rng(1)
    shuffled = [point(metric, generator.permutation(labels), probabilities) for _ in range(2000)]
    noise = 5 * np.std(shuffled) / np.sqrt(2000)
    assert found.observed == point(metric, labels, probabilities)
    assert found.null_mean == pytest.approx(np.mean(shuffled), abs=noise)
    expected = pytest.approx(np.quantile(shuffled, [0.025, 0.975]), abs=3 * noise)
    assert (found.null_low, found.null_high) == expected
    sign = 1 if METRICS[metric].higher_is_better else -1
    as_good = sign * (np.array(shuffled) - found.observed)
    assert found.p_value == pytest.approx(np.mean(as_good >= -1e-12), abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_p_values_are_uniform_by_chance(metric: str) -> None:
    from scipy.stats import kstest  # type: ignore[import-untyped]

    generator = np.random.default_rng(6)
    p_values = [
        permutation_null(generator.random(150) < 0.3, generator.random(150), metric, repeats=99, seed=seed).p_value
        for seed in range(200)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rate", [0.02, 0.7])
def test_constant_scores_are_chance(metric: str, rate: float) -> None:
    labels = np.random.default_rng(7).random(1000) < rate
    found = permutation_null(labels, np.full(1000, 0.1234), metric, repeats=99)
    assert found.p_value == 1
    assert found.null_mean == pytest.approx(found.observed)


def test_better_than_chance_for_the_wrong_direction_is_not() -> None:
    labels, probabilities, _ = clustered_rows(200, 2, seed=8)
    for metric in METRICS:
        assert permutation_null(labels, 1 - probabilities, metric, repeats=99).p_value > 0.9


def test_null_of_one_class() -> None:
    assert np.isnan(permutation_null([0, 0, 0], [0.1, 0.2, 0.3], "roc_auc").p_value)
    assert permutation_null([0, 0, 0], [0.1, 0.2, 0.3], "log_loss").p_value == 1
