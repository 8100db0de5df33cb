"""What the benchmark asks of a replay is decided from its JSON."""

from typing import Any

import pytest

from mlguide_assets.retrain.replay.scenario import shipped_scenarios
from mlguide_assets_tests.benchmarks.replays import BUDGET, DAYS, fulfilled, in_words


def outcome(scenario: str, *events: tuple[int, str, str, str], **changed: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("false_alarms", "retrainings", "promotions", "rollbacks", "harmful_days"), 0)
    rows = [dict(zip(("day", "kind", "about", "what"), event, strict=True)) for event in events]
    return {"scenario": scenario, "events": rows, "experiment": None, **counts, **changed}


PLANTED = (30, "planted", "planted", "something")
ALERT = (40, "noticed", "performance", "alert: Outcomes are worse than the champion expects")
TRAINED = (41, "action", "training", "training (performance_drop): it dropped.")
MONTHLY = (31, "action", "training", "training (daily): much has matured.")
RESOLVED = (60, "noticed", "performance", "resolved: performance-gap")
FOUND = {"verdict": "ship", "ratio": {"value": 0.3, "low": 0.2, "high": 0.4}, "truth": 0.25}


def test_every_shipped_scenario_is_measured() -> None:
    assert sorted(DAYS) == sorted(BUDGET) == sorted(shipped_scenarios())


@pytest.mark.parametrize(
    "done",
    [
        outcome("calm", MONTHLY),
        outcome("covariate_shift", PLANTED, (41, "noticed", "drift", "alert: The sends drift")),
        outcome("concept_shift", PLANTED, ALERT, TRAINED, RESOLVED),
        outcome("broken_feed", PLANTED, (30, "noticed", "data", "purchases is broken")),
        outcome("better_challenger", promotions=1),
        outcome("harmful_challenger", rollbacks=1, harmful_days=2),
        outcome("harmful_challenger"),
        outcome("experiment", experiment=FOUND),
    ],
    ids=lambda done: str(done["scenario"]),
)
def test_what_is_asked_is_fulfilled(done: dict[str, Any]) -> None:
    assert fulfilled(done)


@pytest.mark.parametrize(
    "done",
    [
        outcome("calm", false_alarms=1),
        outcome("calm", TRAINED),
        outcome("calm", rollbacks=1),
        outcome("covariate_shift", PLANTED, (12, "noticed", "drift", "alert: The sends drift")),
        outcome("concept_shift", PLANTED, ALERT, TRAINED),
        outcome("concept_shift", PLANTED, ALERT, RESOLVED),
        outcome("concept_shift", PLANTED, TRAINED),
        outcome("broken_feed", PLANTED, (37, "noticed", "data", "purchases is broken")),
        outcome("better_challenger"),
        outcome("harmful_challenger", harmful_days=29, rollbacks=1),
        outcome("harmful_challenger", harmful_days=3),
        outcome("experiment"),
        outcome("experiment", experiment=FOUND | {"verdict": "keep"}),
        outcome("experiment", experiment=FOUND | {"truth": 0.5}),
    ],
    ids=lambda done: str(done["scenario"]),
)
def test_what_is_asked_is_not_fulfilled(done: dict[str, Any]) -> None:
    assert not fulfilled(done)


def test_a_replay_in_words() -> None:
    said = in_words(outcome("concept_shift", PLANTED, ALERT, TRAINED, retrainings=1))
    assert "planted on day 30; noticed on day 40; acted on on day 41" in said
    assert in_words(outcome("calm")).startswith("0 false alarms")
    assert "ship: 0.3, 0.2 to 0.4; truth 0.25" in in_words(outcome("experiment", experiment=FOUND))
