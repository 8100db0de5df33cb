"""A candidate on disk says the same as the one in memory, is whole or absent, and holds no pickle."""

import dataclasses
import json
import shutil
from datetime import datetime
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.errors import InputError
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.lineage import Lineage
from mlguide_assets.train.models.baselines import BASELINES
from mlguide_assets.train.models.linear import Linear
from mlguide_assets.train.models.models import Boosted
from mlguide_assets.train.storage import (
    folder_of,
    load_facts,
    load_model,
    model_name,
    record_of,
    save_candidate,
    save_plots,
)
from mlguide_assets_tests.train.sends import PROBLEM

LINEAGE = Lineage({"send_features": "000001-abc"}, "data", "problem", "recipe", "0.1.0+code")


@pytest.fixture(scope="module")
def folder(trained: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candidates") / LINEAGE.id
    save_candidate(trained, PROBLEM, LINEAGE, folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_what_its_description_says(folder: Path) -> None:
    baselines = {f"baselines/{name}.json" for name in BASELINES}
    model = {"model.ubj", "encoding.json", "calibration.json"}
    judged = {f"judged/{name}" for name in model}
    others = {"recipe.json", "problem.yaml", "profile.json", "facts.json"}
    assert set(content(folder)) == {*model, *judged, *others, *baselines}


def test_a_loaded_model_predicts_identically(sends: pa.Table, trained: Candidate, folder: Path) -> None:
    loaded = load_model(folder)
    assert loaded.encoding == trained.model.encoding
    assert isinstance(loaded, Boosted)
    assert loaded.rounds == trained.facts["rounds"]
    matrix = trained.model.encoding.matrix(sends)
    np.testing.assert_array_equal(loaded.predict(loaded.encoding.matrix(sends)), trained.model.predict(matrix))


@pytest.mark.parametrize("name", BASELINES)
def test_a_stored_baseline_predicts_identically(sends: pa.Table, trained: Candidate, folder: Path, name: str) -> None:
    encoding, model = trained.holdout_model.encoding, trained.baselines[name]
    stored = Linear.from_json(json.loads((folder / f"baselines/{name}.json").read_text()), encoding, model.calibration)
    matrix = encoding.matrix(sends)
    np.testing.assert_array_equal(stored.predict(matrix), model.predict(matrix))


def test_a_linear_candidate_is_stored_in_its_own_format_and_predicts_identically(
    sends: pa.Table, linear: Candidate, tmp_path: Path
) -> None:
    save_candidate(linear, PROBLEM, LINEAGE, tmp_path / "linear")
    assert {"linear.json", "judged/linear.json"} <= set(content(tmp_path / "linear"))
    assert not list(tmp_path.rglob("*.ubj"))
    assert model_name(load_facts(tmp_path / "linear")) == linear.name == "logistic_regression"
    for folder, model in ((tmp_path / "linear", linear.model), (tmp_path / "linear/judged", linear.holdout_model)):
        loaded = load_model(folder)
        matrix = loaded.encoding.matrix(sends)
        np.testing.assert_array_equal(loaded.predict(matrix), model.predict(matrix))
        np.testing.assert_array_equal(loaded.contributions(matrix), model.contributions(matrix))


def test_facts_and_problem_come_back(trained: Candidate, folder: Path) -> None:
    facts = load_facts(folder)
    assert facts == {**trained.facts, "threshold": PROBLEM.costs.threshold, "lineage": LINEAGE.to_json()}
    assert load_problem(str(folder / "problem.yaml")) == PROBLEM


def test_no_file_is_a_pickle(folder: Path) -> None:
    """A pickle starts with its protocol (0x80)."""
    assert {path.suffix for path in folder.rglob("*.*")} == {".ubj", ".json", ".yaml"}
    for path in folder.rglob("*.*"):
        assert path.read_bytes()[:1] != b"\x80", path


def test_saving_twice_gives_the_same_bytes(trained: Candidate, folder: Path, tmp_path: Path) -> None:
    save_candidate(trained, PROBLEM, LINEAGE, tmp_path / "again")
    natively = ("model.ubj", "encoding.json", "problem.yaml", "facts.json")
    assert all((tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes() for name in natively)


def test_an_older_candidate_is_replaced_as_a_whole(trained: Candidate, tmp_path: Path) -> None:
    target = tmp_path / "candidate"
    save_candidate(trained, PROBLEM, LINEAGE, target)
    save_plots({"roc_curve": b"of the older"}, target)
    save_candidate(trained, PROBLEM, LINEAGE, target)
    assert not (target / "plots").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["candidate"]


def test_a_failure_while_writing_leaves_the_older_candidate_and_no_litter(trained: Candidate, tmp_path: Path) -> None:
    target = tmp_path / "candidate"
    save_candidate(trained, PROBLEM, LINEAGE, target)
    before = content(target)
    unwritable = dataclasses.replace(trained, baselines={"broken": object()})  # type: ignore[dict-item]
    with pytest.raises(AttributeError):
        save_candidate(unwritable, PROBLEM, LINEAGE, target)
    assert content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["candidate"]


def test_a_failure_while_writing_the_first_leaves_nothing(trained: Candidate, tmp_path: Path) -> None:
    unwritable = dataclasses.replace(trained, baselines={}, facts={"time": datetime(2025, 1, 1)})
    with pytest.raises(TypeError):
        save_candidate(unwritable, PROBLEM, LINEAGE, tmp_path / "candidate")
    assert list(tmp_path.iterdir()) == []


def test_a_record_leads_back_to_its_folder(folder: Path) -> None:
    record = record_of(folder)
    assert record["candidate"].to_pylist() == [LINEAGE.id]
    assert json.loads(record["facts"][0].as_py()) == load_facts(folder)
    assert folder_of(ibis.memtable(record), folder.parent) == folder


def test_a_record_of_a_deleted_folder_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    record = ibis.memtable(record_of(copy))
    shutil.rmtree(copy)
    with pytest.raises(InputError, match=r"copy was moved or deleted: train it again with 'mlguide run'\."):
        folder_of(record, copy.parent)


def test_plots_are_added_and_replaced(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    save_plots({"roc_curve": b"first"}, copy)
    save_plots({"roc_curve": b"second", "pr_curve": b"other"}, copy)
    found = {name: data for name, data in content(copy).items() if name.startswith("plots/")}
    assert found == {"plots/roc_curve.png": b"second", "plots/pr_curve.png": b"other"}
