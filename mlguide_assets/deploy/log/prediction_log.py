"""The prediction log: what was answered, on the disk before it was sent.

    <folder>/<day>/<time>-<process>-<random>.jsonl

One line is one answered request with all its pairs. The names of the features are in it once, under `names`, and their
values in each row: a short request can have a thousand pairs.

A process writes files of its own and never goes on with one that another began, so a line that a kill tore in two is
the last of its file, without its end, and was never acknowledged. Lines are synced to the disk in groups: one sync for
all requests that were scored together. The writer holds a lock on its file as long as it may write to it, and only a
file that no process holds is ever removed: clocks decide nothing.
"""

import contextlib
import fcntl
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlguide_assets.prepare.files import make_durable

SEGMENT_BYTES = 64 * 1024 * 1024
GIGABYTE = 10**9
LANDED = "landed.json"
"""Beside the files of a day: how much of each has landed."""
_PROBE_BYTES = 64 * 1024

CHAMPION, CHALLENGER, WHAT_IF, BASE_RATE = "champion", "challenger", "what_if", "base_rate"
ROUTED, FALLBACK, FAILED = "routed", "fallback", "failed"
CHAMPION_SHADOW = "champion_shadow"
"""Variants: who answered, or what for. The challenger scores in the shadow, unless an experiment or a canary gave it
the unit: then it has `ROUTED` the answer to itself, or failed and left it to the champion as a `FALLBACK`; and the
champion scores in the shadow (`CHAMPION_SHADOW`). A request about units of an arm that ended in an error of the server
has a row of each, without scores: `FAILED`."""

UNANSWERED = (CHALLENGER, CHAMPION_SHADOW, FAILED)
"""Variants of rows that were not the answer of any request."""


class LogError(Exception):
    """The log cannot be written: nothing that would have to be logged may be answered."""


class LogWriter:
    """Appends durable lines. One instance belongs to one thread.

    Args:
        most_bytes: what all files below the folder may hold together; above it no new one is begun.
    """

    def __init__(self, folder: Path, *, most_bytes: float = math.inf, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        # So that all writers notice a full log soon.
        self._segment_bytes = min(segment_bytes, most_bytes / 8)
        self._day = ""
        self._handle = -1
        self._path = folder
        self._written = 0

    def append(self, lines: Sequence[bytes], now: datetime) -> None:
        """Write lines, each without its line end, and wait until the disk has them.

        Args:
            now: UTC; the lines land on its day.

        Raises:
            LogError: the disk or the log is full, or the folder cannot be written; nothing of these lines is kept.
        """
        content = b"".join(line + b"\n" for line in lines)
        try:
            self._roll(now)
            self._write(content)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._day = -1, ""

    def _roll(self, now: datetime) -> None:
        """Begin a file where there is none, the day is another, or it has grown large."""
        day = now.date().isoformat()
        if self._handle >= 0 and day == self._day and self._written < self._segment_bytes:
            return
        self.close()
        refuse_full(self._folder, self._most_bytes)
        folder = self._folder / day
        name = f"{now:%H%M%S%f}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._path = folder / name
        self._handle = _create_held(self._path)
        self._day, self._written = day, 0
        # The name, too, must be on the disk.
        for kept in (folder, self._folder):
            make_durable(kept)

    def _write(self, content: bytes) -> None:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            os.fdatasync(self._handle)
        except OSError:
            # What was written in part would be the beginning of the next line; a disk that stays full must not fill
            # with the names of empty files.
            with contextlib.suppress(OSError):
                if self._written:
                    os.ftruncate(self._handle, self._written)
                else:
                    self._path.unlink()
            self.close()
            raise
        self._written += len(content)


def log_bytes(folder: Path) -> int:
    """What the files of all days hold together."""
    return sum(path.stat().st_size for day in days(folder) for path in segments(folder, day) if path.exists())


def refuse_full(folder: Path, most_bytes: float) -> None:
    """Refuse where the log holds all that it may.

    Raises:
        LogError: it does.
    """
    if most_bytes < math.inf and (held := log_bytes(folder)) >= most_bytes:
        raise LogError(
            f"The prediction log below {folder} holds {held / GIGABYTE:.1f} GB, and {most_bytes / GIGABYTE:.1f} is the "
            f"limit (serving.max_log_gigabytes of the problem file): 'mlguide run' lands it and makes room; until then "
            f"nothing is answered, since what is answered is logged first."
        )


def probe_writable(folder: Path, most_bytes: float) -> None:
    """Write and remove a file, to know whether the log can be written.

    Raises:
        LogError: it cannot.
    """
    refuse_full(folder, most_bytes)
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, bytes(_PROBE_BYTES))
            os.fdatasync(handle)
        finally:
            os.close(handle)
            probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> LogError:
    return LogError(
        f"The prediction log below {folder} cannot be written ({error.strerror or error}): free space or fix the "
        f"permissions there; until then nothing is answered, since what is answered is logged first."
    )


def _create_held(path: Path) -> int:
    """Create a file and lock it for its writer.

    Landing may remove the folder before the file is in it, or the file before it is locked: then once more.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            # Not `locked`: the lock is on the data file, and says for as long as a writer lives that lines may come.
            # A file system without locks refuses here and in `remove_unused`, which then removes nothing.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_SH)
            if os.fstat(handle).st_nlink:
                return handle
            os.close(handle)


def is_held(path: Path) -> bool:
    """Whether a writer may still add to a file. Once none holds it, none ever will."""
    try:
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def remove_unused(path: Path, size: int) -> bool:
    """Remove a file that no writer holds and that still has the size that landed; whether it is gone."""
    try:
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(held.fileno()).st_size != size:
                return False
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def days(folder: Path) -> list[str]:
    """The days that have files, oldest first."""
    return sorted(path.name for path in folder.glob("[0-9]*-[0-9]*-[0-9]*") if path.is_dir())


def segments(folder: Path, day: str) -> list[Path]:
    """The files of a day, in the order in which they were begun."""
    return sorted((folder / day).glob("*.jsonl"))


def read_segment(path: Path, damaged: Callable[[bytes], None] | None = None) -> Iterator[dict[str, Any]]:
    """The requests of a file. A last line without its end was never acknowledged, and is left out.

    Args:
        damaged: given each line that was ended but is not JSON of a request: the disk, or somebody, changed it.
    """
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            # Of an entity that was forgotten: an empty object, or blanks, of the same length.
            if not line.strip(b" {}\n"):
                continue
            request = _parsed(line)
            if request is not None:
                yield request
            elif damaged is not None:
                damaged(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _named(request) if isinstance(request, dict) else None


def _named(request: dict[str, Any]) -> dict[str, Any] | None:
    """A request whose rows have the names of their features; None where the two do not match."""
    names = request.pop("names", None)
    try:
        for row in request["rows"] if names is not None else ():
            if row["features"] is not None:
                row["features"] = dict(zip(names, row["features"], strict=True))
    except (ValueError, TypeError, KeyError):
        return None
    return request


def read_noted(path: Path) -> dict[str, Any]:
    """What landing noted; nothing where it is gone or damaged: then all lands again."""
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
