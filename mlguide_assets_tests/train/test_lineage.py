"""Equal data, problem and code have equal lineage; a change of any of them changes it."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets import code_version as code
from mlguide_assets.define.policies import Exploration
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Evaluation
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets.train import lineage as module
from mlguide_assets.train.lineage import Lineage, lineage_of, plans_of, training_code_version
from mlguide_assets.train.recipe import PARAMETERS, Recipe, TrainingWindow
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.train.sends import PROBLEM

TABLES = (*PROBLEM.tables, PROBLEM.features_table)


def filled(root: Path, value: int = 1) -> Lake:
    lake = Lake(root)
    for table in TABLES:
        lake.write(table, pa.table({"x": [value]}))
    return lake


def test_it_names_the_snapshot_of_every_table(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lineage = lineage_of(lake, PROBLEM)
    assert lineage.snapshots == {table: lake.snapshot(table).id for table in TABLES}
    assert lineage.to_json()["id"] == lineage.id
    assert len(lineage.id) == 12


def test_equal_inputs_have_equal_ids_wherever_and_whenever_they_were_written(tmp_path: Path) -> None:
    lake, elsewhere = filled(tmp_path / "a"), filled(tmp_path / "b", value=5)
    assert lineage_of(lake, PROBLEM).id != lineage_of(elsewhere, PROBLEM).id
    for table in TABLES:
        elsewhere.write(table, pa.table({"x": [1]}))
    assert lineage_of(lake, PROBLEM).id == lineage_of(elsewhere, PROBLEM).id


def test_other_features_change_the_id(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    before = lineage_of(lake, PROBLEM).id
    lake.write("send_features", pa.table({"x": [2]}))
    assert lineage_of(lake, PROBLEM).id != before


@pytest.mark.ml_test_score("model-1")
def test_another_problem_changes_the_id(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    reseeded = PROBLEM.model_copy(update={"evaluation": Evaluation(seed=1)})
    assert lineage_of(lake, PROBLEM).id == lineage_of(lake, PROBLEM.model_copy()).id
    assert lineage_of(lake, PROBLEM).id != lineage_of(lake, reseeded).id


def test_other_code_of_training_changes_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = filled(tmp_path)
    before = lineage_of(lake, PROBLEM).id
    monkeypatch.setattr(module, "TRAINING", ("mlguide_assets.train.candidate",))
    assert lineage_of(lake, PROBLEM).id != before


def test_other_versions_of_the_libraries_that_learn_change_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = training_code_version()
    installed = code.version
    monkeypatch.setattr(code, "version", lambda name: "0.0.1" if name == "xgboost" else installed(name))
    assert training_code_version() != before
    assert training_code_version().split("+")[0] == before.split("+")[0]


def test_a_lake_without_features_has_no_lineage(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError):
        lineage_of(Lake(tmp_path), PROBLEM)


def test_another_recipe_changes_the_id(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    other = Recipe({**PARAMETERS, "max_depth": 3})
    assert lineage_of(lake, PROBLEM).id == lineage_of(lake, PROBLEM, Recipe()).id
    assert lineage_of(lake, PROBLEM).id != lineage_of(lake, PROBLEM, other).id
    assert (
        lineage_of(lake, PROBLEM, other).id
        != lineage_of(lake, PROBLEM, Recipe(window=TrainingWindow("rolling", 90))).id
    )


def test_a_lineage_comes_back_from_json(tmp_path: Path) -> None:
    lineage = lineage_of(filled(tmp_path), PROBLEM)
    assert Lineage.from_json(lineage.to_json()) == lineage


def weighing_lake(root: Path) -> tuple[Lake, Problem]:
    """Matured sends until the second day, a plan for each of three days, and a problem that weights by them."""
    lake = filled(root)
    sends = {"delivered_at": [datetime(2024, 1, 1, 9), datetime(2024, 1, 2, 9), datetime(2024, 1, 3, 9)]}
    lake.write("send_features", pa.table({**sends, "unsubscribed": [0, 1, None]}))
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        lake.write_partition(SEND_PLAN, day, pa.table({"propensity": [0.5], "run_id": ["first"]}))
    exploring = Exploration(share=0.1, weight_training=True)
    return lake, PROBLEM.model_copy(update={"exploration": exploring})


def test_plans_that_weight_are_part_of_it(tmp_path: Path) -> None:
    lake, weighing = weighing_lake(tmp_path)
    before = lineage_of(lake, weighing)
    assert before.snapshots[SEND_PLAN] == lake.snapshot(SEND_PLAN).id
    plans = plans_of(lake, before, PROBLEM)
    assert plans is not None
    assert plans.count().to_pyarrow().as_py() == 3
    lake.write_partition(SEND_PLAN, "2024-01-02", pa.table({"propensity": [0.1], "run_id": ["first"]}))
    assert lineage_of(lake, weighing).id != before.id


def test_plans_of_days_without_a_matured_send_make_no_other_model(tmp_path: Path) -> None:
    lake, weighing = weighing_lake(tmp_path)
    before = lineage_of(lake, weighing)
    for day in ("2024-01-03", "2024-01-04"):
        lake.write_partition(SEND_PLAN, day, pa.table({"propensity": [0.5], "run_id": ["second"]}))
    assert lineage_of(lake, weighing).id == before.id


def test_without_weighting_or_a_plan_that_can_weight_it_is_as_ever(tmp_path: Path) -> None:
    lake, weighing = weighing_lake(tmp_path)
    unweighted = weighing.model_copy(update={"exploration": Exploration(share=0.1)})
    assert lineage_of(lake, unweighted).data_hash == lake.snapshot("send_features").content_hash
    assert set(lineage_of(lake, unweighted).snapshots) == set(TABLES)
    nothing = {"delivered_at": [datetime(2024, 1, 1)], "unsubscribed": pa.array([None], pa.int8())}
    lake.write("send_features", pa.table(nothing))
    none_matured = lineage_of(lake, weighing)
    assert none_matured.data_hash == lake.snapshot("send_features").content_hash
    assert plans_of(lake, none_matured, PROBLEM) is None
