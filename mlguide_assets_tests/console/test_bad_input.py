"""Bad input through the command line: one sentence, exit code 2, and what was there before untouched."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlguide_assets.console.status import collect
from mlguide_assets.settings import Home
from mlguide_assets_tests.commands import Done, mlguide
from mlguide_assets_tests.console.guarded import SECRET, files_with_secret
from mlguide_assets_tests.homes import copied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good tables, a problem file for them, and a home that has run once on them."""
    return copied(sample_home, tmp_path_factory.mktemp("bad") / "place")


def _last_line_twice(folder: Path) -> None:
    path = folder / "user_profiles.csv"
    path.write_text(path.read_text() + path.read_text().rstrip("\n").rsplit("\n", 1)[1] + "\n")


# One fault of the reading and one of the contract; `prepare/sources` has all others, and what is said of each.
SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing file": (lambda folder: (folder / "email_content.csv").unlink(), "email_content"),
    "duplicate key": (_last_line_twice, "id_is_unique"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_files_are_refused_and_leave_the_home_as_it_was(place: Path, tmp_path: Path, name: str) -> None:
    spoil, word = SPOILT[name]
    shutil.copytree(place / "good", tmp_path / "spoilt")
    spoil(tmp_path / "spoilt")
    _refused(place, word, "run", "--source", str(tmp_path / "spoilt"))


def test_an_unreadable_source_is_refused(place: Path) -> None:
    """One that Python reads, whose secret is in the query; below, one that an engine does."""
    done = _refused(place, "127.0.0.1:9", "run", "--source", f"http://127.0.0.1:9/tables?sig={SECRET}")
    assert SECRET not in done.out + done.err


def test_a_run_that_fails_leaves_no_secret(place: Path, tmp_path: Path) -> None:
    """Those above, in a home that reads from elsewhere; and a first run, whose problem is known."""
    refused, home = f"postgresql://u:{SECRET}@127.0.0.1:9/db", tmp_path / "home"
    done = mlguide("run", "--problem", "sample.yaml", "--source", refused, "--home", str(home), cwd=place)
    _is_one_sentence(done, "127.0.0.1:9")
    assert SECRET not in done.out + done.err
    assert collect(Home(home))["problem"] == "sample"
    _is_one_sentence(mlguide("run", "--home", str(home), cwd=place), "keeps no password for postgresql://u:***@127.0.0")
    assert files_with_secret(place / "home") == files_with_secret(home) == []


def test_a_problem_file_with_a_typo_names_file_line_and_fix(place: Path) -> None:
    (place / "typo.yaml").write_text((place / "sample.yaml").read_text().replace("costs:", "cost:"))
    done = _refused(place, "did you mean 'costs'?", "run", "--problem", "typo.yaml")
    assert "typo.yaml, line" in done.err


def test_an_unknown_problem_lists_the_shipped_ones(place: Path) -> None:
    _refused(place, "fraud, guide, journey_churn, planeswalker", "run", "--problem", "nothing-like-them")


def test_source_and_sends_exclude_each_other(place: Path) -> None:
    _refused(place, "--sends", "run", "--source", "good", "--sends", "1000")


def test_a_home_that_cannot_be_written_is_refused(place: Path) -> None:
    (place / "file").write_text("not a folder")
    done = mlguide("run", "--home", "file/home", cwd=place)
    _is_one_sentence(done, "--home")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes: a real one, mounted, where that is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root and a kernel that allows it")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named(small_disk: Path, place: Path) -> None:
    done = mlguide(
        "run", "--sends", "100000", "--problem", "planeswalker", "--home", str(small_disk / "home"), cwd=place
    )
    _is_one_sentence(done, "space")


def test_export_names_what_it_does_not_know(place: Path) -> None:
    done = mlguide("export", "nothing", "--out", "x.csv", "--home", "home", cwd=place)
    _is_one_sentence(done, "lists those there are")
    done = mlguide("export", "send_features", "--out", "x.xlsx", "--home", "home", cwd=place)
    _is_one_sentence(done, ".parquet")
    assert not (place / "x.csv").exists()


def _refused(place: Path, word: str, *arguments: str) -> Done:
    """The command ends with one sentence that holds the word, and the home says what it said before."""
    before = collect(Home(place / "home"))
    done = mlguide(*arguments, "--home", "home", cwd=place)
    _is_one_sentence(done, word)
    assert collect(Home(place / "home")) == before
    return done


def _is_one_sentence(done: Done, word: str) -> None:
    assert done.code == 2, done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("mlguide: ")
    assert last.endswith(".")
    assert word in last
    assert "Traceback" not in done.err
