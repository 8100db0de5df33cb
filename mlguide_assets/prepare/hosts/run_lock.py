"""One run at a time on a home: two would train from each other's half-new tables."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from mlguide_assets.prepare.hosts.database import shared_database
from mlguide_assets.prepare.hosts.host_lock import holder_on_all_hosts, locked_on_all_hosts, this_process
from mlguide_assets.progress import Report
from mlguide_assets.settings import Home

_NAME = "run"

_held: dict[Path, int] = {}
"""How often this process holds the lock of a home: a run within a run goes on."""

_counting = threading.Lock()


@contextlib.contextmanager
def run_lock(home: Home, report: Report) -> Iterator[None]:
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
    if not home.run_lock.exists() and shared_database() is None:
        yield None
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked_on_all_hosts(home.run_lock, _NAME, wait=False))
        except Timeout:
            yield _holder(home)
            return
        yield None


@contextlib.contextmanager
def _locked(home: Home, report: Report) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked_on_all_hosts(home.run_lock, _NAME, wait=False))
        except Timeout:
            report(f"Another run is working on {home.root} (process {_holder(home)}): waiting for it.")
            held.enter_context(locked_on_all_hosts(home.run_lock, _NAME))
        home.run_lock.write_text(this_process(), encoding="utf-8")
        yield


def _holder(home: Home) -> str:
    """The process that holds the lock: as the database knows it, else as it wrote it into the file."""
    found = holder_on_all_hosts(_NAME) if shared_database() else None
    # A process of this host has locked the file, and waits for another host.
    return found or (home.run_lock.read_text(encoding="utf-8") if home.run_lock.exists() else "")
