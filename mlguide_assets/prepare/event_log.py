"""A log of JSON lines that many processes add to, and that keeps what it acknowledged through a power cut.

It is read whole each time: 100,000 lines take about a second and a half.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import make_durable

Line = dict[str, Any]


@dataclass(frozen=True)
class EventLog:
    """The lines of one file; each has an `event`, the instant `at`, and a `key`.

    Raises InputError, in one sentence, where the file cannot be read or written.

    Args:
        name: what the log is called in that sentence.
    """

    path: Path
    name: str

    @contextlib.contextmanager
    def locked(self) -> Iterator["Writer"]:
        """Alone among all processes: what is read inside is what the lines written inside follow from."""
        with self.sentence("written"):
            created = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            with self.sentence("written"):
                fcntl.flock(handle, fcntl.LOCK_EX)
                if created:
                    make_durable(self.path.parent)
            yield Writer(self, handle)
        finally:
            os.close(handle)

    def lines(self) -> list[Line]:
        """All lines, the oldest first, without those that a crash cut short: nobody was told that they are kept."""
        with self.sentence("read"):
            content = self.path.read_bytes() if self.path.exists() else b""
        return [line for raw in content.split(b"\n") if (line := _parsed(raw)) is not None]

    @contextlib.contextmanager
    def sentence(self, done: str) -> Iterator[None]:
        """What the system refuses, as a sentence for the user."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"The {self.name} {self.path} cannot be {done} ({error.strerror or error}): "
                f"mend its permissions or free space, or choose another home directory."
            ) from error


@dataclass(frozen=True)
class Writer:
    """The log while it is locked."""

    log: EventLog
    handle: int

    def append(self, *lines: Mapping[str, Any]) -> None:
        """Add lines in one write, and wait until the disk has them."""
        content = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
        with self.log.sentence("written"):
            size = os.fstat(self.handle).st_size
            # What a crash cut short must not swallow the line that follows it.
            torn = size > 0 and os.pread(self.handle, 1, size - 1) != b"\n"
            content = b"\n" + content if torn else content
            written = os.write(self.handle, content)
            if written < len(content):
                raise OSError(None, "no space left")
            os.fsync(self.handle)


def _parsed(raw: bytes) -> Line | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) and {"event", "at", "key"} <= line.keys() else None
