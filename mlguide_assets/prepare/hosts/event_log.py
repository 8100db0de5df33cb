"""A log of JSON lines that many processes add to, and that keeps what it acknowledged through a power cut.

It is a file of the home, or, where hosts share a database, rows of that (`database_log`): `open_log` says which.
Reading it whole takes about a second and a half per 100,000 lines; `lines_after` reads what was added since.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import make_durable, replace_file

Line = dict[str, Any]


class Writer(Protocol):
    """A log while it is locked."""

    @property
    def size(self) -> int:
        """Bytes of the log."""
        ...

    def append(self, *lines: Mapping[str, Any]) -> None:
        """Add lines at once, and wait until they are kept."""
        ...

    def begin_again(self, lines: Sequence[Mapping[str, Any]], older: str) -> None:
        """Replace the log by these lines, and keep what it was under another name beside it; it is closed then.

        A crash leaves the log as it was, or as it will be.
        """
        ...


class Log(Protocol):
    """Lines, each with an `event`, the instant `at`, and a `key`, in the order of the writing, whatever clocks say.

    Raises InputError, in one sentence, where it cannot be read or written.
    """

    def __hash__(self) -> int: ...

    def locked(self) -> contextlib.AbstractContextManager[Writer]:
        """Alone among all processes: what is read inside is what the lines written inside follow from."""
        ...

    def lines(self) -> list[Line]:
        """All lines, the oldest first, without those that a crash cut short: they were never acknowledged."""
        ...

    def lines_after(self, place: "Place | None") -> "Added":
        """The whole lines that were added after a place of an earlier reading; all of them, from None on."""
        ...


def open_log(path: Path, name: str) -> Log:
    """The log of a home.

    Args:
        path: its file; in a shared database, file and folder are its name.
        name: what it is called in sentences.
    """
    from mlguide_assets.prepare.hosts.database import shared_database

    if shared_database() is None:
        return EventLog(path, name)
    from mlguide_assets.prepare.hosts.database_log import DatabaseLog

    return DatabaseLog(f"{path.parent.name}/{path.name}", name)


@dataclass(frozen=True)
class EventLog:
    """A log in a file. `name` is what it is called in sentences."""

    path: Path
    name: str

    @contextlib.contextmanager
    def locked(self) -> Iterator["FileWriter"]:
        with self.sentence("written"):
            handle = self._locked_handle()
        try:
            yield FileWriter(self, handle)
        finally:
            os.close(handle)

    def _locked_handle(self) -> int:
        while True:
            created = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                # Not `locked`: the log itself is held, so that a waiting process sees that it was replaced meanwhile.
                fcntl.flock(handle, fcntl.LOCK_EX)
                if created:
                    make_durable(self.path.parent)
                # While this process waited, another may have begun the log again: then this is the older file.
                if self.path.exists() and os.fstat(handle).st_ino == self.path.stat().st_ino:
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def lines(self) -> list[Line]:
        with self.sentence("read"):
            content = self.path.read_bytes() if self.path.exists() else b""
        return [line for raw in content.split(b"\n") if (line := parsed(raw)) is not None]

    def lines_after(self, place: "Place | None") -> "Added":
        with self.sentence("read"):
            try:
                with self.path.open("rb") as stream:
                    found = os.fstat(stream.fileno())
                    goes_on = place is not None and place.beginning == found.st_ino and place.offset <= found.st_size
                    offset = place.offset if place is not None and goes_on else 0
                    stream.seek(offset)
                    whole, newline, tail = stream.read().rpartition(b"\n")
            except FileNotFoundError:
                return Added([], None, None, goes_on=False)
        lines = [line for raw in whole.split(b"\n") if (line := parsed(raw)) is not None]
        return Added(lines, parsed(tail), Place(found.st_ino, offset + len(whole) + len(newline)), goes_on)

    @contextlib.contextmanager
    def sentence(self, done: str) -> Iterator[None]:
        """What the system refuses, as a sentence for the user."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"The {self.name} {self.path} cannot be {done} ({error.strerror or error}): "
                f"fix its permissions or free space, or choose another home directory."
            ) from error


@dataclass(frozen=True)
class Place:
    """How far a log was read: `beginning` is another once it has begun again."""

    beginning: int
    offset: int


@dataclass(frozen=True)
class Added:
    """What a reading found.

    Attributes:
        last: the line that has no end yet: a writer is at it, or a crash cut it short; None where it says nothing.
        goes_on: whether the lines follow those of the earlier reading; if not, the log has begun again.
    """

    lines: list[Line]
    last: Line | None
    place: Place | None
    goes_on: bool


@dataclass(frozen=True)
class FileWriter:
    """A file while it is locked."""

    log: EventLog
    handle: int

    def append(self, *lines: Mapping[str, Any]) -> None:
        """In one write, and wait until the disk has them."""
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

    @property
    def size(self) -> int:
        return os.fstat(self.handle).st_size

    def begin_again(self, lines: Sequence[Mapping[str, Any]], older: str) -> None:
        with self.log.sentence("written"):
            copy = self.log.path.with_name(f".{older}.tmp")
            shutil.copyfile(self.log.path, copy)
            copy.replace(self.log.path.with_name(older))
            replace_file(self.log.path, b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines))


def parsed(raw: bytes | str) -> Line | None:
    """A line as a log may hold it; None for what is none."""
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) and {"event", "at", "key"} <= line.keys() else None
