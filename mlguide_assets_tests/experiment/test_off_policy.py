"""The value of a policy from the decisions of another: right on average, honest about chance, silent unsupported."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import binom

from mlguide_assets.experiment.off_policy import estimators
from mlguide_assets.experiment.off_policy.estimators import DM, DR, IPS, LOGGED, SNIPS, estimate
from mlguide_assets.experiment.off_policy.evaluation import evaluate
from mlguide_assets.experiment.off_policy.log import PolicyLog, Predictions
from mlguide_assets.experiment.off_policy.outcome_model import UNKNOWN, Decisions, predict_actions, predict_uniform
from mlguide_assets.experiment.off_policy.support import TOLERANCE, diagnose
from mlguide_assets_tests.experiment.logs import RATES, Logged, logged


def log_of(rewards: Sequence[float], propensities: Sequence[float], target: Sequence[float]) -> PolicyLog:
    return PolicyLog(np.arange(len(rewards)), np.array(rewards), np.array(propensities), np.array(target))


def without_context(decisions: Decisions) -> Decisions:
    context = replace(decisions.context, values=decisions.context.values[:, :0], categorical=())
    return replace(decisions, context=context)


def kinds(world: Logged) -> np.ndarray:
    return world.decisions.context.values[:, 0].astype(int)


def width(value: estimators.Value) -> float:
    return value.value.high - value.value.low


def test_estimators_by_hand() -> None:
    log = log_of([1, 0, 1, 1], [0.5, 0.5, 0.25, 0.5], [1, 0, 0.5, 0.25])
    predictions = Predictions(logged=np.array([0.5, 0.5, 1, 0]), target=np.array([0.5, 0.25, 0.75, 0.5]))
    found = {name: each.value.value for name, each in estimate(log, predictions).items()}
    # Weights 2, 0, 2, 0.5; residuals 0.5, -0.5, 0, 1.
    assert found == pytest.approx({LOGGED: 0.75, IPS: 4.5 / 4, SNIPS: 1, DM: 0.5, DR: 0.5 + 1.5 / 4})


def test_intervals_cover_the_truth_over_200_seeds() -> None:
    seeds, covered = 200, dict.fromkeys((IPS, SNIPS, DR), 0)
    for seed in range(seeds):
        world = logged(seed)
        predict = partial(predict_actions, without_context(world.decisions), world.chosen)
        found = evaluate(world.log, predict, repeats=200, seed=seed)
        assert found.supported, found.reason
        for name in covered:
            value = found.estimates[name].value
            covered[name] += value.low <= world.truth <= value.high
    low, high = binom.interval(0.99, seeds, 0.95)
    assert all(low <= count <= high for count in covered.values()), covered


def test_a_right_model_makes_up_for_wrong_propensities() -> None:
    world = logged(1)
    kind = kinds(world)
    log = replace(world.log, propensities=np.full(len(kind), 0.9), rewards=RATES[kind, world.decisions.actions])
    right = RATES[kind, world.chosen]
    found = estimate(log, Predictions(log.rewards, right))
    assert found[DR].value.value == pytest.approx(right.mean())
    assert abs(found[IPS].value.value - world.truth) > 0.05


def test_the_denominator_of_snips_is_drawn_too() -> None:
    found = estimate(replace(logged(1).log, rewards=np.ones(1600)))
    assert width(found[SNIPS]) == pytest.approx(0)
    assert width(found[IPS]) > 0.05


def test_repeated_rows_of_a_unit_are_no_evidence() -> None:
    log = logged(1, rows=1).log
    twice = PolicyLog(*(np.repeat(each, 2) for each in (log.units, log.rewards, log.propensities, log.target)))
    assert estimate(twice) == estimate(log)


def test_the_order_of_rows_does_not_matter() -> None:
    log = logged(1).log
    order = np.random.default_rng(0).permutation(len(log.rewards))
    mixed = PolicyLog(*(each[order] for each in (log.units, log.rewards, log.propensities, log.target)))
    for name, value in estimate(log).items():
        assert value.value.low == pytest.approx(estimate(mixed)[name].value.low)


def test_many_units_in_groups_vary_as_they_do_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logged(1, units=3000).log
    alone = estimate(log)
    monkeypatch.setattr(estimators, "MOST_CLUSTERS", 1000)
    grouped = estimate(log)
    assert grouped[SNIPS] != alone[SNIPS]
    assert width(grouped[SNIPS]) == pytest.approx(width(alone[SNIPS]), rel=0.15)


@pytest.mark.parametrize("with_context", [False, True], ids=["means", "trees"])
def test_what_a_unit_did_is_not_in_its_own_predictions(with_context: bool) -> None:
    world = logged(1, units=100)
    decisions = world.decisions if with_context else without_context(world.decisions)
    unit = decisions.units == 7
    other = replace(decisions, rewards=np.where(unit, 1 - decisions.rewards, decisions.rewards))
    before, after = predict_actions(decisions, world.chosen), predict_actions(other, world.chosen)
    np.testing.assert_array_equal(before.target[unit], after.target[unit])
    assert (before.target != after.target).any()


def test_trees_learn_what_the_context_tells() -> None:
    world = logged(1, units=2000)
    right = RATES[kinds(world), world.chosen]
    found = predict_actions(world.decisions, world.chosen)
    assert np.abs(found.target - right).mean() < np.abs(right.mean() - right).mean() / 2
    uniform = predict_uniform(world.decisions, RATES.shape[1])
    np.testing.assert_array_equal(uniform.logged, found.logged)
    assert np.abs(uniform.target - RATES[kinds(world)].mean(axis=1)).mean() < 0.03


def test_the_unit_of_rewards_does_not_matter() -> None:
    decisions = logged(1, units=200).decisions
    few = predict_uniform(replace(decisions, rewards=-2 * decisions.rewards), RATES.shape[1])
    many = predict_uniform(replace(decisions, rewards=-2e99 * decisions.rewards), RATES.shape[1])
    np.testing.assert_allclose(many.target, 1e99 * few.target, rtol=1e-5)


def test_an_action_never_logged_is_predicted_by_the_mean() -> None:
    decisions = without_context(logged(1).decisions)
    unknown = predict_actions(decisions, np.full(1600, UNKNOWN)).target
    assert np.abs(unknown - decisions.rewards.mean()).max() < 0.02


def with_weights(target: np.ndarray, rewards: np.ndarray | None = None) -> PolicyLog:
    """A log of propensities 0.1, so that a target probability of 0.1 weighs 1."""
    n = len(target)
    coin = np.arange(n) % 2 if rewards is None else rewards
    return PolicyLog(np.arange(n), coin.astype(float), np.full(n, 0.1), target)


TEN_THOUSAND = np.full(10_000, 0.1)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (replace(with_weights(TEN_THOUSAND), unsupported=0.06), "holds nothing on at least 6.0% of the target's"),
        (
            with_weights(np.where(np.arange(10_000) % 5, 0.1, 0)),
            r"0\.8 \(standard error 0\.004\) where it must be 1: .* never takes at least 18\.8% .* or the propensities",
        ),
        (with_weights(2 * TEN_THOUSAND), r"The mean weight is 2 \(standard error 0\) where it must be 1"),
        (with_weights(np.repeat([1.0, 0.0], [49, 441])), "as much information as 49.0 rows of equal weight, of 490"),
        (with_weights(TEN_THOUSAND, np.arange(10_000) < 24), "as much information as 24.0 units"),
        (with_weights(TEN_THOUSAND, np.zeros(10_000)), "as much information as 0.0 units"),
        (with_weights(np.where(np.arange(1000), 0.1, 1.0) * np.where(np.arange(1000) < 180, 1, 0)), "One row carries"),
        (replace(with_weights(TEN_THOUSAND), units=np.arange(10_000) % 49), "as much information as 49.0 units"),
        (replace(with_weights(TEN_THOUSAND), units=np.arange(10_000).clip(600)), "One unit carries 6% of all weight"),
    ],
)
def test_without_support_there_is_no_estimate(log: PolicyLog, said: str) -> None:
    found = evaluate(log, repeats=20)
    assert not found.supported
    assert found.estimates == {}
    assert found.logged.value == log.rewards.mean()
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found.reason)


def test_two_rows_that_outweigh_ten_thousand_are_refused() -> None:
    generator = np.random.default_rng(0)
    propensities = np.full(10_000, 0.9)
    propensities[:2] = 1e-4
    target = np.full(10_000, 0.001)
    target[:2] = 0.5
    log = log_of(generator.integers(2, size=10_000), propensities, target)
    found = evaluate(log, repeats=20)
    assert found.diagnostics.effective_sample_size == pytest.approx(2, abs=0.01)
    assert not found.supported


def test_chance_alone_is_not_held_against_a_log() -> None:
    found = [diagnose(logged(seed, units=400).log) for seed in range(200)]
    assert sum(abs(each.mean_weight - 1) > TOLERANCE for each in found) > 50
    assert not any(each.unsupported_share > TOLERANCE for each in found)


@pytest.mark.parametrize(
    "column", [{"propensities": np.array([0.0, 0.5])}, {"target": np.array([0.5, 1.5])}, {"rewards": np.array([1.0])}]
)
def test_a_log_that_cannot_be_true_is_an_error(column: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"must be|is not"):
        replace(log_of([1, 0], [0.5, 0.5], [0.5, 0.5]), **column)
