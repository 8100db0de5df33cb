"""Bundles: whole or absent, never written twice, and one pointer to the one in production."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import Champion, champion, export_bundle, set_champion, versions
from mlguide_assets.errors import InputError

METADATA: dict[str, Any] = {"trained_at": "2025-01-01T00:00:00+00:00", "threshold": 0.04, "lineage": {"id": "abc"}}
FILES = ("model.ubj", "encoding.json", "calibration.json", "problem.yaml")


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
    with pytest.raises(InputError, match=r"no bundle of version 1 in .*: 'mlguide rollback' goes to a whole version"):
        champion(bundles)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def rewrite_with_manifest(folder: Path) -> None:
    """A careful forger: the manifest fits the changed model."""
    flip(folder / "model.ubj")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model.ubj"] = hashlib.sha256((folder / "model.ubj").read_bytes()).hexdigest()
    (folder / "manifest.json").chmod(0o644)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def swap_for_link(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    (folder / "model.ubj").rename(elsewhere)
    (folder / "model.ubj").symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: flip(folder / "model.ubj"), "model.ubj was changed"),
        (lambda folder: flip(folder / "metadata.json"), "metadata.json was changed"),
        (lambda folder: (folder / "encoding.json").unlink(), "encoding.json is missing"),
        (lambda folder: (folder / "extra.pkl").write_bytes(b"x"), "extra.pkl does not belong there"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing or unreadable"),
        (lambda folder: flip(folder / "manifest.json"), "manifest.json is missing or unreadable"),
        (rewrite_with_manifest, "manifest.json is not the one that champion.json was set to"),
        (swap_for_link, "model.ubj is missing"),
    ],
)
def test_a_damaged_bundle_is_not_loaded_and_the_file_is_named(
    candidate: Path, bundles: Path, damage: Callable[[Path], None], named: str
) -> None:
    folder = export_bundle(candidate, bundles, "1", METADATA)
    set_champion(bundles, "1")
    damage(folder)
    with pytest.raises(InputError, match=f"is damaged and is not loaded: {named}"):
        champion(bundles)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"version": "1"}', "no json"])
def test_a_damaged_pointer_is_said(bundles: Path, content: str) -> None:
    bundles.mkdir(parents=True)
    (bundles / "champion.json").write_text(content)
    with pytest.raises(InputError, match=r"champion.json is damaged: delete it"):
        champion(bundles)


def test_versions_are_listed_in_their_order(candidate: Path, bundles: Path) -> None:
    for version in ("10", "2", "1"):
        export_bundle(candidate, bundles, version, METADATA)
    (bundles / ".bundle-left-over").mkdir()
    set_champion(bundles, "2")
    assert versions(bundles) == ["1", "2", "10"]


def test_files_of_a_bundle_are_read_only(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "1", METADATA)
    assert {path.stat().st_mode & 0o222 for path in folder.iterdir()} == {0}


def test_what_a_killed_export_left_is_removed_once_it_is_old(candidate: Path, bundles: Path) -> None:
    old, young = bundles / ".bundle-old", bundles / ".bundle-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    export_bundle(candidate, bundles, "1", METADATA)
    assert not old.exists()
    assert young.exists()


def test_finding_the_champion_imports_nothing_heavy() -> None:
    code = "import sys, mlguide_assets.deploy.override, mlguide_assets.console.decide; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"ibis", "duckdb", "pandas", "xgboost", "sklearn", "mlflow", "dagster"}
