"""The one file lock of this package: one holder at a time, among all threads and processes of a host.

Two logs and the UI hold a lock on a file of their own instead, and say why where they do. It does not reach other
hosts.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock


def locked(path: Path, *, wait: bool = True) -> AbstractContextManager[object]:
    """Wait for a lock, and give it back at the end of a `with` block; the system does where the process is killed.

    Args:
        path: a file for the lock alone, made with its folder where it is missing, and left where it is.
        wait: or raise `filelock.Timeout` at once where somebody else has it.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path).acquire(blocking=wait)
