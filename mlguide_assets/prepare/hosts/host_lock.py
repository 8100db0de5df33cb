"""Locks that reach all hosts: advisory locks of the shared database, beside the lock of a file.

The database gives a lock back when the session that holds it ends: at once where a process is killed, within half a
minute where a host loses its power. Where the database itself was restarted, the holder takes the lock again; others
wait somewhat longer, also those that only look, so that it is not taken from a run that goes on.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.database import connect, connected, shared_database
from mlguide_assets.prepare.hosts.file_lock import locked

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class of a driver that names it so

_LOOK_SECONDS = 0.2
_KEEP_SECONDS = 1.0
"""Between two looks whether the session still lives."""
_GRACE_SECONDS = 5.0
"""How long other processes leave a restarted database to the previous holder of the lock."""
_KEY = "hashtextextended(%s, 0)"


@contextlib.contextmanager
def locked_on_all_hosts(path: Path, name: str, *, wait: bool = True) -> Iterator[None]:
    """As `locked`, and alone among the hosts that share a database, where they do.

    Args:
        path: the file that is locked on this host.
        name: of the lock in the database, the same on all hosts.

    Raises:
        filelock.Timeout: somebody else has it, and `wait` is false.
        OSError: the file cannot be made.
        InputError: the database does not answer or refuses.
    """
    with locked(path, wait=wait), locked_in_database(name, wait=wait):
        yield


@contextlib.contextmanager
def locked_in_database(name: str, *, wait: bool = True) -> Iterator[None]:
    """The lock of the database alone; nothing where no database is shared. Raises as `locked_on_all_hosts`."""
    if shared_database() is None:
        yield
        return
    held = _Held(name)
    held.take(wait=wait)
    try:
        yield
    finally:
        held.give_back()


def holder_on_all_hosts(name: str) -> str | None:
    """The process that holds a lock in the database, as `this_process` names it; None where none does.

    Raises:
        InputError: as `locked_on_all_hosts`.
    """
    with connected(this_process()) as connection, connection.cursor() as cursor:
        # As two halves, as PostgreSQL lists a key of eight bytes.
        cursor.execute(
            f"SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid), (SELECT {_KEY} AS key) AS of"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND classid::bigint = (key >> 32) & 4294967295 AND objid::bigint = key & 4294967295"
            " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [_full(name)],
        )
        found = cursor.fetchone()
    return str(found[0]) if found else None


def this_process() -> str:
    """Identifies this process among all hosts that share a database; else its number."""
    return str(os.getpid()) if shared_database() is None else _unique(os.getpid())


@cache
def _unique(process: int) -> str:
    # A container that is started again has the name and the number that it had.
    return f"{socket.gethostname()[:30]}-{process}-{uuid.uuid4().hex[:8]}"


def _full(name: str) -> str:
    return f"mlguide: {name}"


class _Held:
    """A lock of the database, and the thread that takes it again where the database was restarted."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._session: Connection | None = None
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"lock {name}", daemon=True)

    def take(self, *, wait: bool) -> None:
        """Raises filelock.Timeout where another process has it and `wait` is False."""
        self._leave_to_holder()
        while not self._is_taken(None):
            if not wait:
                self._close()
                raise Timeout(self._name)
            time.sleep(_LOOK_SECONDS if self._session else _GRACE_SECONDS)
        self._keeper.start()

    def give_back(self) -> None:
        """Raises nothing: a database that is gone has given it back."""
        self._ended.set()
        self._keeper.join()
        self._close()

    def _leave_to_holder(self) -> None:
        """Wait until a database that was just restarted has been there for as long as its last holder needs."""
        import psycopg2

        with contextlib.suppress(psycopg2.Error), contextlib.closing(connect(this_process())) as session:
            with session.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())")
                (seconds,) = cursor.fetchone() or (_GRACE_SECONDS,)
            time.sleep(max(0.0, _GRACE_SECONDS - float(seconds)))

    def _is_taken(self, patience: float | None) -> bool:
        """Try to take it; without a session afterwards where the database is not there."""
        import psycopg2

        try:
            if self._session is None:
                self._session = connect(this_process(), patience=patience)
            with self._session.cursor() as cursor:
                cursor.execute(f"SELECT pg_try_advisory_lock({_KEY})", [_full(self._name)])
                row = cursor.fetchone()
        except psycopg2.Error:
            self._close()
            return False
        return bool(row and row[0])

    def _keep(self) -> None:
        taken = True
        while not self._ended.wait(_KEEP_SECONDS):
            if not self._lives():
                self._close()
                taken = False
            if not taken:
                # The run's own queries will show that the database is gone.
                with contextlib.suppress(InputError):
                    taken = self._is_taken(0)

    def _lives(self) -> bool:
        import psycopg2

        if self._session is None:
            return False
        try:
            with self._session.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            return False
        return True

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None
