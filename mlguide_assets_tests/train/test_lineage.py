"""Equal data, problem and code have equal lineage; a change of any of them changes it."""

from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Evaluation
from mlguide_assets.prepare.lake import Lake, MissingTableError
from mlguide_assets.train import lineage as module
from mlguide_assets.train.lineage import TABLES, Lineage, code_version, lineage_of
from mlguide_assets.train.recipe import PARAMETERS, Recipe, TrainingWindow
from mlguide_assets_tests.train.sends import PROBLEM


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


def test_another_problem_changes_the_id(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    reseeded = PROBLEM.model_copy(update={"evaluation": Evaluation(seed=1)})
    assert lineage_of(lake, PROBLEM).id == lineage_of(lake, PROBLEM.model_copy()).id
    assert lineage_of(lake, PROBLEM).id != lineage_of(lake, reseeded).id


def test_other_code_changes_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")
    monkeypatch.setattr(module.mlguide_assets, "__file__", str(package / "__init__.py"))
    before = code_version()
    assert code_version() == before
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "stale.py").write_text("")
    assert code_version() == before
    (package / "__init__.py").write_text("x = 2\n")
    assert code_version() != before


def test_other_versions_of_the_libraries_that_learn_change_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version()
    installed = module.version
    monkeypatch.setattr(module, "version", lambda name: "0.0.1" if name == "xgboost" else installed(name))
    assert code_version() != before
    assert code_version().split("+")[0] == before.split("+")[0]


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
