"""What each version said of its test window stays, whatever is trained after it."""

from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.deploy.forgetting import erase_from_lake
from mlguide_assets.deploy.gate.history import PROMOTED, record
from mlguide_assets.deploy.gate.holdout_record import (
    KEPT_VERSIONS,
    TEST_PREDICTIONS,
    keep_test_predictions,
    kept_predictions,
)
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import entity_of
from mlguide_assets.prepare.lake.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def trained(lake: Lake, version: int) -> None:
    lake.write(TEST_PREDICTIONS, pa.table({"user_id": [1, 2], "version": [version, version]}))
    keep_test_predictions(lake, str(version))


def kept(lake: Lake, version: int) -> list[int] | None:
    found = kept_predictions(lake, str(version))
    return None if found is None else found.to_pyarrow()["version"].to_pylist()


def test_trainings_after_it_leave_the_predictions_of_a_champion_of_versions_that_may_become_one_and_of_no_other(
    lake: Lake,
) -> None:
    keep_test_predictions(lake, "0")
    assert kept(lake, 0) is None, "nothing was predicted yet"
    last = 2 + KEPT_VERSIONS
    for version in range(1, last + 1):
        trained(lake, version)
        if version == 1:
            record(
                lake, version="1", trained_at="2026-01-01", verdict=PROMOTED, reasons=["So."], champion_before=None,
                decided_by="gate",
            )  # fmt: skip
    assert kept(lake, 1) == [1, 1]
    assert kept(lake, 2) is None
    assert [kept(lake, version) for version in range(3, last + 1)] == [[each, each] for each in range(3, last + 1)]


def test_what_is_forgotten_leaves_them_too(lake: Lake) -> None:
    trained(lake, 1)
    trained(lake, 2)
    erase_from_lake(lake, Erasure(entity_of(load_problem("planeswalker"), "user"), 2), lambda _: None)
    assert kept(lake, 1) == [1]
