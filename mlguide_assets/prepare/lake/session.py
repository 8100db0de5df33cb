"""What computes over the lake in this process: one DuckDB, the expressions it has read, and scratch space.

DuckDB and Ibis are imported by the first that computes, and by nothing else: a short command can look up a table or
add a row to a record without waiting for them. A session holds no data of its own.
"""

import contextlib
import hashlib
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from mlguide_assets.prepare.duckdb.connection import connect, read_parquet
from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.lake.failures import writing

if TYPE_CHECKING:
    import ibis

READINGS = 50
"""Expressions over files that a session keeps: about as many as a run asks for."""

SCRATCH, _LOCK = ".scratch-", ".lock"
STALE_SECONDS = 86_400


class Session:
    """One in-memory DuckDB over the files below a folder.

    Args:
        root: the folder of the lake; what DuckDB spills goes below it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[tuple[tuple[Path, ...], bool], ibis.Table] = {}

    @cached_property
    def connection(self) -> "ibis.BaseBackend":
        return connect(spill=self.root / ".spill")

    def backend_of(self, rows: "ibis.Table") -> "ibis.BaseBackend":
        """What computes a table: this session's DuckDB, unless Spark does."""
        backends, _ = rows._find_backends()
        return next((backend for backend in backends if backend.name != "duckdb"), self.connection)

    def read(self, paths: tuple[Path, ...], *, by_name: bool) -> "ibis.Table":
        """Files as one expression; the same expression for the same files, which never change."""
        known = self._read.get((paths, by_name))
        if known is not None and all(path.exists() for path in paths):
            return known
        rows = read_parquet(self.connection, *paths, union_by_name=by_name)
        while len(self._read) >= READINGS:
            self._read.pop(next(iter(self._read)))
        self._read[paths, by_name] = rows
        return rows

    @contextlib.contextmanager
    def scratch(self, what: str) -> Iterator[Path]:
        """A folder below the lake for what is needed on the way, removed in the end.

        What a killed process left goes with the next one: it holds its lock no more. Of what is another host's, on a
        disk that both see, the lock says nothing here: it goes as soon as it is a day old, since runs are younger.

        Args:
            what: is written there, as the start of a sentence on a disk that fails.
        """
        with contextlib.ExitStack() as ends:
            with writing(what, self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                self._remove_left()
                folder = self.root / f"{_of_this_host()}{uuid.uuid4().hex[:12]}"
                # Locked before it is there, so that nobody finds it unlocked.
                ends.callback(_lock_of(folder).unlink, missing_ok=True)
                ends.enter_context(locked(_lock_of(folder)))
                folder.mkdir(mode=0o700)
                ends.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder

    def _remove_left(self) -> None:
        """Remove the scratch folders of processes that were killed."""
        for left in self.root.glob(f"{SCRATCH}*"):
            # Another process may do the same.
            with contextlib.suppress(OSError):
                if left.suffix == _LOCK:
                    if not left.with_suffix("").exists() and _is_old(left):
                        left.unlink()
                elif _is_old(left) or (left.name.startswith(_of_this_host()) and _is_free(_lock_of(left))):
                    shutil.rmtree(left, ignore_errors=True)
                    _lock_of(left).unlink(missing_ok=True)


def _of_this_host() -> str:
    """How the names of the scratch folders of this host begin. No other host's begin so."""
    return f"{SCRATCH}{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]}-"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_LOCK}")


def _is_free(lock: Path) -> bool:
    try:
        with locked(lock, wait=False):
            return True
    except Timeout:
        return False


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > STALE_SECONDS
