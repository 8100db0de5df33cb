"""Scenarios: those that ship load, those that cannot be replayed are refused, and a plant reaches the world."""

from datetime import date
from pathlib import Path

import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.errors import InputError
from mlguide_assets.retrain.replay.scenario import (
    Plant,
    Scenario,
    load_scenario,
    refuse_too_short,
    replayed_problem,
    shipped_scenarios,
)


def source_of(scenario: Scenario, days: int = 90) -> SimulatorSource:
    problem = replayed_problem(load_problem("planeswalker"), scenario, days=days, seed=3, sends=None)
    assert isinstance(problem.source, SimulatorSource)
    return problem.source


def test_every_scenario_of_the_issue_ships() -> None:
    asked = "calm covariate_shift concept_shift broken_feed better_challenger harmful_challenger experiment"
    assert set(asked.split()) == set(shipped_scenarios())
    assert all(load_scenario(name).name == name for name in shipped_scenarios())


def test_only_what_is_planted_changes_the_world() -> None:
    calm = source_of(load_scenario("calm"))
    assert (calm.covariate_shift, calm.concept_shift, calm.faults) == (None, None, ())
    shifted = source_of(load_scenario("concept_shift"))
    assert shifted.concept_shift == date(2026, 1, 31)
    assert shifted.model_copy(update={"concept_shift": None}) == calm


def test_a_fault_of_the_feed_lasts_for_its_days() -> None:
    (fault,) = source_of(load_scenario("broken_feed")).faults
    assert (fault.first, fault.until, fault.what) == (date(2026, 1, 31), date(2026, 2, 7), "empty")


def test_the_days_of_a_harmful_training_are_those_of_shuffled_labels() -> None:
    assert load_scenario("harmful_challenger").harmful_days == {30}
    # Where some labels are right there is something to learn: the model is weaker, not harmful.
    assert load_scenario("better_challenger").harmful_days == frozenset()


def test_an_alarm_is_explained_from_the_day_of_the_plant_on() -> None:
    scenario = load_scenario("broken_feed")
    assert not scenario.explains(29, "data")
    assert scenario.explains(30, "data")
    assert not scenario.explains(30, "rollback")


def test_a_replay_must_reach_what_is_planted() -> None:
    with pytest.raises(InputError, match="--days 20 ends before day 32"):
        refuse_too_short(load_scenario("harmful_challenger"), 20)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: x\nstatement: y\nplants:\n  - {day: 3, what: concept_shit}\n", "line 4"),
        ("name: x\nstatement: y\nplants:\n  - {day: 9, until: 9, what: empty_column}\n", "until 9 must be after day 9"),
        ("name: x\nstatement: y\nplant: []\n", "did you mean 'plants'?"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_key(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        load_scenario(str(tmp_path / "mine.yaml"))


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError, match="did you mean 'concept_shift'"):
        load_scenario("concept_shit")


def test_a_problem_without_a_simulator_cannot_be_replayed() -> None:
    with pytest.raises(InputError, match="a replay needs a world of known truth"):
        replayed_problem(load_problem("guide"), load_scenario("calm"), days=9, seed=7, sends=None)


def test_every_plant_has_words() -> None:
    assert "30% of the rows" in Plant(day=1, what="empty_column", share=0.3).in_words
