"""What an experiment needs and finds, from a population that is known."""

from dataclasses import replace
from typing import Any

import pytest

from mlguide_assets.experiment.sizing import Population, Sizing, size_of
from mlguide_assets.statistics.power import Baseline
from mlguide_assets_tests.experiment.files import PROBLEM, experiment

POPULATION = Population(units=10_000, units_per_day=0.0, measured=10_000, baseline=Baseline(0.1))


def test_a_mean_that_never_varied_is_nothing_to_plan_from() -> None:
    which = experiment(primary="{metric: actions, better: higher, smallest_effect: 0.1}", guardrails="[]")
    found = size_of(which, PROBLEM, replace(POPULATION, baseline=Baseline(3.0, 0.0)))
    assert (found.needed_units, found.detectable, found.is_enough) == (None, None, False)


def test_an_outcome_that_is_final_during_a_day_counts_from_the_next_on() -> None:
    # Final after a window of 36 hours and labels that take 7 days.
    which = experiment(outcome_window="36h", looks="[9d, 10d]", ramp="[{share: 0.1, days: 1}, {share: 1}]")
    assert size_of(which, PROBLEM, POPULATION).looks == ((9, 1000), (10, 10_000))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "large enough"),
        (
            {"needed_units": 900, "needed_days": None},
            "too small, and later looks do not help, since no new units arrive: aim at a larger",
        ),
        ({"needed_units": 900, "needed_days": 60}, "too small: look on day 60 or later, or aim at a larger effect"),
        (
            {"needed_units": 900, "needed_days": None, "population": replace(POPULATION, units_per_day=0.1)},
            "too small: aim at a larger",
        ),
        ({"events": 1.0}, "later looks do not help, since no new units arrive"),
        ({"events": 1.0, "population": replace(POPULATION, units_per_day=9.0)}, "look later, since too few outcomes"),
        ({"needed_units": None}, "cannot be planned"),
    ],
)
def test_what_is_too_small_is_told_what_helps(changed: dict[str, Any], said: str) -> None:
    enough = Sizing(POPULATION, ((21, 500),), 500, 400, 14, 0.1, 1_000.0)
    assert said in replace(enough, **changed).verdict
