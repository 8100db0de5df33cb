"""Changes of a table, each put on top of what other processes and hosts write meanwhile.

Writers of one table on one host wait for one another on a file lock; a writer that finds the pointer moved by another
host does its change again, on top of what that one wrote. Writers of different tables never meet.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.snapshots import History
from mlguide_assets.prepare.lake.stores import FileStore, PointerStore
from mlguide_assets.settings import LakePlace

ATTEMPTS = 60
"""How often a change is put on top of what other hosts write meanwhile. One of them succeeds each time."""
PAUSE_SECONDS = 0.2
"""The longest wait before the next attempt."""


class Changes:
    """How the tables of a lake are changed.

    Args:
        place: where the lake is.
        pointers, files: the stores that it is kept in.
    """

    def __init__(self, place: LakePlace, pointers: PointerStore, files: FileStore) -> None:
        self._place, self._pointers, self._files = place, pointers, files

    @contextlib.contextmanager
    def locked(self, table: str, what: str = "") -> Iterator[History]:
        """The table as it is, while no other process of this host changes it; a failing disk raises one sentence.

        Args:
            what: what is changed, in words; default: the table.
        """
        with writing(what or f"Table {table!r}", self._place.root / table), self._pointers.lock(table):
            yield self._pointers.history(table)

    def apply(self, begun: History, change: Callable[[History], History]) -> History:
        """Put a change of a table on top of what there is, also where another host has just changed that.

        Args:
            begun: the table as `locked` gave it.
            change: called again wherever another host was first; it may raise, and then nothing is changed.

        Returns:
            The table as it is then.

        Raises:
            InputError: other hosts were first every time.
        """
        before = begun
        for _ in range(ATTEMPTS):
            after = change(before)
            if after == before:
                return before
            if self._pointers.replace(before, after):
                if after.snapshots != before.snapshots:
                    self._files.clean(before, after)
                return after
            time.sleep(random.uniform(0, PAUSE_SECONDS))
            before = self._pointers.history(begun.table)
        raise InputError(
            f"Table {begun.table!r} could not be written to {self._place}: other hosts changed it {ATTEMPTS} times "
            f"meanwhile; run again, what they wrote is untouched."
        )
