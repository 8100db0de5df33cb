"""Criteria that others recorded: rows are only added, and the newest of a name counts."""

import math
from dataclasses import replace
from pathlib import Path

from mlguide_assets.deploy.gate.criteria import Criterion
from mlguide_assets.deploy.gate.recorded_criteria import COLUMNS, RECORDED_CRITERIA, record_criterion, recorded_criteria
from mlguide_assets.prepare.lake.lake import Lake

UNDECIDED = Criterion("experiment", math.nan, math.nan, math.inf, 1.0, False, "It is inconclusive.")
SHIP = Criterion("experiment", 0.82, 0.71, 0.94, 1.0, True, "It loses fewer users.")


def test_the_newest_of_a_name_counts_for_its_version_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert recorded_criteria(lake, "7") == ()
    record_criterion(lake, version="7", criterion=UNDECIDED, recorded_by="personalised v1")
    value = replace(SHIP, criterion="off_policy_value")
    record_criterion(lake, version="7", criterion=value, recorded_by="mlguide run", run_id="run 1")
    unknown = replace(UNDECIDED, value=None, low=None, high=None)
    assert recorded_criteria(lake, "7") == (unknown, value)
    record_criterion(lake, version="7", criterion=SHIP, recorded_by="personalised v2")
    assert recorded_criteria(lake, "7") == (SHIP, value)
    assert recorded_criteria(lake, "8") == ()
    table = lake.read_arrow(RECORDED_CRITERIA)
    assert table["recorded_by"].to_pylist() == ["personalised v1", "mlguide run", "personalised v2"]
    assert set(table.column_names) == set(COLUMNS)


def test_the_same_again_adds_nothing_and_another_answer_does(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for run_id in ("run 1", "the one after a kill"):
        record_criterion(lake, version="7", criterion=UNDECIDED, recorded_by="personalised v1", run_id=run_id)
    assert lake.read_arrow(RECORDED_CRITERIA)["run_id"].to_pylist() == ["run 1"]
    for criterion in (SHIP, UNDECIDED):
        record_criterion(lake, version="7", criterion=criterion, recorded_by="personalised v1")
    record_criterion(lake, version="8", criterion=UNDECIDED, recorded_by="personalised v1")
    assert lake.snapshot(RECORDED_CRITERIA).rows == 4
