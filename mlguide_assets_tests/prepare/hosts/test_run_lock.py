"""One run at a time on a home; a run within a run goes on, and a killed one keeps no other waiting."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlguide_assets.prepare.hosts.run_lock import run_lock, run_lock_holder
from mlguide_assets.settings import Home

HOLD = """
import sys, time
from pathlib import Path
from mlguide_assets.prepare.hosts.run_lock import run_lock
from mlguide_assets.settings import Home
with run_lock(Home(Path(sys.argv[1])), print):
    print("mine", flush=True)
    time.sleep(float(sys.argv[2]))
    Path(sys.argv[1], "finished").touch()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def nobody_works_on(home: Home) -> bool:
    with run_lock_holder(home) as holder:
        return holder is None


@contextmanager
def another(home: Home, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the run lock, for so long."""
    command = [sys.executable, "-c", HOLD, str(home.root), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def test_who_comes_second_is_reported_and_waits(home: Home) -> None:
    messages: list[str] = []
    with another(home, 0.5) as process:
        with run_lock_holder(home) as holder:
            assert holder == str(process.pid)
        with run_lock(home, messages.append):
            assert (home.root / "finished").exists()
    assert messages == [f"Another run is working on {home.root} (process {process.pid}): waiting for it."]


def test_what_runs_within_a_run_goes_on(home: Home) -> None:
    messages: list[str] = []
    with run_lock(home, messages.append), run_lock(home, messages.append):
        assert not nobody_works_on(home)
    assert nobody_works_on(home)
    assert messages == []


def test_a_killed_run_keeps_none_waiting(home: Home) -> None:
    messages: list[str] = []
    with another(home, 60) as process:
        process.kill()
        process.wait()
        assert nobody_works_on(home)
        with run_lock(home, messages.append):
            pass
    assert messages == []


def test_homes_do_not_wait_for_each_other(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.root.mkdir()
    with another(home, 60), run_lock(other, pytest.fail):
        assert nobody_works_on(Home(tmp_path / "third"))


def test_a_turn_ends_with_an_error_too(home: Home) -> None:
    with pytest.raises(RuntimeError), run_lock(home, print):
        raise RuntimeError("the source is gone")
    assert nobody_works_on(home)
