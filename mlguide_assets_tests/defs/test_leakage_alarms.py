"""The leakage alarms stop a training; a reading says what they found, and what watches the champion goes on."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlguide_assets.defs.train import FEATURES, leakage_alarms
from mlguide_assets.defs.workspace import PROBLEM, Workspace, key_of
from mlguide_assets.train.checks import LEAKAGE_ALARMS
from mlguide_assets.train.leakage.record import Finding

FOUND = tuple(
    Finding(check, number > 0, "age", 0.853, 0.85, f"age {number} knows too much")
    for number, check in enumerate(LEAKAGE_ALARMS)
)


@dg.asset(ins={"features": dg.AssetIn(FEATURES)})
def watched(features: Any) -> None:
    """What follows the features, as the watch over the champion does."""


def run(folder: Path, *, known_only: bool) -> dg.ExecuteInProcessResult:
    keys = [FEATURES, *(key_of(name) for name in PROBLEM.tables)]
    sources = dg.multi_asset(name="sources", outs={each.path[-1]: dg.AssetOut(key=each) for each in keys})
    return dg.materialize(
        [sources(lambda: (None,) * len(keys)), leakage_alarms, watched],
        resources={"workspace": Workspace(root=str(folder)), "io_manager": dg.mem_io_manager},
        run_config={"ops": {"leakage_alarms": {"config": {"known_only": known_only}}}},
        raise_on_error=False,
    )


@pytest.fixture(autouse=True)
def findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.train.leakage.record.look_for_leaks", lambda *_, **__: FOUND)


def evaluated(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, dg.AssetCheckSeverity]]:
    return {each.check_name: (each.passed, each.severity) for each in result.get_asset_check_evaluations()}


def test_a_reading_says_what_was_found_and_goes_on(tmp_path: Path) -> None:
    result = run(tmp_path, known_only=True)
    assert result.success
    assert result.asset_materializations_for_node("watched")
    assert evaluated(result) == {each.check: (each.passed, dg.AssetCheckSeverity.WARN) for each in FOUND}


def test_a_training_stops(tmp_path: Path) -> None:
    result = run(tmp_path, known_only=False)
    assert not result.success
    assert not result.asset_materializations_for_node("watched")
    assert evaluated(result) == {each.check: (each.passed, dg.AssetCheckSeverity.ERROR) for each in FOUND}
    (failed,) = [each for each in result.all_events if each.is_step_failure]
    assert "age 0 knows too much" in str(failed.step_failure_data.error)
