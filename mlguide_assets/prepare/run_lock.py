"""One run at a time on a home: two would train from each other's half-new tables."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import Timeout

from mlguide_assets.prepare.locking import locked
from mlguide_assets.settings import Home

_held: dict[Path, int] = {}
"""How often this process holds the lock of a home: a run within a run goes on."""

_counting = threading.Lock()


@contextlib.contextmanager
def run_lock(home: Home, report: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process works on the home, and keep others waiting until the end.

    Args:
        report: called with a sentence if there is a run to wait for.
    """
    with _counting:
        first = not _held.get(home.root)
        _held[home.root] = _held.get(home.root, 0) + 1
    try:
        with _locked(home, report) if first else contextlib.nullcontext():
            yield
    finally:
        with _counting:
            _held[home.root] -= 1


@contextlib.contextmanager
def run_lock_holder(home: Home) -> Iterator[str | None]:
    """The process that holds the lock; None where none does, and then none begins before the block ends.

    A killed process holds no lock. Where the lock changes hands meanwhile, the process named is the one before.
    """
    if not home.run_lock.exists():
        yield None
        return
    try:
        held = locked(home.run_lock, wait=False)
    except Timeout:
        yield _holder(home)
        return
    with held:
        yield None


@contextlib.contextmanager
def _locked(home: Home, report: Callable[[str], None]) -> Iterator[None]:
    try:
        held = locked(home.run_lock, wait=False)
    except Timeout:
        report(f"Another run is working on {home.root} (process {_holder(home)}): waiting for it.")
        held = locked(home.run_lock)
    with held:
        home.run_lock.write_text(str(os.getpid()), encoding="utf-8")
        yield


def _holder(home: Home) -> str:
    """The number of the process that holds the lock, as it wrote it there."""
    return home.run_lock.read_text(encoding="utf-8")
