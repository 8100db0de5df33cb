"""What two runs say is held side by side, and where it differs that is seen."""

from dataclasses import replace
from pathlib import Path

from mlguide_assets.settings import Home
from mlguide_assets_tests.benchmarks.engines import compared, said_by


def test_a_run_agrees_with_itself_and_with_none_that_says_otherwise(sample_home: Path) -> None:
    said = said_by(Home(sample_home / "home"))
    assert said.verdict == "promoted"
    assert len(said.alarms) == 4
    assert said.metrics["roc_auc"][0] > 0.5
    assert all(each.agree for each in compared(said, said))
    value, _, high = said.metrics["roc_auc"]
    others = {
        "verdict": replace(said, verdict="refused"),
        "candidate": replace(said, candidate="another"),
        "roc_auc": replace(said, metrics={**said.metrics, "roc_auc": (high + 0.01, value, high + 0.02)}),
        "rows of send_features": replace(said, rows={**said.rows, "send_features": 1}),
        "canary_stays_silent": replace(
            said, alarms={name: each for name, each in said.alarms.items() if name != "canary_stays_silent"}
        ),
    }
    for what, other in others.items():
        assert [each.what for each in compared(said, other) if not each.agree] == [what]
