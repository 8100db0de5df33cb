"""What a lake is kept in: where its pointers and its data files are, for a lake in a folder and one on object storage.

A lake in a folder has one writer of a table at a time, by a lock. One on object storage may have writers on several
hosts: each puts its change in place of the state that it has read, and nowhere else.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from mlguide_assets.prepare.lake.snapshots import DataFile, History, Snapshot


class PointerStore(Protocol):
    """Which data are whole: manifests, current snapshots and pins of all tables."""

    def tables(self) -> list[str]:
        """The names of all tables that have a snapshot, in order."""

    def exists(self, table: str) -> bool: ...

    def lock(self, table: str) -> AbstractContextManager[object]:
        """Wait until no other thread or process of this host writes the table."""

    def current(self, table: str) -> Snapshot | None:
        """The current snapshot, or None where there is no such table."""

    def snapshot(self, table: str, snapshot_id: str) -> Snapshot | None:
        """The snapshot of an id, or None where there is none."""

    def pins(self, table: str) -> Mapping[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""

    def history(self, table: str) -> History:
        """All of a table that changes; empty where there is no such table."""

    def replace(self, before: History, after: History) -> bool:
        """Put a state of a table in place of the one before; False where another writer came first."""


class PendingFiles(Protocol):
    """Data files that were written and that no snapshot names yet."""

    def named_in(self, state: History) -> dict[str, DataFile]:
        """The files by partition, as the next snapshot of a state may name them."""

    def published_in(self, state: History) -> Snapshot | None:
        """The snapshot that names them already: the writer did not hear that it had succeeded."""


class FileStore(Protocol):
    """The data files of all tables."""

    def folder(self, table: str) -> Path:
        """The local folder in which the files of a table are written."""

    def paths(self, table: str, files: Sequence[DataFile]) -> list[Path]:
        """Local paths of files, with all their content."""

    def held(self, table: str, files: Mapping[str, DataFile]) -> dict[str, DataFile]:
        """Those of some files, by partition, that are there in full length."""

    def pending(self, table: str, written: Mapping[str, DataFile]) -> PendingFiles:
        """Files that were written in the folder of the table."""

    def put(self, table: str, written: DataFile) -> DataFile:
        """Store one file that was written in the folder of the table; returns it as a snapshot may name it."""

    def each(self, state: History, seen: Container[str]) -> Iterator[tuple[str, str, Path]]:
        """Every file that is stored of a table, named by a snapshot or not: its name, its partition, a local path.

        Args:
            seen: names to leave out.
        """

    def remove(self, table: str, files: Sequence[str]) -> None:
        """Remove files that no snapshot names, even if a writer is about to name them."""

    def clean(self, before: History, after: History) -> None:
        """Remove the files that a change has left without a snapshot, and what crashed writers left."""
