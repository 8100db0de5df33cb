"""What the champion's outcomes cost, against its training and against its own estimate."""

import pytest

from mlguide_assets.define.training import Costs
from mlguide_assets.retrain.incidents import cost_effects

COSTS = Costs(missed=10, false_alarm=1)
METRICS = {
    # Of 1,000 decisions: 100 positives, of which 60 are missed; 50 withheld, of which 10 needlessly.
    "realised": {"base_rate": 0.1, "recall": 0.4, "withheld_share": 0.05, "precision": 0.8},
    # 50 positives, of which 10 are missed; 50 withheld, of which 10 needlessly.
    "estimated": {"base_rate": 0.05, "recall": 0.8, "withheld_share": 0.05, "precision": 0.8},
}


def windows(day: int, factor: float = 1.0) -> list[dict[str, object]]:
    return [
        {"day": day, "metric": name, **{side: factor * METRICS[side][name] for side in METRICS}}
        for name in METRICS["realised"]
    ]


def test_the_newest_window_is_held_against_training_and_estimate() -> None:
    against_training, against_estimate = cost_effects([*windows(2), *windows(1, factor=0.5)], 300.0, COSTS)
    assert against_training == pytest.approx(610 - 300)
    assert against_estimate == pytest.approx(610 - 110)


def test_what_was_not_recorded_has_no_price() -> None:
    assert cost_effects(windows(1), None, COSTS)[0] is None
    assert cost_effects([], 300.0, COSTS) == (None, None)
