"""Folders for what is needed on the way: gone in the end, and after a kill with the next one."""

import contextlib
import hashlib
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.lake.failures import writing

SCRATCH, _LOCK = ".scratch-", ".lock"
STALE_SECONDS = 86_400


@contextlib.contextmanager
def scratch_folder(root: Path, what: str) -> Iterator[Path]:
    """A folder below another for the length of a `with` block.

    What a killed process left goes with the next one: it holds its lock no more. Of what is another host's, on a disk
    that both see, the lock says nothing here: it goes as soon as it is a day old, since runs are younger.

    Args:
        what: is written there, as the start of a sentence on a disk that fails.
    """
    with contextlib.ExitStack() as ends:
        with writing(what, root):
            root.mkdir(parents=True, exist_ok=True)
            _remove_left(root)
            folder = root / f"{_of_this_host()}{uuid.uuid4().hex[:12]}"
            # Locked before it is there, so that nobody finds it unlocked.
            ends.callback(_lock_of(folder).unlink, missing_ok=True)
            ends.enter_context(locked(_lock_of(folder)))
            folder.mkdir(mode=0o700)
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _remove_left(root: Path) -> None:
    """Remove the scratch folders of processes that were killed."""
    for left in root.glob(f"{SCRATCH}*"):
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
