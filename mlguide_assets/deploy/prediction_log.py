"""The prediction log: what was answered, on the disk before it was sent.

    <folder>/<day>/<time>-<process>-<random>.jsonl

One line is one answered request with all its pairs. A process writes files of its own and never goes on with one that
another began, so a line that a kill tore in two is the last of its file, without its end, and was never acknowledged.
Lines are synced to the disk in groups: one sync for all requests that were scored together.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import make_durable

SEGMENT_BYTES = 64 * 1024 * 1024

CHAMPION, CHALLENGER, WHAT_IF, BASE_RATE = "champion", "challenger", "what_if", "base_rate"
"""Variants: who answered, or what for."""


class LogError(Exception):
    """The log cannot be written: nothing that would have to be logged may be answered."""


class LogWriter:
    """Appends durable lines. One instance belongs to one thread."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._day = ""
        self._handle = -1
        self._path = folder
        self._written = 0

    def append(self, lines: Sequence[bytes], now: datetime) -> None:
        """Write lines, each without its line end, and wait until the disk has them.

        Args:
            now: UTC; the lines land on its day.

        Raises:
            LogError: the disk is full, or the folder cannot be written; nothing of these lines is kept.
        """
        content = b"".join(line + b"\n" for line in lines)
        try:
            self._roll(now)
            self._write(content)
        except OSError as error:
            raise LogError(
                f"The prediction log below {self._folder} cannot be written ({error.strerror or error}): free space or "
                f"mend permissions there; until then nothing is answered, since what is answered is logged first."
            ) from error

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
        folder = self._folder / day
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{now:%H%M%S%f}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._path = folder / name
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
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


def days(folder: Path) -> list[str]:
    """The days that have files, oldest first."""
    return sorted(path.name for path in folder.glob("[0-9]*-[0-9]*-[0-9]*") if path.is_dir())


def segments(folder: Path, day: str) -> list[Path]:
    """The files of a day, in the order in which they were begun."""
    return sorted((folder / day).glob("*.jsonl"))


def read_segment(path: Path) -> Iterator[dict[str, Any]]:
    """The requests of a file. A last line without its end was never acknowledged, and is left out.

    Raises:
        InputError: a line that was ended is not what was written: the disk, or somebody, changed it.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            yield _parsed(line, path, number)


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        request = json.loads(line)
        if isinstance(request, dict):
            return request
    except ValueError:
        pass
    raise InputError(
        f"{path}, line {number}, is no longer what the server wrote: remove that line, or restore the file, then land "
        f"the log again."
    )


def now_utc() -> datetime:
    """The wall's clock, UTC, as all times here: without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def read_day(folder: Path, day: str) -> Iterable[dict[str, Any]]:
    """All requests of a day."""
    for path in segments(folder, day):
        yield from read_segment(path)
