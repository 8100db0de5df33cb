"""Scenarios: those that ship load, those that cannot be replayed are refused, and a plant reaches the world."""

import re
from datetime import date
from pathlib import Path

import pytest

from mlguide_assets.define.loading import experiment_file, load_problem
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


PLANTS = "name: x\nstatement: y\nplants:\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: x\nstatement: y\nplants:\n  - {day: 3, what: concept_shit}\n", "line 4"),
        ("name: x\nstatement: y\nplants:\n  - {day: 9, until: 9, what: empty_column}\n", "until 9 must be after day 9"),
        ("name: x\nstatement: y\nplant: []\n", "did you mean 'plants'?"),
        (
            PLANTS + "  - {day: 1, until: 99999999, what: empty_column}\n",
            "line 4, plants.0.until: 99999999 is not valid",
        ),
        (PLANTS + "  - {day: 99999999, what: training}\n", "line 4, plants.0.day: 99999999 is"),
        (PLANTS + "  - {day: 1, what: concept_shift, share: 0.5}\n", "line 4, plants.0: share says nothing of concept"),
        (PLANTS + "  - {day: 1, what: shuffled_labels, column: age}\n", "line 4, plants.0: column says nothing of"),
        (PLANTS + 2 * "  - {day: 1, what: covariate_shift}\n", "line 5, plants.1: covariate_shift happens once"),
        (PLANTS + "  - {day: 0, what: experiment}\n", "line 4, plants.0: the scenario has no experiment"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_key(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        load_scenario(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            {"table": "user_profile"},
            "plants.1.table: planeswalker has no table 'user_profile'; did you mean 'user_",
        ),
        ({"column": "purchase"}, "plants.1.column: table user_profiles has no column 'purchase'; did you mean 'purch"),
        ({"table": "user_emails"}, "table user_emails has no column 'purchases'; there are user_id, email_id, unsub"),
    ],
    ids=["table", "column", "column of another table"],
)
def test_what_the_problem_does_not_have_cannot_be_emptied(names: dict[str, str], said: str) -> None:
    plants = (Plant(day=1, what="training"), Plant.model_validate({"day": 1, "what": "empty_column", **names}))
    with pytest.raises(InputError, match=f"^Scenario x, .*{re.escape(said)}"):
        source_of(Scenario(name="x", statement="y", plants=plants))


def test_an_experiment_that_could_not_start_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No experiment 'personalized': .* did you mean 'personalised'"):
        source_of(Scenario(name="x", statement="y", experiment="personalized"))
    over = tmp_path / "over.yaml"
    over.write_text(experiment_file("personalised").read_text() + "start: 2020-01-01\n")
    with pytest.raises(InputError, match="start 2020-01-01 is over"):
        source_of(Scenario(name="x", statement="y", experiment=str(over)))


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError, match="did you mean 'concept_shift'"):
        load_scenario("concept_shit")


def test_a_problem_without_a_simulator_cannot_be_replayed() -> None:
    with pytest.raises(InputError, match="a replay needs a world of known truth"):
        replayed_problem(load_problem("guide"), load_scenario("calm"), days=9, seed=7, sends=None)


def test_every_plant_has_words() -> None:
    assert "30% of the rows" in Plant(day=1, what="empty_column", share=0.3).in_words
