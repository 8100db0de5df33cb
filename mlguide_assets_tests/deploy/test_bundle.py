"""Bundles: whole or absent, never written twice, and one pointer to the one in production."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import Champion, champion, export_bundle, set_champion
from mlguide_assets.errors import InputError

METADATA: dict[str, Any] = {"trained_at": "2025-01-01T00:00:00+00:00", "threshold": 0.04, "lineage": {"id": "abc"}}
FILES = ("model.ubj", "encoding.json", "problem.yaml")


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    folder = tmp_path / "candidate"
    (folder / "plots").mkdir(parents=True)
    for name in (*FILES, "facts.json", "plots/roc_curve.png"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    return tmp_path / "bundles" / "sample"


def test_there_is_no_champion_at_first(bundles: Path) -> None:
    assert champion(bundles) is None


def test_a_bundle_holds_what_serving_needs_and_no_more(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "3", METADATA)
    assert folder == bundles / "3"
    assert {path.name for path in folder.iterdir()} == {*FILES, "metadata.json", "manifest.json"}
    assert json.loads((folder / "metadata.json").read_text()) == {"version": "3", **METADATA}
    assert [path.name for path in bundles.iterdir()] == ["3"]


def test_the_manifest_hashes_every_other_file(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "3", METADATA)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted((*FILES, "metadata.json"))
    }


def test_an_existing_bundle_is_not_written_again(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "3", METADATA)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (candidate / "model.ubj").write_bytes(b"another")
    export_bundle(candidate, bundles, "3", {**METADATA, "threshold": 0.5})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_version_of_another_model_is_not_taken_for_the_bundle_of_that_number(candidate: Path, bundles: Path) -> None:
    export_bundle(candidate, bundles, "3", METADATA)
    with pytest.raises(InputError, match="is of another model than version 3 of the registry"):
        export_bundle(candidate, bundles, "3", {**METADATA, "lineage": {"id": "other"}})


def test_a_failed_export_leaves_nothing(candidate: Path, bundles: Path) -> None:
    (candidate / "problem.yaml").unlink()
    with pytest.raises(FileNotFoundError):
        export_bundle(candidate, bundles, "3", METADATA)
    assert list(bundles.iterdir()) == []


def test_the_pointer_names_the_champion(candidate: Path, bundles: Path) -> None:
    for version in ("1", "2"):
        export_bundle(candidate, bundles, version, METADATA)
        set_champion(bundles, version)
        expected = Champion(version, METADATA["trained_at"], 0.04, "abc", bundles / version)
        assert champion(bundles) == expected
    assert {path.name for path in bundles.iterdir()} == {"1", "2", "champion.json"}


def test_a_champion_whose_bundle_is_gone_is_said(candidate: Path, bundles: Path) -> None:
    export_bundle(candidate, bundles, "1", METADATA)
    set_champion(bundles, "1")
    shutil.rmtree(bundles / "1")
    with pytest.raises(
        InputError, match=r"was deleted \(metadata.json is missing\): restore it, or delete .*champion.json"
    ):
        champion(bundles)
