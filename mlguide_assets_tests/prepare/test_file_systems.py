"""Small files on file systems that lack something, and who may read them."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from mlguide_assets.prepare.files import disk_reason, replace_file, set_mode
from mlguide_assets.settings import Home


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def _refusing(code: int) -> object:
    def call(handle: int | Path, *_: object) -> None:
        if isinstance(handle, Path) or stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))

    return call


def test_folders_that_cannot_be_waited_for_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", _refusing(errno.EINVAL))
    replace_file(tmp_path / "x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


def test_a_disk_that_fails_is_no_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        replace_file(tmp_path / "x", b"1")


def test_modes_that_are_not_kept_are_not_insisted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").touch()
    monkeypatch.setattr(Path, "chmod", _refusing(errno.EPERM))
    set_mode(tmp_path / "x", 0o444)


@pytest.mark.parametrize(("home", "others"), [(None, 0o700), (0o755, 0o700), (0o775, 0o770)])
def test_what_is_written_in_a_home_is_for_its_owner_and_the_group_that_may_write_there(
    tmp_path: Path, home: int | None, others: int
) -> None:
    root = tmp_path / "home"
    if home is not None:
        root.mkdir()
        root.chmod(home)
    Home(root).ensure_writable()
    replace_file(root / "lake" / "x", b"1")
    assert stat.S_IMODE((root / "lake" / "x").stat().st_mode) == others & 0o666
    assert stat.S_IMODE((root / "lake").stat().st_mode) == others
    set_mode(root / "lake" / "x", 0o444)
    assert stat.S_IMODE((root / "lake" / "x").stat().st_mode) == others & 0o444
    assert home is not None or stat.S_IMODE(root.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied"),
        (duckdb.IOException('IO Error: Cannot open file "/x": Permission denied'), "Permission denied"),
        (duckdb.IOException("IO Error: Could not write file: No space left on device"), "No space left on device"),
        (duckdb.IOException("IO Error: SET temp_directory"), "the disk or its permissions"),
    ],
)
def test_a_disk_speaks_through_every_library(error: Exception, said: str) -> None:
    assert disk_reason(error) == said
