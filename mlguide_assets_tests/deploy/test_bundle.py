"""Bundles: whole or absent, never written twice, never loaded when damaged, and one pointer to the champion."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import (
    CHALLENGER,
    Bundle,
    champion,
    champions,
    export_bundle,
    load_bundle,
    pointed,
    pointed_version,
    set_challenger,
    set_champion,
    verify_bundle,
)
from mlguide_assets.errors import InputError
from mlguide_assets_tests.other_user import not_allowed_to_read
from mlguide_assets_tests.processes import PROCESSES

METADATA: dict[str, Any] = {"trained_at": "2025-01-01T00:00:00+00:00", "threshold": 0.04, "lineage": {"id": "abc"}}
FILES = ("model.ubj", "encoding.json", "calibration.json", "problem.yaml")
HASHED = (*FILES, "metadata.json")


def write_candidate(folder: Path) -> Path:
    (folder / "plots").mkdir(parents=True)
    for name in (*FILES, "facts.json", "plots/roc_curve.png"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return write_candidate(tmp_path / "candidate")


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    return tmp_path / "bundles" / "sample"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles made once, since waiting for the disk takes longer than a test."""
    root = tmp_path_factory.mktemp("promoted")
    candidate, bundles = write_candidate(root / "candidate"), root / "bundles"
    for version in ("2", "3"):
        export_bundle(candidate, bundles, version, METADATA)
        set_champion(bundles, version)
    return bundles


@pytest.fixture
def bundle(promoted: Path, bundles: Path) -> Path:
    """Version 3, the champion after version 2."""
    return Path(shutil.copytree(promoted, bundles)) / "3"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    overwrite(path, bytes(content))


def truncate(path: Path) -> None:
    overwrite(path, path.read_bytes()[:-1])


def empty(path: Path) -> None:
    overwrite(path, b"")


def swap_for_link(path: Path) -> None:
    elsewhere = path.parent.parent.parent / "elsewhere"
    shutil.copyfile(path, elsewhere)
    path.unlink()
    path.symlink_to(elsewhere)


def swap_for_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def swap_for_pipe(path: Path) -> None:
    """Opening it to read would wait for ever."""
    path.unlink()
    os.mkfifo(path)


def change_with_its_manifest(bundle: Path) -> None:
    flip_one_bit(bundle / "model.ubj")
    overwrite(bundle / "manifest.json", json.dumps({name: sha256(bundle / name) for name in HASHED}).encode())


def test_there_is_no_champion_at_first(bundles: Path) -> None:
    assert champion(bundles) is None
    assert pointed_version(bundles) is None
    assert champions(bundles) == []


def test_a_bundle_holds_what_serving_needs_and_no_more(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "3", METADATA)
    assert folder == bundles / "3"
    assert {path.name for path in folder.iterdir()} == {*HASHED, "manifest.json"}
    assert json.loads((folder / "metadata.json").read_text()) == {"version": "3", **METADATA}
    assert [path.name for path in bundles.iterdir()] == ["3"]


def test_the_manifest_hashes_every_other_file(bundle: Path) -> None:
    assert json.loads((bundle / "manifest.json").read_text()) == {name: sha256(bundle / name) for name in HASHED}
    verify_bundle(bundle)


def test_files_of_a_bundle_are_read_only_and_a_bundle_can_be_deleted(bundle: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) & 0o700 for path in bundle.iterdir()} == {0o400}
    assert stat.S_IMODE(bundle.stat().st_mode) & 0o700 == 0o700
    shutil.rmtree(bundle)
    assert not bundle.exists()


def test_an_existing_bundle_is_not_written_again(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "3", METADATA)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (candidate / "model.ubj").write_bytes(b"another")
    export_bundle(candidate, bundles, "3", {**METADATA, "threshold": 0.5})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_existing_bundle_that_is_damaged_is_not_taken_for_the_one_to_export(candidate: Path, bundles: Path) -> None:
    truncate(export_bundle(candidate, bundles, "3", METADATA) / "encoding.json")
    with pytest.raises(InputError, match=r"encoding.json was changed"):
        export_bundle(candidate, bundles, "3", METADATA)


def test_a_version_of_another_model_is_not_taken_for_the_bundle_of_that_number(candidate: Path, bundles: Path) -> None:
    export_bundle(candidate, bundles, "3", METADATA)
    with pytest.raises(InputError, match="is of another model than version 3 of the registry"):
        export_bundle(candidate, bundles, "3", {**METADATA, "lineage": {"id": "other"}})


def test_a_failed_export_leaves_nothing(candidate: Path, bundles: Path) -> None:
    (candidate / "problem.yaml").unlink()
    with pytest.raises(FileNotFoundError):
        export_bundle(candidate, bundles, "3", METADATA)
    assert not bundles.exists()


def test_bundles_below_a_regular_file_are_reported_in_one_sentence(candidate: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"The bundle 3 could not be written to .*\(Not a directory\)"):
        export_bundle(candidate, tmp_path / "file" / "bundles", "3", METADATA)
    assert champion(tmp_path / "file" / "bundles") is None


def test_champions_are_in_the_order_of_their_numbers(candidate: Path, bundles: Path) -> None:
    for version in ("10", "9", "2", "1"):
        export_bundle(candidate, bundles, version, METADATA)
        set_champion(bundles, version)
    shutil.rmtree(bundles / "2")
    export_bundle(candidate, bundles, "11", METADATA)
    assert champions(bundles) == ["1", "9", "10"]


def test_a_challenger_comes_and_goes_and_is_no_champion(candidate: Path, bundles: Path) -> None:
    export_bundle(candidate, bundles, "1", METADATA)
    set_champion(bundles, "1")
    assert pointed(bundles, CHALLENGER) is None
    for version in ("2", "3"):
        export_bundle(candidate, bundles, version, METADATA)
        set_challenger(bundles, version)
        assert pointed(bundles, CHALLENGER) == load_bundle(bundles, version)
        assert champions(bundles) == ["1"]
    assert not (bundles / "2").exists()
    set_challenger(bundles, None)
    set_challenger(bundles, None)
    assert pointed_version(bundles, CHALLENGER) is None
    assert not (bundles / "3").exists()
    assert champion(bundles) == load_bundle(bundles, "1")


def test_a_challenger_that_became_champion_keeps_its_bundle(candidate: Path, bundles: Path) -> None:
    export_bundle(candidate, bundles, "1", METADATA)
    set_challenger(bundles, "1")
    set_champion(bundles, "1")
    set_challenger(bundles, None)
    assert champion(bundles) == load_bundle(bundles, "1")


def test_the_pointer_names_the_champion_and_the_hash_of_its_manifest(candidate: Path, bundles: Path) -> None:
    for version in ("1", "2"):
        export_bundle(candidate, bundles, version, METADATA)
        set_champion(bundles, version)
        expected = Bundle(version, METADATA["trained_at"], 0.04, "abc", bundles / version)
        assert champion(bundles) == load_bundle(bundles, version) == expected
        pointer = json.loads((bundles / "champion.json").read_text())
        assert (pointer["version"], pointer["manifest"]) == (version, sha256(bundles / version / "manifest.json"))
    assert {path.name for path in bundles.iterdir()} == {"1", "2", "champion.json"}


@pytest.mark.parametrize("name", [*HASHED, "manifest.json"])
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flip_one_bit, "was changed"),
        (truncate, "was changed"),
        (empty, "was changed"),
        (Path.unlink, "is missing"),
        (swap_for_link, "is no regular file"),
        (swap_for_folder, "is no regular file"),
        (swap_for_pipe, "is no regular file"),
    ],
)
def test_a_damaged_champion_is_refused_by_the_name_of_the_file(
    bundle: Path, name: str, damage: Callable[[Path], None], told: str
) -> None:
    damage(bundle / name)
    with pytest.raises(InputError) as caught:
        champion(bundle.parent)
    sentence = str(caught.value)
    assert f"The bundle {bundle} is damaged and is not loaded, since {name} {told}" in sentence
    assert "'mlguide rollback'" in sentence
    assert "\n" not in sentence
    assert pointed_version(bundle.parent) == "3"


@pytest.mark.parametrize("name", ["readme.txt", ".hidden", "model.ubj~", "plots"])
def test_what_was_added_to_the_champion_is_refused_by_its_name(bundle: Path, name: str) -> None:
    (bundle / name).mkdir() if name == "plots" else (bundle / name).write_text("")
    with pytest.raises(InputError, match=f"since {name} does not belong there"):
        champion(bundle.parent)


def test_a_model_changed_together_with_its_manifest_is_refused(bundle: Path) -> None:
    change_with_its_manifest(bundle)
    # By itself it is consistent: only the pointer knows better.
    verify_bundle(bundle)
    with pytest.raises(InputError, match=r"since manifest.json was changed"):
        champion(bundle.parent)


def test_an_earlier_champion_changed_together_with_its_manifest_is_not_gone_back_to(bundle: Path) -> None:
    change_with_its_manifest(bundle.parent / "2")
    with pytest.raises(InputError, match=r"since manifest.json was changed"):
        load_bundle(bundle.parent, "2")
    assert champion(bundle.parent) is not None


def test_a_bundle_made_again_takes_the_place_of_the_one_that_was_deleted(candidate: Path, bundle: Path) -> None:
    shutil.rmtree(bundle.parent / "2")
    export_bundle(candidate, bundle.parent, "2", {**METADATA, "trained_at": "2025-01-02"})
    set_champion(bundle.parent, "2")
    assert champion(bundle.parent) == load_bundle(bundle.parent, "2")
    assert load_bundle(bundle.parent, "3").version == "3"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model.ubj": "abc"}',
        json.dumps(dict.fromkeys([*HASHED, "../../outside"], "abc")).encode(),
    ],
)
def test_a_manifest_that_is_none_is_refused_also_where_no_pointer_knows_it(
    candidate: Path, bundles: Path, content: bytes
) -> None:
    folder = export_bundle(candidate, bundles, "1", METADATA)
    overwrite(folder / "manifest.json", content)
    for refused in (lambda: verify_bundle(folder), lambda: set_champion(bundles, "1")):
        with pytest.raises(InputError, match=r"manifest.json does not list the files of a bundle"):
            refused()
    assert champion(bundles) is None


def test_a_manifest_without_hashes_vouches_for_nothing(candidate: Path, bundles: Path) -> None:
    folder = export_bundle(candidate, bundles, "1", METADATA)
    overwrite(folder / "manifest.json", json.dumps(dict.fromkeys(HASHED)).encode())
    with pytest.raises(InputError, match="was changed"):
        verify_bundle(folder)


def test_a_damaged_bundle_does_not_become_champion(bundle: Path) -> None:
    flip_one_bit(bundle.parent / "2" / "model.ubj")
    with pytest.raises(InputError, match=r"model.ubj was changed"):
        set_champion(bundle.parent, "2")
    assert pointed_version(bundle.parent) == "3"


def test_a_champion_that_is_damaged_can_be_left_for_a_whole_version(bundle: Path) -> None:
    shutil.rmtree(bundle)
    with pytest.raises(InputError, match=r"There is no bundle of version 3 in .*: the next 'mlguide run' makes it"):
        champion(bundle.parent)
    assert pointed_version(bundle.parent) == "3"
    set_champion(bundle.parent, "2")
    assert champion(bundle.parent) == load_bundle(bundle.parent, "2")


def test_a_pointer_to_a_version_that_does_not_exist_is_refused_by_its_name(bundle: Path) -> None:
    pointer = bundle.parent / "champion.json"
    pointer.write_text(json.dumps({"version": "9", "manifest": "0" * 64}))
    with pytest.raises(InputError, match="There is no bundle of version 9"):
        champion(bundle.parent)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff",
        b"[]",
        b"3",
        b"[" * 100_000,
        b'{"version": "3"}',
        b'{"version": 3, "manifest": "%s"}' % (b"0" * 64),
        b'{"version": ["3"], "manifest": "%s"}' % (b"0" * 64),
        b'{"version": "../3", "manifest": "%s"}' % (b"0" * 64),
        b'{"version": "3", "manifest": null}',
        b'{"version": "3", "manifest": "abc"}',
        b'{"version": "3", "manifest": "%s", "earlier": []}' % (b"0" * 64),
        b'{"version": "3", "manifest": "%s", "earlier": {"2": 1}}' % (b"0" * 64),
    ],
)
def test_a_pointer_that_is_none_is_refused_by_its_name(bundle: Path, content: bytes) -> None:
    pointer = bundle.parent / "champion.json"
    pointer.write_bytes(content)
    for ask in (champion, pointed_version):
        with pytest.raises(InputError, match=r"champion\.json is damaged .*: delete it, then 'mlguide run'") as caught:
            ask(bundle.parent)
        assert "\n" not in str(caught.value)
    pointer.unlink()
    set_champion(bundle.parent, "3")
    assert champion(bundle.parent) is not None


@pytest.mark.parametrize("name", ["champion.json", "3/metadata.json"])
def test_what_this_user_may_not_read_is_not_called_damaged(bundle: Path, name: str) -> None:
    """Who deletes the pointer loses the hashes of earlier champions, and with them every rollback."""
    set_champion(bundle.parent, "3")
    refused = r"\.json cannot be read by this user \(permission denied\): run as the user who owns it"
    with not_allowed_to_read(bundle.parent / name), pytest.raises(InputError, match=refused):
        champion(bundle.parent)
    assert champion(bundle.parent) is not None


def promote_and_die(candidate: Path, bundles: Path, method: str, call: int) -> None:
    """Export version 2 and make it champion, killed where a method of Path is called the n-th time."""
    original, calls = getattr(Path, method), 0

    def call_or_die(self: Path, *arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments, **named)

    setattr(Path, method, call_or_die)
    export_bundle(candidate, bundles, "2", METADATA)
    set_champion(bundles, "2")


@pytest.mark.parametrize(
    ("method", "call", "exported"),
    [
        ("write_bytes", 1, False),
        ("write_bytes", 4, False),
        ("chmod", 6, False),
        ("replace", 1, False),
        ("replace", 2, True),
    ],
)
def test_a_killed_export_leaves_the_champion_and_the_next_one_works(
    candidate: Path, bundles: Path, method: str, call: int, exported: bool
) -> None:
    export_bundle(candidate, bundles, "1", METADATA)
    set_champion(bundles, "1")
    before = champion(bundles)
    process = PROCESSES.Process(target=promote_and_die, args=(candidate, bundles, method, call))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert champion(bundles) == before
    assert (bundles / "2").is_dir() == exported
    assert len(list(bundles.glob(".bundle-*"))) == (0 if exported else 1)
    export_bundle(candidate, bundles, "2", METADATA)
    set_champion(bundles, "2")
    assert champion(bundles) == load_bundle(bundles, "2")


def test_what_killed_exports_left_goes_after_an_hour(candidate: Path, bundles: Path) -> None:
    for name, minutes in ((".bundle-old", 61), (".bundle-new", 59)):
        (bundles / name).mkdir(parents=True)
        (bundles / name / "model.ubj").write_text("half")
        os.utime(bundles / name, (time.time() - 60 * minutes,) * 2)
    export_bundle(candidate, bundles, "1", METADATA)
    assert {path.name for path in bundles.iterdir()} == {".bundle-new", "1"}


def test_finding_the_champion_loads_no_heavy_library(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mlguide_assets.deploy.bundle import champion; "
        "assert champion(Path(sys.argv[1])).version == '3'; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle.parent], capture_output=True, text=True, check=True)
    heavy = {"dagster", "duckdb", "ibis", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "sklearn", "xgboost"}
    assert not heavy & set(done.stdout.split())
