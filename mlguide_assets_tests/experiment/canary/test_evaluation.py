"""Judging a canary: what each rule does alone, and its errors over many simulated ramps."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from mlguide_assets.console.canary import _finding
from mlguide_assets.define.promotion import Canary
from mlguide_assets.experiment.canary.evaluation import Counts, Evaluation, evaluate
from mlguide_assets.statistics.confidence_sequences import Stage

CANARY = Canary()
ENOUGH: Counts = {"outcome": [Stage(990, 10, 0.01)]}


def look(counts: Counts = ENOUGH, canary: Canary = CANARY, **state: int) -> Evaluation:
    return evaluate(canary, counts, **{"step": 0, "days_in_step": 2, "days": 2, **state})


def test_a_step_goes_on_once_its_time_and_its_events_are_there() -> None:
    assert (look().action, look().step, look().share) == ("advance", 1, 0.05)
    early = look(days_in_step=1)
    assert (early.action, early.share, early.reason) == (
        "hold",
        0.01,
        "Day 1 of 2 at 1%: no guardrail is significantly worse.",
    )
    few = look({"outcome": [Stage(20, 1, 0.01)]})
    assert (few.action, few.reason.split(" had")[0]) == ("hold", "21 of 25 units of both arms")


def test_the_end_of_the_ramp_promotes_on_events_of_its_own() -> None:
    assert look({"outcome": [Stage(1300, 24, 0.02)]}, step=3).action == "hold"
    done = look({"outcome": [Stage(1300, 25, 0.02)]}, step=3)
    assert (done.action, done.share) == ("promote", 0.0)


def test_what_may_be_harm_is_not_promoted_until_more_is_known() -> None:
    doubtful = {"outcome": [Stage(60, 75, 0.5)]}
    held = look(doubtful, step=3)
    assert (held.action, held.share) == ("hold", 0.5)
    assert held.reason.startswith("At the end of the ramp it stays in doubt: the rate of units")
    assert look({"outcome": [Stage(160, 180, 0.5)]}, step=3).action == "promote"


@pytest.mark.parametrize("metric", ["outcome", "errors", "slow"])
def test_harm_of_each_guardrail_aborts_whatever_the_day(metric: str) -> None:
    harmful: dict[Any, list[Stage]] = {**ENOUGH, metric: [Stage(990, 40, 0.01)]}
    found = look(harmful, days_in_step=0, days=0)
    assert (found.action, found.share) == ("abort", 0.0)
    assert [each.metric for each in found.findings if each.is_beyond] == [metric]
    assert "times the champion's" in found.reason


def test_errors_where_the_champion_has_none_abort() -> None:
    assert look({**ENOUGH, "errors": [Stage(0, 10, 0.01)]}).action == "abort"
    assert look({**ENOUGH, "errors": [Stage(0, 10, 0.5)]}).action != "abort"


def test_a_signal_pauses_and_lets_go_again() -> None:
    paused = look({**ENOUGH, "withheld": [Stage(9900, 300, 0.01)]})
    assert (paused.action, paused.step, paused.share) == ("pause", 0, 0.01)
    assert paused.reason.startswith("The ramp pauses at 1%: the rate of units that were withheld from is 3.00 times")
    assert look({**ENOUGH, "withheld": [Stage(9900, 100, 0.01)]}).action == "advance"


def test_what_cannot_be_evaluated_gives_up() -> None:
    assert look({}, days=60).action == "give_up"
    harmful = {**ENOUGH, "errors": [Stage(0, 20, 0.01)]}
    assert look(harmful, days=60).action == "abort"


def test_evidence_is_json_without_numbers_that_are_not_finite() -> None:
    reasons = [each.to_json() for each in look({}).findings]
    assert [each["metric"] for each in reasons] == ["outcome", "errors", "slow", "withheld"]
    assert all(each["ratio_value"] is None and each["ratio_high"] is None for each in reasons)


def ramp(ratio: float, seed: int, canary: Canary, *, a_day: float = 40.0) -> tuple[str, int]:
    """How a simulated canary ends, and after how many days: `a_day` outcomes without it, `ratio` times with it."""
    random, stages, step, since = np.random.default_rng(seed), [Stage(0, 0, canary.ramp[0])], 0, 0
    for day in range(1, 200):
        share, now = canary.ramp[step], stages[-1]
        control, treatment = random.poisson(a_day * (1 - share)), random.poisson(a_day * share * ratio)
        stages[-1] = Stage(now.control + control, now.treatment + treatment, share)
        counts: Mapping[Any, list[Stage]] = {"outcome": stages}
        found = evaluate(canary, counts, step=step, days_in_step=day - since, days=day)
        if not found.share:
            return found.action, day
        if found.step > step:
            step, since = found.step, day
            stages.append(Stage(0, 0, found.share))
    raise AssertionError("it never ended")


ALONE = Canary(guardrails={"outcome": 0.2}, signals={}, give_up_after=190)
WATCHED = Canary(guardrails={"outcome": 0.01}, signals={}, ramp=(0.01, 0.05, 0.2, 0.5), days_per_step=6)


def test_harmless_versions_are_aborted_no_more_often_than_alpha() -> None:
    ends = [ramp(1.0, seed, WATCHED)[0] for seed in range(40)]
    assert ends.count("abort") <= binom.ppf(0.99, 40, WATCHED.alpha)


def test_great_harm_aborts_before_half_of_the_units_met_it() -> None:
    ends = [ramp(3.0, seed, ALONE) for seed in range(15)]
    assert {end for end, _ in ends} == {"abort"}
    assert max(day for _, day in ends) <= 8


AT_THE_END: dict[Any, list[Stage]] = {"outcome": [Stage(5000, 4800, 0.5)]}


@pytest.mark.parametrize("metric", ["errors", "slow"])
@pytest.mark.parametrize("stages", [[Stage(0, 1, 0.5)], [Stage(0, 1, 0.2)], [Stage(1, 3, 0.5)]])
def test_few_events_that_no_more_will_follow_do_not_keep_a_harmless_version(metric: str, stages: list[Stage]) -> None:
    found = look({**AT_THE_END, metric: stages}, step=3, days_in_step=14, days=20)
    assert found.action == "promote"


@pytest.mark.parametrize("metric", ["errors", "slow"])
def test_few_events_put_a_promotion_off_while_so_many_come_that_they_will_tell(metric: str) -> None:
    frequent = {**AT_THE_END, metric: [Stage(1, 3, 0.5)]}
    assert look(frequent, step=3, days_in_step=2, days=8).action == "hold"
    # What came at an earlier step does not say that more will.
    assert look({**AT_THE_END, metric: [Stage(1, 3, 0.2)]}, step=3, days_in_step=2, days=8).action == "promote"


def test_a_measured_ratio_beyond_its_margin_is_never_promoted() -> None:
    measured = {**AT_THE_END, "errors": [Stage(15, 25, 0.5)]}
    assert look(measured, step=3, days_in_step=50, days=59).action == "hold"
    assert look(measured, step=3, days_in_step=51, days=60).action == "give_up"


def rare_errors(ratio: float, a_day: float, seed: int) -> str:
    """How a canary ends that loses nobody, where `a_day` units of the champion get no answer, `ratio` times with it."""
    canary = Canary(signals={})
    random, stages, step, since = np.random.default_rng(seed), [Stage(0, 0, canary.ramp[0])], 0, 0
    for day in range(1, canary.give_up_after + 1):
        share, now = canary.ramp[step], stages[-1]
        control, treatment = random.poisson(a_day * (1 - share)), random.poisson(a_day * share * ratio)
        stages[-1] = Stage(now.control + control, now.treatment + treatment, share)
        found = evaluate(canary, {**AT_THE_END, "errors": stages}, step=step, days_in_step=day - since, days=day)
        if not found.share:
            return found.action
        if found.step > step:
            step, since = found.step, day
            stages.append(Stage(0, 0, found.share))
    raise AssertionError("it never ended")


def test_rare_errors_neither_keep_harmless_versions_nor_hide_harm() -> None:
    assert {rare_errors(1.0, 0.1, seed) for seed in range(60)} == {"promote"}
    assert {rare_errors(10.0, 2.0, seed) for seed in range(20)} == {"abort"}


def test_where_only_its_own_units_fail_the_least_ratio_is_said() -> None:
    found = look({**ENOUGH, "errors": [Stage(0, 12, 0.01)]})
    (worst,) = (each for each in found.findings if each.is_beyond)
    least = f"{worst.ratio.low:.2f}"
    assert found.reason == (
        "It is significantly harmful: the rate of units that it failed to answer is at least "
        f"{least} times the champion's, which has none (from 12 and 0; accepted: 1.5)."
    )
    assert "inf" not in " ".join(each.sentence for each in found.findings)


def test_status_and_reason_say_the_same_of_a_ratio() -> None:
    said = {each.metric: each for each in look({**ENOUGH, "errors": [Stage(0, 12, 0.01)], "slow": []}).findings}
    shown = {metric: _finding(each.to_json()) for metric, each in said.items()}
    assert shown["slow"] == "0 units of its own, 0 of the champion's: nothing to compare"
    for metric in ("errors", "outcome"):
        words = shown[metric].split(": ", 1)[1].split(" (")[0]
        assert f"is {words} (" in said[metric].sentence
    assert shown["errors"].startswith("12 units of its own, 0 of the champion's: at least ")
