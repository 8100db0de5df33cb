"""Files and folders of which the newest are kept."""

import os
import time
from pathlib import Path

import pytest

from mlguide_assets.prepare.files import keep_newest


def test_of_files_and_folders_the_newest_are_kept(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir() if name in "ac" else (tmp_path / name).write_bytes(b"")
        keep_newest(2, written=tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]


@pytest.mark.parametrize("back", [3600, 86_400])
def test_what_was_just_written_stays_though_the_clock_was_set_back(tmp_path: Path, back: int) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (time.time() + back, time.time() + back))
    for name in "de":
        (tmp_path / name).write_bytes(b"")
        keep_newest(3, written=tmp_path / name)
    assert {"d", "e"} < {path.name for path in tmp_path.iterdir()}
