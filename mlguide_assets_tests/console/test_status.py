"""What is said of a champion that has no verdict on its performance: only what is true."""

from datetime import date

import pytest

from mlguide_assets.console.status import not_measured
from mlguide_assets_tests.train.sends import PROBLEM

FACTS = {"refit_until": "2026-03-01T18:00:00"}


@pytest.mark.parametrize(
    ("day", "known", "said"),
    [
        (2, 0, "No outcome has matured yet since it was trained."),
        (1, 9, "No outcome has matured yet since it was trained."),
        (2, 9, "It has not been measured yet, though 9 sends have matured since it was trained: 'mlguide run'"),
        (2, 1, "It has not been measured yet, though 1 send has matured since"),
    ],
)
def test_that_nothing_has_matured_is_said_only_where_nothing_has(day: int, known: int, said: str) -> None:
    landed = [{"day": date(2026, 3, day), "decisions": known, "matured": known, "known": known}]
    assert str(not_measured(FACTS, PROBLEM, landed)["reason"]).startswith(said)
