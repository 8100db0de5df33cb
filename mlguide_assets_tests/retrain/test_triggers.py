"""When a model is trained anew: each trigger on its own, on rows as the assets write them."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.retrain.ticks import RUN, WAIT
from mlguide_assets.retrain.trigger_state import TriggerState, matured_since
from mlguide_assets.retrain.triggers import daily, drift, new_outcomes, performance_drop

PROBLEM = load_problem("planeswalker")
TODAY = date(2026, 3, 10)
KNOWN = TriggerState(newest=TODAY, learned_until=date(2026, 3, 1), champion="3")


def drifted_day(number: int, scores: str, *, whole: str = "act", **features: str) -> list[dict[str, Any]]:
    """A day of `data_drift`; an important feature is named `big`, another `small`."""
    levels = {"(all)": whole, "probability": scores, "unsubscribed": "none", **features}
    importance = {"big": 0.3, "small": 0.01}
    return [
        {"day": f"2026-03-{number:02d}", "column": name, "level": level, "importance": importance.get(name, 1.0)}
        for name, level in levels.items()
    ]


def window(number: int, verdict: str) -> dict[str, Any]:
    day, reason = f"2026-03-{number:02d}", f"It is {verdict}."
    return {"day": day, "window_days": 7, "verdict": verdict, "difference": -0.1, "reason": reason}


def test_a_day_without_anything_new_trains_nothing() -> None:
    tick = daily(KNOWN, PROBLEM)
    assert tick.decision == WAIT
    assert tick.reason == (
        "0 sends have matured, with a known outcome, since the last training, which learned up to 2026-03-01; "
        "1 is required."
    )
    assert daily(replace(KNOWN, new_matured=1), PROBLEM).reason.startswith("1 send has matured, ")


@pytest.mark.ml_test_score("monitor-4")
def test_one_matured_send_is_enough_for_the_daily_training() -> None:
    assert daily(replace(KNOWN, new_matured=1), PROBLEM).decision == RUN


@pytest.mark.parametrize(("matured", "decision"), [(4999, WAIT), (5000, RUN)])
def test_the_other_schedule_waits_for_as_many_as_the_problem_says(matured: int, decision: str) -> None:
    tick = new_outcomes(replace(KNOWN, new_matured=matured), PROBLEM)
    assert (tick.decision, tick.evidence) == (decision, {"new_matured": matured, "wanted": 5000})


def test_before_the_first_training_everything_is_new() -> None:
    assert matured_since(landed(8), None) == 120
    assert "so far" in daily(TriggerState(newest=TODAY, new_matured=1), PROBLEM).reason


def test_sends_count_once_their_whole_day_has_matured() -> None:
    days = landed(8)
    assert matured_since(days, TODAY - timedelta(days=8)) == 0
    assert matured_since(days, TODAY - timedelta(days=9)) == 10
    half = [{**row, "matured": min(row["matured"], 5), "known": min(row["known"], 5)} for row in days]
    assert matured_since(half, None) == 0
    assert matured_since([], None) == 0


def test_what_has_no_outcome_although_its_time_is_over_is_nothing_to_learn_from() -> None:
    unknown = [{**row, "known": 0} for row in landed(8)]
    assert matured_since(unknown, None) == 0
    assert matured_since([*unknown[:-1], {**unknown[-1], "known": 3}], None) == 3


def landed(since: int) -> list[dict[str, Any]]:
    """Twenty days of ten sends, the newest first: of those so many days ago, and before, outcomes have matured."""
    matured = {back: 10 if back >= since else 0 for back in range(20)}
    return [
        {"day": TODAY - timedelta(days=back), "rows": 10, "decisions": 10, "matured": count, "known": count}
        for back, count in matured.items()
    ]


BOTH = {"scores": "warn", "big": "act"}


@pytest.mark.parametrize(
    ("first", "second", "decision", "said"),
    [
        (BOTH, BOTH, RUN, "Scores and important features (big) have drifted 2 days in a row, up to 2026-03-02."),
        ({"scores": "none"}, BOTH, WAIT, "on this day only so far"),
        (BOTH, {"scores": "none"}, WAIT, "nothing has drifted that moves the scores"),
        ({"scores": "act"}, {"scores": "act"}, WAIT, "but no important feature has"),
        ({"scores": "act", "small": "act"}, {"scores": "act", "small": "act"}, WAIT, "but no important feature has"),
        ({"scores": "act", "big": "warn"}, {"scores": "act", "big": "warn"}, WAIT, "but no important feature has"),
        ({"scores": "none", "big": "act"}, {"scores": "none", "big": "act"}, WAIT, "but the scores have not"),
    ],
)
def test_drift_trains_where_it_moves_the_scores_on_two_days_in_a_row(
    first: dict[str, str], second: dict[str, str], decision: str, said: str
) -> None:
    tick = drift(replace(KNOWN, drift=[*drifted_day(1, **first), *drifted_day(2, **second)]), PROBLEM)
    assert tick.decision == decision
    assert said in tick.reason


def test_a_day_with_too_few_sends_neither_counts_nor_interrupts() -> None:
    days = [*drifted_day(1, **BOTH), *drifted_day(2, "too_few", whole="too_few"), *drifted_day(3, **BOTH)]
    assert drift(replace(KNOWN, drift=days), PROBLEM).decision == RUN


def test_days_that_were_tested_together_are_a_window() -> None:
    days = [{**row, "window_days": 5} for number in (5, 10) for row in drifted_day(number, **BOTH)]
    known = replace(KNOWN, drift=days)
    assert "have drifted 2 windows in a row, up to 2026-03-10." in drift(known, PROBLEM).reason
    # An experiment chose on a day in the middle of each.
    experimented = frozenset({"2026-03-03", "2026-03-08"})
    assert drift(replace(known, experimented=experimented), PROBLEM).decision == WAIT


@pytest.mark.parametrize(("feature", "decision"), [("theme", WAIT), ("age", RUN)])
def test_while_an_experiment_chooses_only_drift_that_no_plan_can_make_is_evidence(feature: str, decision: str) -> None:
    days = [row for number in (1, 2) for row in drifted_day(number, "act", **{feature: "act"})]
    known = replace(KNOWN, drift=days)
    assert drift(known, PROBLEM).decision == RUN
    experimented = frozenset({"2026-03-01", "2026-03-02"})
    assert drift(replace(known, experimented=experimented), PROBLEM).decision == decision


@pytest.mark.parametrize(
    ("verdicts", "decision"),
    [
        (["dropped"] * 8, RUN),
        (["dropped", "too_few", *["dropped"] * 6], RUN),
        (["dropped"] * 7, WAIT),
        (["holds", *["dropped"] * 7], WAIT),
        ([*["dropped"] * 8, "holds"], WAIT),
        (["too_few"], WAIT),
        ([], WAIT),
    ],
)
def test_a_drop_trains_once_windows_that_share_no_day_have_it(verdicts: list[str], decision: str) -> None:
    rows = [window(number, verdict) for number, verdict in enumerate(verdicts, start=1)]
    assert performance_drop(replace(KNOWN, verdicts=rows), PROBLEM).decision == decision


def test_evidence_waits_until_it_has_cooled_down_and_time_does_not() -> None:
    rows = [window(number, "dropped") for number in range(1, 9)]
    known = replace(KNOWN, verdicts=rows, last_action=TODAY - timedelta(days=2), new_matured=9000)
    tick = performance_drop(known, PROBLEM)
    assert tick.decision == WAIT
    assert tick.reason == ("It is dropped; evidence was acted on at 2026-03-08, less than 3 days of data ago.")
    assert performance_drop(replace(known, last_action=TODAY - timedelta(days=3)), PROBLEM).decision == RUN
    assert daily(known, PROBLEM).decision == new_outcomes(known, PROBLEM).decision == RUN


def test_without_a_champion_there_is_nothing_to_watch() -> None:
    known = TriggerState(newest=TODAY)
    assert drift(known, PROBLEM).reason == performance_drop(known, PROBLEM).reason == "There is no champion to watch."


@pytest.mark.parametrize(
    ("dropped", "difference", "decision"),
    [
        ([], -0.1, WAIT),
        ([7], -0.1, RUN),
        ([28, 7], -0.1, RUN),
        ([6], -0.1, WAIT),
        ([43, 7], -0.1, WAIT),
        ([7], -0.02, WAIT),
    ],
    ids=["never", "a window ago", "again", "no new window", "long enough", "it is mended"],
)
def test_a_drop_that_no_model_has_mended_trains_again_with_each_window(
    dropped: list[int], difference: float, decision: str
) -> None:
    rows = [{**window(number, "holds"), "difference": difference} for number in (8, 9)]
    days = [TODAY - timedelta(days=days) for days in dropped]
    tick = performance_drop(replace(KNOWN, verdicts=rows, dropped=days), PROBLEM)
    assert tick.decision == decision
    assert ("no model since was better: in the 7 days to 2026-03-09 ROC AUC was 0.1000 below" in tick.reason) == (
        decision == RUN
    )
