"""The lake: Parquet files as the store of record, snapshots over them, DuckDB to compute.

A table is a set of immutable data files, of manifests that say which of them make a snapshot, and of pointers to the
current and the pinned snapshots. They are in a folder (`pointers`, `local_files`) or on object storage
(`remote_pointers`, `remote_files`). A file is whole before a manifest names it, and the pointer moves last: whoever
reads sees a whole snapshot, and a crash at any moment leaves the previous one. How writers meet is in `changes`, how
rows leave all snapshots in `erasure`.

What it does not do: transactions over several tables, or updates within a file.
"""

import difflib
import itertools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.changes import Changes
from mlguide_assets.prepare.lake.data_files import (
    Partitions,
    TableLike,
    is_as_written,
    naming_damage,
    read_file,
    write_files,
)
from mlguide_assets.prepare.lake.erasure import Change, ChangeNotes, rewrite
from mlguide_assets.prepare.lake.failures import naming_lost_files
from mlguide_assets.prepare.lake.opening import open_stores
from mlguide_assets.prepare.lake.session import Session
from mlguide_assets.prepare.lake.snapshots import UNPARTITIONED, DataFile, History, MissingTableError, Snapshot
from mlguide_assets.settings import LakePlace

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.prepare.computing import Engine, EngineName

Files = Mapping[str, DataFile]


class Lake:
    """Reads and writes the tables of one problem.

    Args:
        place: where it is; a path is that of a folder, created on the first write.
        keep: snapshots kept per table, the current one included and pinned ones not counted.
        engine: what computes what is as large as the decisions.

    Raises:
        InputError: from any method, where object storage does not answer or refuses.
    """

    def __init__(self, place: Path | LakePlace, *, keep: int = 5, engine: "EngineName" = "duckdb") -> None:
        self.place = place if isinstance(place, LakePlace) else LakePlace(place)
        self._engine = engine
        self.keep = keep
        self.session = Session(self.root)
        self._pointers, self._files = open_stores(self.place)
        self._changes = Changes(self.place, self._pointers, self._files)

    @property
    def root(self) -> Path:
        """The local folder: of the lake, or, where that is on object storage, of its cache. Scratch goes there, too."""
        return self.place.root

    @property
    def connection(self) -> "ibis.BaseBackend":
        """This process's in-memory DuckDB. It holds no data of its own; spilling goes below the lake."""
        return self.session.connection

    @cached_property
    def engine(self) -> "Engine":
        """What computes what is as large as the decisions.

        Raises:
            InputError: it cannot be opened.
        """
        from mlguide_assets.prepare.computing import DuckDB

        if self._engine == "duckdb":
            return DuckDB(self.connection)
        from mlguide_assets.prepare.spark.engine import Spark

        return Spark.opened()

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
        found = self._pointers.snapshot(table, snapshot_id) if snapshot_id else self._pointers.current(table)
        if found is None:
            raise self._missing(table, snapshot_id)
        return found

    def history(self, table: str) -> list[Snapshot]:
        """The snapshots that are kept, oldest first."""
        snapshots = self._pointers.history(table).snapshots
        if not snapshots:
            raise self._missing(table, None)
        return list(snapshots)

    def files(self, table: str, *, partitions: list[str] | None = None, snapshot_id: str | None = None) -> list[Path]:
        """Local paths of the Parquet files of a snapshot, in the order of their partitions; all, or those asked for."""
        snapshot = self.snapshot(table, snapshot_id)
        keys = sorted(snapshot.partitions) if partitions is None else partitions
        absent = [key for key in keys if key not in snapshot.partitions]
        if absent:
            raise MissingTableError(f"Table {table!r} has no partition {absent[0]!r}: materialise it first.")
        return self._files.paths(table, [snapshot.partitions[key] for key in keys])

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

    def open(
        self,
        table: str,
        *,
        partitions: list[str] | None = None,
        snapshot_id: str | None = None,
        by_name: bool = False,
    ) -> "ibis.Table":
        """`read`, for the engine: what it gives is joined with nothing that `read` does."""
        if self._engine == "duckdb":
            return self.read(table, partitions=partitions, snapshot_id=snapshot_id, by_name=by_name)
        return self.engine.read(*self.files(table, partitions=partitions, snapshot_id=snapshot_id), by_name=by_name)

    def read_arrow(self, table: str, partitions: list[str] | None = None, snapshot_id: str | None = None) -> pa.Table:
        """A small table in memory, in the order of its partitions, without Ibis and DuckDB.

        A column that some partitions lack, as a record written before the column was, is null there.
        """
        paths = self.files(table, partitions=partitions, snapshot_id=snapshot_id)
        return pa.concat_tables([read_file(path) for path in paths], promote_options="default")

    def first_rows(self, snapshot: Snapshot, count: int, partition: str | None = None) -> pa.Table:
        """The first rows of a partition; by default of the newest, and of those before it where it has fewer. Without
        Ibis and DuckDB.
        """
        keys = sorted(snapshot.partitions, reverse=True) if partition is None else [partition]
        found: list[pa.Table] = []
        for key in keys:
            (path,) = self._files.paths(snapshot.table, [snapshot.partitions[key]])
            with naming_damage(path):
                file = pq.ParquetFile(path)
                found.append(pa.Table.from_batches(itertools.islice(file.iter_batches(count), 1), file.schema_arrow))
            if sum(len(rows) for rows in found) >= count:
                break
        return pa.concat_tables(found, promote_options="default").slice(0, count)

    def held(self, table: str, files: Files) -> dict[str, DataFile]:
        """Those of some files, by partition, that are there in full length."""
        return self._files.held(table, files)

    def damaged_file(self) -> Path | None:
        """A data file on this host that no longer has the content it was written with, which whoever met it did not
        name; None where there is none. All of the lake is read.
        """
        for table in self._pointers.tables():
            files = {file.file: file for each in self.history(table) for file in each.partitions.values()}
            for name, file in files.items():
                path = self._files.folder(table) / name
                if path.is_file() and not is_as_written(path, file):
                    return path
        return None

    def scratch(self, what: str) -> AbstractContextManager[Path]:
        """A folder below the lake for the length of a `with` block; see `Session.scratch`."""
        return self.session.scratch(what)

    def write(self, table: str, data: TableLike) -> Snapshot:
        """Replace a table. Equal content keeps the current snapshot."""
        with self._changes.locked(table) as begun:
            return self._publish(begun, {UNPARTITIONED: data}, lambda _, written: written)

    def write_partition(self, table: str, key: str, data: TableLike) -> Snapshot:
        """Replace one partition of a table and keep the others. Idempotent."""
        with self._changes.locked(table) as begun:
            return self._publish(begun, {key: data}, lambda before, written: {**_partitions(before), **written})

    def write_partitions(self, table: str, partitions: Partitions) -> Snapshot:
        """Replace a table by partitions, some of which it has already; all others are dropped, in one step.

        Equal content keeps the current snapshot, and renews its fingerprints and notes.

        Raises:
            InputError: other writers have meanwhile replaced, and forgotten, a partition that was to stay.
        """

        def refuse_lost(before: History) -> None:
            named, held = before.files, self._files.held(table, partitions.kept)
            lost = [key for key, file in partitions.kept.items() if key not in held or file.file not in named]
            if lost:
                raise InputError(
                    f"Partition {lost[0]!r} of table {table!r} was replaced by other runs meanwhile: run again; "
                    f"what they wrote is untouched."
                )

        def replaced(before: History, written: Files) -> Files:
            if before is not begun:
                refuse_lost(before)
            noted = {key: replace(file, inputs=partitions.inputs.get(key)) for key, file in written.items()}
            return {**partitions.kept, **noted}

        with self._changes.locked(table) as begun:
            # Before anything is written, and again where another writer came first.
            refuse_lost(begun)
            return self._publish(begun, partitions.rebuilt, replaced, partitions.notes)

    def append(self, table: str, rows: pa.Table) -> Snapshot:
        """Add rows that no later write changes, as a partition of their own."""

        def added(before: History, written: Files) -> Files:
            return {**_partitions(before), _next_key(before): next(iter(written.values()))}

        with self._changes.locked(table) as begun:
            return self._publish(begun, {_next_key(begun): rows}, added)

    def restore(self, table: str, snapshot_id: str | None) -> None:
        """Make an earlier snapshot the current one again; None removes the table.

        Raises:
            MissingTableError: the snapshot is gone.
        """

        def restored(before: History) -> History:
            if snapshot_id is None:
                return replace(before, snapshots=())
            return before.restored(self._kept(before, snapshot_id), keep=self.keep)

        with self._changes.locked(table) as begun:
            self._changes.apply(begun, restored)

    def rewrite(self, table: str, change: Change, change_notes: ChangeNotes | None = None) -> int:
        """Change data files in every snapshot that names them, old and pinned ones too: for erasure, and nothing else.

        Snapshots keep their ids, which then no longer match their content. Killed half-way, it is completed by doing
        the same again. What another host has begun to write before is refused there: it may hold what was erased.

        Args:
            change: given a data file and where to write its successor, writes one and returns True, or returns False.
            change_notes: given the notes of a snapshot, what they are from then on; default: they stay.

        Returns:
            How many files were changed.
        """
        return rewrite(table, change, change_notes, self._changes, self._files)

    def pin(self, table: str, snapshot_id: str, reason: str) -> None:
        """Keep a snapshot and its files for a reason, however many newer ones there are.

        A reason pins one snapshot of a table at a time: pinned again, it moves.

        Args:
            reason: what the pin is for, as a plain file name.

        Raises:
            MissingTableError: there is no such table, or the snapshot is gone.
        """
        _refuse_paths(reason)
        self.snapshot(table, snapshot_id)
        what = f"The pin {reason!r} of table {table!r}"
        # Under the lock, since a writer may be about to clean the snapshot away.
        with self._changes.locked(table, what) as begun:
            self._changes.apply(begun, lambda before: before.pinned(reason, self._kept(before, snapshot_id).id))

    def unpin(self, table: str, reason: str) -> None:
        """Let a pinned snapshot go at the next write; nothing happens where the reason pins none."""
        _refuse_paths(reason)
        if reason in self.pinned(table):
            with self._changes.locked(table, f"The pin {reason!r} of table {table!r}") as begun:
                self._changes.apply(begun, lambda before: before.unpinned(reason))

    def pinned(self, table: str) -> Mapping[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""
        return self._pointers.pins(table)

    def _kept(self, state: History, snapshot_id: str) -> Snapshot:
        found = state.find(snapshot_id)
        if found is None:
            raise self._missing(state.table, snapshot_id)
        return found

    def _missing(self, table: str, snapshot_id: str | None) -> MissingTableError:
        if snapshot_id:
            return MissingTableError(f"There is no snapshot {snapshot_id!r} of table {table!r} in {self.place}.")
        names = self._pointers.tables()
        if close := difflib.get_close_matches(table, names, n=1):
            return MissingTableError(f"There is no table {table!r} in {self.place}; did you mean {close[0]!r}?")
        known = "'mlguide export' lists those there are, and" if names else "it has none yet;"
        return MissingTableError(f"There is no table {table!r} in {self.place}: {known} 'mlguide run' makes them.")

    def _publish(
        self,
        begun: History,
        rebuilt: Mapping[str, TableLike],
        partitions: Callable[[History, Files], Files],
        notes: Mapping[str, Any] | None = None,
    ) -> Snapshot:
        """Write partitions and make them, with others, the current snapshot, unless it has this content.

        Args:
            partitions: all partitions of the next snapshot, from the table as it is and the files that were written.
        """
        table = begun.table
        written = write_files(self.session, self._files.folder(table), rebuilt)
        pending = self._files.pending(table, written)

        def published(before: History) -> History:
            if before.erasures != begun.erasures:
                raise InputError(
                    f"Rows of table {table!r} were forgotten on another host while it was written: run again; "
                    f"nothing was changed."
                )
            if pending.published_in(before):
                return before
            return before.published(partitions(before, pending.named_in(before)), notes or {}, keep=self.keep)

        state = self._changes.apply(begun, published)
        snapshot = pending.published_in(state) or state.current
        if snapshot is None:
            raise self._missing(table, None)
        return snapshot


def _partitions(state: History) -> Files:
    return state.current.partitions if state.current else {}


def _next_key(state: History) -> str:
    """The partition that the next rows of a record are."""
    return f"{len(_partitions(state)):08d}"


def _refuse_paths(reason: str) -> None:
    if not reason or reason.startswith(".") or "/" in reason:
        raise ValueError(f"The reason of a pin names its file, so it is a plain name, which {reason!r} is not.")
