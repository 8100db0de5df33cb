"""The logs of servers on their way to the host that lands them: from the disk of each server to object storage.

A server answers once its own disk has the line (`prediction_log`). What it has written is stored every few seconds,
also what a killed server left, and a file that nobody writes any more is removed once all of it is there. Whoever lands
copies what is new to its own disk and lands that. Landing goes by the ids of requests, so each step may be done again.

A home may have been copied, or restored from an older state of its disk, so two hosts may have a file of one name. What
is stored is therefore only ever added to, under the condition that nobody has changed it meanwhile.
"""

import contextlib
import hashlib
import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from filelock import Timeout

from mlguide_assets.deploy.log.fault_log import Counts, as_rows, counts_in
from mlguide_assets.deploy.log.forgotten_rows import ForgottenRows, change_lines, erase_once
from mlguide_assets.deploy.log.prediction_log import LANDED, SEGMENT_BYTES, is_held, read_noted, remove_unused
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.hosts.shared_files import shared_bucket, shared_name
from mlguide_assets.prepare.lake.bucket import Bucket

UPLOAD_SECONDS = 5.0
STOP_SECONDS = 10.0
"""How long a server that was told to stop waits for the store."""
SHARED_SEGMENT_BYTES = 4 * 1024 * 1024
"""A file that has grown is stored again as a whole."""
FAULTS_FOLDER = "faults"
"""The folder of counts within that of a server's logs (`fault_log`)."""
_RECENT_SECONDS = 60.0
_DAY = len("2026-01-01")
_GONE = b'{"landed": true}\n'
"""What a stored log holds while it is removed: a server that adds to it meanwhile takes another name."""
_BLANK = b" {}"
"""What is left of a line whose entity was forgotten."""

_log = logging.getLogger(__name__)


def segment_bytes() -> int:
    """How large a file of the prediction log may grow."""
    return SEGMENT_BYTES if shared_bucket() is None else SHARED_SEGMENT_BYTES


def upload_logs(folder: Path, forgotten: ForgottenRows | None = None) -> None:
    """Store what servers of this host have written, and remove what is complete there; one process at a time.

    Args:
        folder: of the server's logs, `Home.served`.
        forgotten: rows that are erased here and not stored; where another host has forgotten somebody, from all files.

    Raises:
        InputError: the store does not answer; what it has not is still here.
    """
    bucket = shared_bucket()
    if bucket is None or not folder.is_dir():
        return
    with contextlib.suppress(Timeout), locked(folder / ".uploading.lock", wait=False):
        there = {each.name: each.bytes for each in bucket.listing(shared_name(folder))}
        if forgotten:
            for path in erase_once(folder, forgotten):
                # It may have been stored, with them, after they had been erased there.
                _change_stored(bucket, f"{shared_name(folder)}/{_name(path, folder)}", forgotten.removed_from)
        for path in sorted(folder.glob("[0-9]*/*.jsonl")):
            _erase_new(path, forgotten, there.get(_name(path, folder), 0))
            _upload(path, folder, bucket, there)
        for path in sorted((folder / FAULTS_FOLDER).glob("*-*.json")):
            _upload_counts(path, folder, bucket, there)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _erase_new(path: Path, forgotten: ForgottenRows | None, stored: int) -> None:
    """Erase from what a file has grown by since it was stored."""
    if forgotten and path.stat().st_size > stored:
        start = path.read_bytes().rfind(b"\n", 0, stored) + 1
        change_lines(path, forgotten.removed_from, start)


def _upload(path: Path, folder: Path, bucket: Bucket, there: dict[str, int]) -> None:
    content, name = path.read_bytes(), _name(path, folder)
    # What follows the last line end is still being written, or was torn by a kill and never acknowledged.
    lines = content[: content.rfind(b"\n") + 1]
    if there.get(name) == len(lines) and is_held(path):
        return
    _add_lines(bucket, f"{shared_name(folder)}/{name}", lines)
    # Only while its size is that of what is stored, and no server may add to it.
    if remove_unused(path, len(content)):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _add_lines(bucket: Bucket, name: str, lines: bytes) -> None:
    """Store what a file has grown by. What is stored stays as it is: it may have more lines, or fewer rows in them.

    Args:
        name: of the file. Where other lines are stored under it, a host goes on that was cloned while it served; then
            all lines go under another name. Landing leaves out those that it has twice.
        lines: all of the file, each with its end.
    """
    while lines:
        found = bucket.get(name)
        stored = found[0] if found else b""
        # An earlier version stored what was still being written.
        kept = stored[: stored.rfind(b"\n") + 1]
        if (other := _first_other(kept, lines)) is not None:
            name = f"{name.removesuffix('.jsonl')}-{hashlib.sha256(other).hexdigest()[:8]}.jsonl"
        elif len(lines) <= len(kept) or bucket.replace(name, kept + lines[len(kept) :], found[1] if found else None):
            return


def _first_other(stored: bytes, lines: bytes) -> bytes | None:
    """The first line that is not of the request of the stored one in its place; None where each is."""
    if stored.startswith(lines) or lines.startswith(stored):
        return None
    for old, new in zip(stored.splitlines(), lines.splitlines(), strict=False):
        if old != new and _request_in(old) != _request_in(new) and old.strip(_BLANK) and new.strip(_BLANK):
            return new
    return None


def _request_in(line: bytes) -> str | None:
    """The id of the request of a line; None where the line is damaged."""
    try:
        return str(json.loads(line)["request_id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _upload_counts(path: Path, folder: Path, bucket: Bucket, there: dict[str, int]) -> None:
    """Other counts may have the same length, so also what was written a moment ago."""
    name, age = _name(path, folder), time.time() - path.stat().st_mtime
    if there.get(name) != path.stat().st_size or age < _RECENT_SECONDS:
        _raise_counts(bucket, f"{shared_name(folder)}/{name}", counts_in(path.read_bytes()))
    if age > timedelta(days=2).total_seconds():
        path.unlink()


def _raise_counts(bucket: Bucket, name: str, counts: Counts) -> None:
    """Store counts where they are higher: no stored one ever falls."""
    while True:
        found = bucket.get(name)
        stored = counts_in(found[0]) if found else None
        highest = counts | (stored or Counter())
        content = json.dumps(as_rows(highest)).encode()
        if highest == stored or bucket.replace(name, content, found[1] if found else None):
            return


@contextlib.contextmanager
def arrived_logs(folder: Path, *, kept_since: date, forgotten: ForgottenRows | None = None) -> Iterator[Path]:
    """The folder from which the logs of all servers are landed: on one host that where they are written.

    Args:
        folder: `Home.served` or `Home.faults`.
        kept_since: what is stored of days before goes once the block ends well, and so has landed.
        forgotten: rows that are erased from what has arrived, also before another host had forgotten them.

    Raises:
        InputError: the store does not answer.
    """
    bucket = shared_bucket()
    if bucket is None:
        yield folder
        return
    stored = {each.name: each.bytes for each in bucket.listing(shared_name(folder))}
    logs = {name: size for name, size in stored.items() if not name.startswith(f"{FAULTS_FOLDER}/")}
    arrived = _arrived(folder)
    for name, size in logs.items():
        path = arrived / name
        if path.suffix == ".json" or _size_known(path) != size:
            found = bucket.get(f"{shared_name(folder)}/{name}")
            if found is not None and found[0] != _GONE:
                replace_file(path, found[0], mode=0o600)
    if forgotten:
        deque(erase_once(arrived, forgotten), maxlen=0)
    yield arrived
    for name, size in logs.items():
        if name[:_DAY] < kept_since.isoformat():
            _remove_landed(bucket, f"{shared_name(folder)}/{name}", size)


def _remove_landed(bucket: Bucket, name: str, size: int) -> None:
    """Remove a stored file that has landed.

    A server that was away for days may add to it at any moment, and that has not landed. No store removes under a
    condition, but it replaces under one.
    """
    found = bucket.get(name)
    if found is None or (found[0] != _GONE and (len(found[0]) != size or not bucket.replace(name, _GONE, found[1]))):
        return
    bucket.delete([name])


def log_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of this host that hold logs: of its own servers, and of all of them where it has landed those."""
    return folder, _arrived(folder)


def change_stored_logs(folder: Path, changed: Callable[[bytes], bytes]) -> int:
    """Change lines of the stored prediction logs, each to one of the same length; how many were another.

    What a server has not stored yet it erases itself, by the list of the forgotten.

    Raises:
        InputError: the store does not answer.
    """
    bucket, number = shared_bucket(), 0
    for stored in bucket.listing(shared_name(folder)) if bucket else ():
        name = f"{shared_name(folder)}/{stored.name}"
        if bucket is not None and name.endswith(".jsonl"):
            number += _change_stored(bucket, name, changed)
    return number


def _change_stored(bucket: Bucket, name: str, changed: Callable[[bytes], bytes]) -> int:
    """Change the lines of one stored log, again where a server has added to it meanwhile; how many were another."""
    while (found := bucket.get(name)) is not None:
        lines = found[0].split(b"\n")
        new = [changed(line) for line in lines]
        if new == lines or bucket.replace(name, b"\n".join(new), found[1]):
            return sum(line != other for line, other in zip(new, lines, strict=True))
    return 0


def _arrived(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.arrived")


def _size_known(path: Path) -> int | None:
    """The bytes of a file that is here, or that has landed and is gone."""
    if path.is_file():
        return path.stat().st_size
    noted = read_noted(path.with_name(LANDED)).get(path.name)
    return noted if isinstance(noted, int) else None


class Uploader:
    """A thread that stores the logs of this host every few seconds, where hosts share a store; else nothing.

    Args:
        forgotten: what is on the list now, see `upload_logs`.
    """

    def __init__(self, folder: Path, forgotten: Callable[[], ForgottenRows]) -> None:
        self._folder = folder
        self._forgotten = forgotten
        self._ended = threading.Event()
        self._fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="uploading", daemon=True)

    def start(self) -> None:
        if shared_bucket() is not None:
            self._thread.start()

    def stop(self) -> None:
        """After the last line was written. What cannot be stored now stays for the next server on this host."""
        self._ended.set()
        # A store that does not answer must not hold the server: the thread ends with the process, between two steps
        # that may both be done again.
        if self._thread.is_alive() and self._fault is None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        self._try()
        while not self._ended.wait(UPLOAD_SECONDS):
            self._try()
        if self._fault is None:
            self._try()

    def _try(self) -> None:
        try:
            upload_logs(self._folder, self._forgotten())
            self._fault = None
        except (InputError, OSError) as error:
            if str(error) != self._fault:
                _log.error("logs are kept here until they can be stored: %s", error)
            self._fault = str(error)
