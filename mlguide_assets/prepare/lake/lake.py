"""The lake: Parquet files as the store of record, snapshots over them, DuckDB to compute.

A table is a folder of immutable data files (`data_files`), of manifests that say which of them make a snapshot, and of
pointers to the current and the pinned snapshots (`pointers`). Everything is written to a temporary name and renamed,
and the pointer moves last: whoever reads sees a whole snapshot, and a crash at any moment leaves the previous one.
There is no database lock; two writers of one table wait for one another on a file lock, writers of different tables
never meet.

What it does not do: transactions over several tables, or updates within a file.
"""

import contextlib
import difflib
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.data_files import (
    Partitions,
    TableLike,
    name_by_content,
    temporary_file,
    write_file,
    write_files,
)
from mlguide_assets.prepare.lake.failures import naming_lost_files, writing
from mlguide_assets.prepare.lake.pointers import Pointers
from mlguide_assets.prepare.lake.session import Session
from mlguide_assets.prepare.lake.snapshots import WHOLE, DataFile, MissingTableError, Snapshot, content_hash_of

if TYPE_CHECKING:
    import ibis


class Lake:
    """Reads and writes the tables below one folder.

    Args:
        root: the folder; created on the first write.
        keep: snapshots kept per table, the current one included and pinned ones not counted.
    """

    def __init__(self, root: Path, *, keep: int = 5) -> None:
        self.root = root
        self.keep = keep
        self.session = Session(root)
        self._pointers = Pointers(root)

    @property
    def connection(self) -> "ibis.BaseBackend":
        """This process's in-memory DuckDB. It holds no data of its own; spilling goes below the lake."""
        return self.session.connection

    def tables(self) -> dict[str, Snapshot]:
        """The current snapshot of every table."""
        return {name: self.snapshot(name) for name in self._pointers.tables()}

    def exists(self, table: str) -> bool:
        return self._pointers.exists(table)

    def snapshot(self, table: str, snapshot_id: str | None = None) -> Snapshot:
        """A snapshot of a table, the current one unless an id is given.

        Raises:
            MissingTableError: there is no such table or snapshot.
        """
        try:
            return self._pointers.snapshot(table, snapshot_id or self._pointers.current(table))
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing(table, snapshot_id) from None

    def history(self, table: str) -> list[Snapshot]:
        """The snapshots that are kept, oldest first."""
        current = self.snapshot(table)
        older: list[Snapshot] = []
        for snapshot_id in self._pointers.ids(table):
            # A writer may forget the oldest meanwhile.
            with contextlib.suppress(MissingTableError):
                older.append(self.snapshot(table, snapshot_id))
        # One that a crash kept from becoming current never was a snapshot.
        return [*(snapshot for snapshot in older if snapshot.sequence < current.sequence), current]

    def files(self, table: str, *, partitions: list[str] | None = None, snapshot_id: str | None = None) -> list[Path]:
        """The Parquet files of a snapshot, in the order of their partitions; all, or those asked for."""
        snapshot = self.snapshot(table, snapshot_id)
        keys = sorted(snapshot.partitions) if partitions is None else partitions
        absent = [key for key in keys if key not in snapshot.partitions]
        if absent:
            raise MissingTableError(f"Table {table!r} has no partition {absent[0]!r}: materialise it first.")
        return [self._data(table) / snapshot.partitions[key].file for key in keys]

    def read(
        self,
        table: str,
        *,
        partitions: list[str] | None = None,
        snapshot_id: str | None = None,
        by_name: bool = False,
    ) -> "ibis.Table":
        """A table as an Ibis expression over its files; but for their schema, nothing is read until it is executed.

        Args:
            by_name: a column that some partitions lack, being older than it, is null there. Otherwise all must have
                the columns of the first.
        """
        paths = tuple(self.files(table, partitions=partitions, snapshot_id=snapshot_id))
        with naming_lost_files(f"Table {table!r} cannot be read"):
            return self.session.read(paths, by_name=by_name)

    def read_arrow(self, table: str, partitions: list[str] | None = None, snapshot_id: str | None = None) -> pa.Table:
        """A small table in memory, in the order of its partitions, without Ibis and DuckDB.

        A column that some partitions lack, as a record written before the column was, is null there.
        """
        paths = self.files(table, partitions=partitions, snapshot_id=snapshot_id)
        return pa.concat_tables([pq.ParquetFile(path).read() for path in paths], promote_options="default")

    def first_rows(self, snapshot: Snapshot, count: int, partition: str | None = None) -> pa.Table:
        """The first rows of a snapshot, or of one of its partitions; without Ibis and DuckDB."""
        keys = sorted(snapshot.partitions) if partition is None else [partition]
        found: list[pa.Table] = []
        for key in keys:
            file = pq.ParquetFile(self._data(snapshot.table) / snapshot.partitions[key].file)
            found.append(pa.Table.from_batches(itertools.islice(file.iter_batches(count), 1), file.schema_arrow))
            if sum(len(rows) for rows in found) >= count:
                break
        return pa.concat_tables(found, promote_options="default").slice(0, count)

    def holds(self, table: str, file: DataFile) -> bool:
        """Whether a file is there, in full length."""
        path = self._data(table) / file.file
        return path.is_file() and path.stat().st_size == file.bytes

    def scratch(self, what: str) -> AbstractContextManager[Path]:
        """A folder below the lake for the length of a `with` block; see `Session.scratch`."""
        return self.session.scratch(what)

    def write(self, table: str, data: TableLike) -> Snapshot:
        """Replace a table. Equal content keeps the current snapshot."""
        with self._locked(table):
            return self._commit(table, data, WHOLE, keep_others=False)

    def write_partition(self, table: str, key: str, data: TableLike) -> Snapshot:
        """Replace one partition of a table and keep the others. Idempotent."""
        with self._locked(table):
            return self._commit(table, data, key, keep_others=True)

    def write_partitions(self, table: str, partitions: Partitions) -> Snapshot:
        """Replace a table by partitions, some of which it has already; all others are dropped, in one step.

        Equal content keeps the current snapshot, and renews its fingerprints and notes.

        Raises:
            InputError: other writers have meanwhile replaced, and forgotten, a partition that was to stay.
        """
        with self._locked(table), writing(f"Table {table!r}", self.root / table):
            if gone := next((key for key, file in partitions.kept.items() if not self.holds(table, file)), None):
                raise InputError(
                    f"Partition {gone!r} of table {table!r} was replaced by other runs meanwhile: run again; "
                    f"what they wrote is untouched."
                )
            written = write_files(self.session, self._data(table), partitions.anew)
            noted = {key: replace(file, inputs=partitions.inputs.get(key)) for key, file in written.items()}
            return self._publish(table, {**partitions.kept, **noted}, partitions.notes)

    def append(self, table: str, rows: pa.Table) -> Snapshot:
        """Add rows that no later write changes, as a partition of their own."""
        with self._locked(table):
            taken = len(self.snapshot(table).partitions) if self.exists(table) else 0
            return self._commit(table, rows, f"{taken:08d}", keep_others=True)

    def restore(self, table: str, snapshot_id: str | None) -> None:
        """Make an earlier snapshot the current one again; None removes the table.

        Raises:
            MissingTableError: the snapshot is gone.
        """
        with self._locked(table), writing(f"Table {table!r}", self.root / table):
            if snapshot_id is None:
                self._pointers.remove(table)
                shutil.rmtree(self._data(table), ignore_errors=True)
                return
            self.snapshot(table, snapshot_id)
            self._pointers.set_current(table, snapshot_id)
            self._clean(table)

    def rewrite(self, table: str, change: Callable[[Path, Path], bool]) -> int:
        """Change data files in every snapshot that names them, old and pinned ones too: for erasure, and nothing else.

        Snapshots keep their ids, which then no longer match their content. Killed half-way, it is completed by doing
        the same again.

        Args:
            change: given a data file and where to write its successor, writes one and returns True, or returns False.

        Returns:
            How many files were changed.
        """
        changed = 0
        with self._locked(table), writing(f"Table {table!r}", self.root / table):
            for path in sorted(self._data(table).glob("*.parquet")):
                temporary = temporary_file(path.parent)
                try:
                    if not change(path, temporary):
                        continue
                    successor = name_by_content(temporary, path.stem.rpartition("-")[0])
                finally:
                    temporary.unlink(missing_ok=True)
                self._pointers.exchange(table, path.name, successor)
                path.unlink()
                changed += 1
        return changed

    def pin(self, table: str, snapshot_id: str, reason: str) -> None:
        """Keep a snapshot and its files for a reason, however many newer ones there are.

        A reason pins one snapshot of a table at a time: pinned again, it moves.

        Args:
            reason: what the pin is for, as a plain file name.

        Raises:
            MissingTableError: there is no such table, or the snapshot is gone.
        """
        path = self._pointers.pin(table, reason)
        self.snapshot(table, snapshot_id)
        # Under the lock, since a writer may be about to clean the snapshot away.
        with self._locked(table), writing(f"The pin {reason!r} of table {table!r}", path.parent):
            if self.snapshot(table, snapshot_id) not in self.history(table):
                raise self._missing(table, snapshot_id)
            self._pointers.set_pin(table, reason, snapshot_id)

    def unpin(self, table: str, reason: str) -> None:
        """Let a pinned snapshot go at the next write; nothing happens where the reason pins none."""
        path = self._pointers.pin(table, reason)
        with writing(f"The pin {reason!r} of table {table!r}", path.parent):
            path.unlink(missing_ok=True)

    def pinned(self, table: str) -> dict[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""
        return self._pointers.pins(table)

    def _data(self, table: str) -> Path:
        return self.root / table / "data"

    def _missing(self, table: str, snapshot_id: str | None) -> MissingTableError:
        if snapshot_id:
            return MissingTableError(f"There is no snapshot {snapshot_id!r} of table {table!r} in {self.root}.")
        names = self._pointers.tables()
        if close := difflib.get_close_matches(table, names, n=1):
            return MissingTableError(f"There is no table {table!r} in {self.root}; did you mean {close[0]!r}?")
        known = ", ".join(names) or "none yet"
        return MissingTableError(f"There is no table {table!r} in {self.root} (tables: {known}): run 'mlguide run'.")

    def _commit(self, table: str, data: TableLike, key: str, *, keep_others: bool) -> Snapshot:
        current = self.snapshot(table) if self.exists(table) else None
        with writing(f"Table {table!r}", self.root / table):
            written = write_file(self.session, self._data(table), key, data)
            kept = current.partitions if current and keep_others else {}
            return self._publish(table, {**kept, key: written}, {})

    def _publish(self, table: str, partitions: Mapping[str, DataFile], notes: Mapping[str, Any]) -> Snapshot:
        """Make files that are written the current snapshot, unless it has this content."""
        current = self.snapshot(table) if self.exists(table) else None
        content_hash = content_hash_of(partitions)
        if current and current.content_hash == content_hash:
            renewed = replace(current, partitions=partitions, notes=notes)
            if renewed != current:
                self._pointers.write(renewed)
            return renewed
        sequence = current.sequence + 1 if current else 1
        snapshot = Snapshot(
            table=table,
            id=f"{sequence:06d}-{content_hash[:12]}",
            sequence=sequence,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            partitions=partitions,
            notes=notes,
        )
        self._pointers.write(snapshot)
        self._pointers.set_current(table, snapshot.id)
        self._clean(table)
        return snapshot

    def _clean(self, table: str) -> None:
        """Forget the oldest snapshots that are not pinned, the files that no kept one names, and what a crash left."""
        history, pinned = self.history(table), set(self.pinned(table).values())
        newest = [snapshot for snapshot in history if snapshot.id not in pinned][-self.keep :]
        kept = [snapshot for snapshot in history if snapshot.id in pinned or snapshot in newest]
        named = {file.file for snapshot in kept for file in snapshot.partitions.values()}
        # Manifests first: a snapshot that is listed has its data, also where a crash ends the cleaning.
        self._pointers.clean(table, {snapshot.id for snapshot in kept})
        for path in self._data(table).iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, table: str) -> Iterator[None]:
        with writing(f"Table {table!r}", self.root / table):
            lock = self._pointers.lock(table)
        with lock:
            yield
