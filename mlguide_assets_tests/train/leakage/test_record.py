"""Unchanged data are not examined for leaks twice, and what was found in others is never shown as theirs."""

from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.prepare.features.building import tables_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.checks import LEAKAGE_ALARMS
from mlguide_assets.train.leakage.record import look_for_leaks
from mlguide_assets_tests.email_case import by_name, send_features
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.sends import PROBLEM

NOT_READ: Any = None
"""In place of a table: whoever looks at it fails."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    tables = by_name(sample_tables(sends=1000))
    lake = Lake(tmp_path / "lake")
    for name, rows in tables.items():
        lake.write(name, rows)
    lake.write("send_features", send_features(tables, PROBLEM).to_pyarrow())
    return lake


def test_the_same_data_are_examined_once(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "leakage.json"
    assert look_for_leaks(path, lake, PROBLEM, NOT_READ, NOT_READ, known_only=True) == ()
    features = lake.read("send_features")
    found = look_for_leaks(path, lake, PROBLEM, tables_of(lake, PROBLEM), features, known_only=False)
    assert {each.check for each in found} == set(LEAKAGE_ALARMS)
    assert all(each.passed for each in found)
    for known_only in (True, False):
        assert look_for_leaks(path, lake, PROBLEM, NOT_READ, NOT_READ, known_only=known_only) == found

    other = PROBLEM.model_copy(update={"statement": "Another one."})
    assert look_for_leaks(path, lake, other, NOT_READ, NOT_READ, known_only=True) == ()
    lake.write("send_features", features.filter(features.user_id > 1).to_pyarrow())
    assert look_for_leaks(path, lake, PROBLEM, NOT_READ, NOT_READ, known_only=True) == ()
    path.write_text(path.read_text()[:50])
    assert look_for_leaks(path, lake, PROBLEM, NOT_READ, NOT_READ, known_only=True) == ()
