"""A command that is asked to end does so within seconds, with one sentence, wherever the signal finds it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import typer

from mlguide_assets.console.interruption import ends_when_asked, removed_when_ended, scratch_folder
from mlguide_assets_tests.processes import Fork

WITHIN = 20
OUTPUT = "output.txt"


def work(where: str, folder: str, in_background: bool) -> None:
    """Ready, then busy for a minute: between steps of Dagster, after a run, or where everything is caught."""
    from contextlib import ExitStack

    from dagster._utils.interrupts import capture_interrupts

    from mlguide_assets.cli.common import handle_errors

    if in_background:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def command() -> None:
        with ends_when_asked(), removed_when_ended(folder), ExitStack() as stack:
            interrupts = capture_interrupts()
            stack.enter_context(interrupts)
            if where == "after a run":
                stack.close()
            print("ready", flush=True)
            busy(forever=where == "all is caught")

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(handle_errors(command))
    app([])


def busy(*, forever: bool) -> None:
    end = monotonic() + 60
    while monotonic() < end:
        try:
            sleep(0.05)
        except BaseException:
            if not forever:
                raise


def read_only(where: str) -> None:
    """A command as `mlguide check`, of which `where` says what it is busy with."""
    import typer

    from mlguide_assets.cli.common import handle_errors

    def command() -> None:
        with scratch_folder("mlguide-test-") as folder:
            print(folder, flush=True)
            busy(forever=where == "all is caught")

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(handle_errors(command))
    app([])


@contextmanager
def started(target: Callable[..., None], *arguments: Any, folder: Path) -> Iterator[tuple[Fork, str]]:
    """A process, and the line that it has printed by now. It is killed at the end, had it gone on."""
    output = folder / OUTPUT
    output.touch()
    process = Fork(target, *arguments, environment=os.environ, cwd=folder, output=output)
    end = monotonic() + WITHIN
    while not (said := output.read_text()).endswith("\n"):
        assert process.poll() is None, said
        assert monotonic() < end, "it does not begin"
        sleep(0.01)
    try:
        yield process, said.rstrip("\n")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("where", ["Python", "all is caught"])
def test_copies_of_tables_are_not_left_behind(where: str, tmp_path: Path) -> None:
    with started(read_only, where, folder=tmp_path) as (process, said):
        folder = Path(said)
        assert folder.is_dir()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN) == 1
    assert not folder.exists()


@pytest.mark.parametrize("in_background", [False, True])
@pytest.mark.parametrize("where", ["between steps", "after a run", "all is caught"])
def test_it_ends_with_one_sentence_and_leaves_no_scratch(where: str, in_background: bool, tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    with started(work, where, str(folder), in_background, folder=tmp_path) as (process, ready):
        assert ready == "ready"
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN) != 0
    said = (tmp_path / OUTPUT).read_text()
    assert "It was ended by SIGTERM before it was done" in " ".join(said.split())
    assert "Traceback" not in said
    assert folder.exists() == (where == "after a run"), "who made it removes it, where there is time"


def test_what_is_not_asked_to_end_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), ends_when_asked():
        1 / 0  # noqa: B018
    with ends_when_asked():
        pass
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
