"""Folders for what is needed on the way leave nothing, whatever ends the process."""

import os
from pathlib import Path

import pytest

from mlguide_assets.prepare.hosts.scratch import SCRATCH, STALE_SECONDS, scratch_folder
from mlguide_assets_tests.processes import PROCESSES


def killed(root: Path) -> None:
    with scratch_folder(root, "A file") as folder:
        (folder / "half").write_text("a")
        os._exit(9)


def test_a_folder_is_gone_in_the_end_and_after_an_error(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "home", "A file") as folder:
        (folder / "a").write_text("a")
    with pytest.raises(KeyError), scratch_folder(tmp_path / "home", "A file"):
        raise KeyError
    assert list((tmp_path / "home").iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_folder_and_no_other(tmp_path: Path) -> None:
    process = PROCESSES.Process(target=killed, args=(tmp_path,))
    process.start()
    process.join()
    (left,) = (path for path in tmp_path.iterdir() if path.is_dir())
    with scratch_folder(tmp_path, "A file") as first, scratch_folder(tmp_path, "A file") as second:
        assert not left.exists()
        assert first.is_dir()
        assert second.is_dir()


def test_another_hosts_folder_goes_when_it_is_a_day_old(tmp_path: Path) -> None:
    other = tmp_path / f"{SCRATCH}ffffffff-1"
    other.mkdir()
    with scratch_folder(tmp_path, "A file"):
        assert other.is_dir()
    before = other.stat().st_mtime - STALE_SECONDS - 1
    os.utime(other, (before, before))
    with scratch_folder(tmp_path, "A file"):
        assert not other.exists()
