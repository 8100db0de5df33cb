"""The picture of a replay holds all that it shows."""

import re

import pytest

from mlguide_assets.retrain.replay.outcome import Outcome
from mlguide_assets.retrain.replay.page import page
from mlguide_assets.retrain.replay.scenario import load_scenario
from mlguide_assets.retrain.replay.truth import Worth


@pytest.mark.parametrize("days", [1, 20, 90])
def test_the_bar_of_a_champion_ends_with_the_axis(days: int) -> None:
    champions = dict.fromkeys(range(days + 1), "1")
    counts = dict.fromkeys(("retrainings", "promotions", "rollbacks", "harmful_days"), 0)
    outcome = Outcome("calm", 7, days, "2026-01-01", (), (), (), champions, **counts, worth=Worth())
    html = page(outcome, load_scenario("calm"))
    axes = [float(end) for end in re.findall(r'<line x1="[\d.]+" x2="([\d.]+)"[^>]*class="axis"', html)]
    bars = re.findall(r'<rect class="span[^>]*?\bx="([\d.]+)"[^>]*?width="([\d.]+)"', html)
    assert len(axes) == len(bars) == 2
    for end, (start, width) in zip(axes, bars, strict=True):
        assert float(start) + float(width) <= end
