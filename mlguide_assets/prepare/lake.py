"""The lake: Parquet files as the store of record, snapshots over them, DuckDB to compute.

A table is a folder:

    <table>/data/<partition>-<content hash>.parquet   immutable
    <table>/snapshots/<id>.json                       which file holds which partition; its content is immutable
    <table>/current                                   the id of the newest snapshot, replaced atomically
    <table>/pins/<reason>                             the id of a snapshot that is kept while the pin is there

Everything is written to a temporary name and renamed, and `current` moves last: whoever reads sees
a whole snapshot, and a crash at any moment leaves the previous one. There is no database lock; two
writers of one table take turns on a file lock, writers of different tables never meet.

Ibis and DuckDB are imported by what computes (`read`, writing an expression) and by nothing else: a short
command can look up a table or add a row to a record without waiting for them.

What it does not do: transactions over several tables, or updates within a file.
"""

import contextlib
import difflib
import hashlib
import io
import itertools
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.engine import connect, quoted, read_parquet
from mlguide_assets.prepare.files import disk_reason, lost_file, replace_file
from mlguide_assets.prepare.locking import locked

if TYPE_CHECKING:
    import ibis


@dataclass(frozen=True)
class Query:
    """A query in DuckDB's SQL, over files alone: it may run in another session, to which views are not known."""

    sql: str


TableLike: TypeAlias = "ibis.Table | pa.Table | pa.RecordBatchReader | Query"

WHOLE = "all"
"""The key of the only partition of a table that is not partitioned."""

MANY = 4
"""Partitions above which they are written side by side."""

READINGS = 50
"""Expressions over files that a lake keeps: about as many as a run asks for."""

SCRATCH = ".scratch-"
STALE_SECONDS = 86_400


@dataclass(frozen=True)
class DataFile:
    """One partition of one snapshot: file name, row count, size in bytes and SHA-256.

    `inputs` is a fingerprint of all that it was computed from, where its writer gave one.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    inputs: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of a table. Equal content has an equal `content_hash`, whenever it was written.

    `notes` are what its writer wants to find again at the next write; they are no content.
    """

    table: str
    id: str
    sequence: int
    created_at: str
    partitions: Mapping[str, DataFile]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.partitions.values())

    @property
    def content_hash(self) -> str:
        return _content_hash(self.partitions)


@dataclass(frozen=True)
class Partitions:
    """All partitions of a table: those to write, and those of an earlier snapshot that stay as they are.

    Args:
        anew: what to write.
        inputs: the fingerprints of those that are written, where one was taken.
        kept: files of an earlier snapshot.
        notes: for the next writer, see `Snapshot`.
    """

    anew: Mapping[str, TableLike]
    inputs: Mapping[str, str]
    kept: Mapping[str, DataFile] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def with_more(self, other: "Partitions") -> "Partitions":
        """These and those of another, whose keys are different ones; the notes are these."""
        return Partitions(
            anew={**self.anew, **other.anew},
            inputs={**self.inputs, **other.inputs},
            kept={**self.kept, **other.kept},
            notes=self.notes,
        )


class MissingTableError(InputError):
    """A table was asked for that nobody has written yet."""


class Lake:
    """Reads and writes the tables below one folder.

    Args:
        root: the folder; created on the first write.
        keep: snapshots kept per table, the current one included and pinned ones not counted.
    """

    def __init__(self, root: Path, *, keep: int = 5) -> None:
        self.root = root
        self.keep = keep
        self._read: dict[tuple[tuple[Path, ...], bool], ibis.Table] = {}

    @cached_property
    def connection(self) -> "ibis.BaseBackend":
        """This process's in-memory DuckDB. It holds no data of its own; spilling goes below the lake."""
        return connect(spill=self.root / ".spill")

    def tables(self) -> dict[str, Snapshot]:
        """The current snapshot of every table."""
        names = sorted(path.parent.name for path in self.root.glob("*/current"))
        return {name: self.snapshot(name) for name in names}

    def exists(self, table: str) -> bool:
        return (self.root / table / "current").is_file()

    def snapshot(self, table: str, snapshot_id: str | None = None) -> Snapshot:
        """A snapshot of a table, the current one unless an id is given.

        Raises:
            MissingTableError: there is no such table or snapshot.
        """
        try:
            chosen = snapshot_id or (self.root / table / "current").read_text(encoding="utf-8")
            manifest = json.loads((self.root / table / "snapshots" / f"{chosen}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing(table, snapshot_id) from None
        files = {key: DataFile(**file) for key, file in manifest.pop("partitions").items()}
        return Snapshot(**manifest, partitions=files)

    def history(self, table: str) -> list[Snapshot]:
        """The snapshots that are kept, oldest first."""
        current = self.snapshot(table)
        ids = sorted(path.stem for path in (self.root / table / "snapshots").glob("[0-9]*.json"))
        older: list[Snapshot] = []
        for snapshot_id in ids:
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
        return [self.root / table / "data" / snapshot.partitions[key].file for key in keys]

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
        # Files never change, so what was read of them stays right: assets of one run ask for the same tables.
        known = self._read.get((paths, by_name))
        if known is not None and all(path.exists() for path in paths):
            return known
        with _naming_what_is_lost(f"Table {table!r} cannot be read"):
            rows = read_parquet(self.connection, *paths, union_by_name=by_name)
        while len(self._read) >= READINGS:
            self._read.pop(next(iter(self._read)))
        self._read[paths, by_name] = rows
        return rows

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
            file = pq.ParquetFile(self.root / snapshot.table / "data" / snapshot.partitions[key].file)
            found.append(pa.Table.from_batches(itertools.islice(file.iter_batches(count), 1), file.schema_arrow))
            if sum(len(rows) for rows in found) >= count:
                break
        return pa.concat_tables(found, promote_options="default").slice(0, count)

    def holds(self, table: str, file: DataFile) -> bool:
        """Whether a file is there, in full length."""
        path = self.root / table / "data" / file.file
        return path.is_file() and path.stat().st_size == file.bytes

    def write(self, table: str, data: TableLike) -> Snapshot:
        """Replace a table. Equal content keeps the current snapshot."""
        return self._commit(table, data, WHOLE, keep_others=False)

    def write_partition(self, table: str, key: str, data: TableLike) -> Snapshot:
        """Replace one partition of a table and keep the others. Idempotent."""
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
            written = self._write_files(self.root / table / "data", partitions.anew)
            told = {key: replace(file, inputs=partitions.inputs.get(key)) for key, file in written.items()}
            return self._publish(table, {**partitions.kept, **told}, partitions.notes)

    def restore(self, table: str, snapshot_id: str | None) -> None:
        """Make an earlier snapshot the current one again, or where there was none, the table none again.

        Raises:
            MissingTableError: the snapshot is gone.
        """
        folder = self.root / table
        with self._locked(table), writing(f"Table {table!r}", folder):
            if snapshot_id is None:
                (folder / "current").unlink(missing_ok=True)
                for part in ("snapshots", "data"):
                    shutil.rmtree(folder / part, ignore_errors=True)
                return
            self.snapshot(table, snapshot_id)
            replace_file(folder / "current", snapshot_id.encode())
            self._clean(table)

    def append(self, table: str, rows: pa.Table) -> Snapshot:
        """Add rows that no later write changes, as a partition of their own."""
        with self._locked(table):
            taken = len(self.snapshot(table).partitions) if self.exists(table) else 0
            return self._commit_locked(table, rows, f"{taken:08d}", keep_others=True)

    def rewrite(self, table: str, change: Callable[[Path, Path], bool]) -> int:
        """Change data files in every snapshot that names them, old and pinned ones too: for erasure, and nothing else.

        Snapshots keep their ids, which then no longer tell their content. Killed half-way, it is completed by doing
        the same again.

        Args:
            change: given a data file and where to write its successor, writes one and returns True, or returns False.

        Returns:
            How many files were changed.
        """
        folder, changed = self.root / table, 0
        with self._locked(table), writing(f"Table {table!r}", folder):
            for path in sorted((folder / "data").glob("*.parquet")):
                temporary = folder / "data" / f".{uuid.uuid4().hex}.tmp"
                try:
                    if not change(path, temporary):
                        continue
                    successor = _named(temporary, path.stem.rpartition("-")[0])
                finally:
                    temporary.unlink(missing_ok=True)
                for manifest in sorted((folder / "snapshots").glob("*.json")):
                    _exchange(manifest, path.name, successor)
                path.unlink()
                changed += 1
        return changed

    @contextlib.contextmanager
    def scratch(self, what: str) -> Iterator[Path]:
        """A folder below the lake for what is needed on the way, removed in the end.

        What a killed process left there goes as soon as it is a day old: one that still runs is younger.

        Args:
            what: is written there, as the start of a sentence on a disk that fails.
        """
        with writing(what, self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            for left in self.root.glob(f"{SCRATCH}*"):
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
            folder = TemporaryDirectory(dir=self.root, prefix=SCRATCH)
        with folder as name:
            yield Path(name)

    def pin(self, table: str, snapshot_id: str, reason: str) -> None:
        """Keep a snapshot and its files for a reason, however many newer ones there are.

        A reason pins one snapshot of a table at a time: pinned again, it moves.

        Args:
            reason: what the pin is for, as a plain file name.

        Raises:
            MissingTableError: there is no such table, or the snapshot is gone.
        """
        path = self._pin(table, reason)
        self.snapshot(table, snapshot_id)
        # Under the lock, since a writer may be about to clean the snapshot away.
        with self._locked(table), writing(f"The pin {reason!r} of table {table!r}", path.parent):
            if self.snapshot(table, snapshot_id) not in self.history(table):
                raise self._missing(table, snapshot_id)
            replace_file(path, snapshot_id.encode())

    def unpin(self, table: str, reason: str) -> None:
        """Let a pinned snapshot go at the next write; nothing happens where the reason pins none."""
        path = self._pin(table, reason)
        with writing(f"The pin {reason!r} of table {table!r}", path.parent):
            path.unlink(missing_ok=True)

    def pinned(self, table: str) -> dict[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""
        pins: dict[str, str] = {}
        for path in sorted((self.root / table / "pins").glob("[!.]*")):
            # It may be unpinned meanwhile.
            with contextlib.suppress(FileNotFoundError):
                pins[path.name] = path.read_text(encoding="utf-8").strip()
        return pins

    def _pin(self, table: str, reason: str) -> Path:
        if not reason or reason.startswith(".") or "/" in reason:
            raise ValueError(f"The reason of a pin names its file, so it is a plain name, which {reason!r} is not.")
        return self.root / table / "pins" / reason

    def _missing(self, table: str, snapshot_id: str | None) -> MissingTableError:
        names = sorted(path.parent.name for path in self.root.glob("*/current"))
        if snapshot_id:
            return MissingTableError(f"There is no snapshot {snapshot_id!r} of table {table!r} in {self.root}.")
        if close := difflib.get_close_matches(table, names, n=1):
            return MissingTableError(f"There is no table {table!r} in {self.root}; did you mean {close[0]!r}?")
        known = ", ".join(names) or "none yet"
        return MissingTableError(f"There is no table {table!r} in {self.root} (tables: {known}): run 'mlguide run'.")

    def _commit(self, table: str, data: TableLike, key: str, *, keep_others: bool) -> Snapshot:
        with self._locked(table):
            return self._commit_locked(table, data, key, keep_others=keep_others)

    def _commit_locked(self, table: str, data: TableLike, key: str, *, keep_others: bool) -> Snapshot:
        current = self.snapshot(table) if self.exists(table) else None
        with writing(f"Table {table!r}", self.root / table):
            written = self._write_file(self.root / table / "data", key, data)
            kept = current.partitions if current and keep_others else {}
            return self._publish(table, {**kept, key: written}, {})

    def _publish(self, table: str, partitions: Mapping[str, DataFile], notes: Mapping[str, Any]) -> Snapshot:
        """Make files that are written the current snapshot, unless it has this content."""
        folder = self.root / table
        current = self.snapshot(table) if self.exists(table) else None
        if current and current.content_hash == _content_hash(partitions):
            renewed = replace(current, partitions=partitions, notes=notes)
            if renewed != current:
                self._write_manifest(renewed)
            return renewed
        sequence = current.sequence + 1 if current else 1
        snapshot = Snapshot(
            table=table,
            id=f"{sequence:06d}-{_content_hash(partitions)[:12]}",
            sequence=sequence,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            partitions=partitions,
            notes=notes,
        )
        self._write_manifest(snapshot)
        replace_file(folder / "current", snapshot.id.encode())
        self._clean(table)
        return snapshot

    def _write_manifest(self, snapshot: Snapshot) -> None:
        manifest = json.dumps(asdict(snapshot), indent=1).encode()
        replace_file(self.root / snapshot.table / "snapshots" / f"{snapshot.id}.json", manifest)

    def _write_files(self, folder: Path, partitions: Mapping[str, TableLike]) -> dict[str, DataFile]:
        """Write partitions; where they are many, as many at a time as there are cores.

        Each is then the work of one thread: two that share a small one cost half as much again.
        """
        if len(partitions) <= MANY:
            return {key: self._write_file(folder, key, rows) for key, rows in partitions.items()}
        # Made here: the threads would each begin to.
        connection = self.connection
        connection.raw_sql("SET threads = 1")
        try:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                files = list(pool.map(lambda key: self._write_file(folder, key, partitions[key]), partitions))
        finally:
            connection.raw_sql("RESET threads")
        return dict(zip(partitions, files, strict=True))

    def _write_file(self, folder: Path, key: str, data: TableLike) -> DataFile:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{uuid.uuid4().hex}.tmp"
        try:
            if isinstance(data, pa.Table | pa.RecordBatchReader):
                _write_arrow(data, temporary)
            elif isinstance(data, Query):
                with self.connection.con.cursor() as cursor:
                    cursor.execute("SET TimeZone = 'UTC'")
                    cursor.execute(f"COPY ({data.sql}) TO {quoted(temporary)} (FORMAT parquet, COMPRESSION zstd)")
            else:
                self.connection.to_parquet(data, temporary, compression="zstd")
            return _named(temporary, key)
        finally:
            temporary.unlink(missing_ok=True)

    def _clean(self, table: str) -> None:
        """Forget the oldest snapshots that are not pinned, the files that no kept one names, and what a crash left."""
        folder, history, pinned = self.root / table, self.history(table), set(self.pinned(table).values())
        newest = [snapshot for snapshot in history if snapshot.id not in pinned][-self.keep :]
        kept = [snapshot for snapshot in history if snapshot.id in pinned or snapshot in newest]
        named = {file.file for snapshot in kept for file in snapshot.partitions.values()}
        manifests = {f"{snapshot.id}.json" for snapshot in kept}
        # Manifests first: a snapshot that is listed has its data, also where a crash ends the cleaning.
        stray = [path for path in (folder / "snapshots").iterdir() if path.name not in manifests]
        stray += [path for path in (folder / "data").iterdir() if path.name not in named]
        for path in (*stray, *folder.glob(".current.*.tmp"), *folder.glob("pins/.*.tmp")):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, table: str) -> Iterator[None]:
        folder = self.root / table
        with writing(f"Table {table!r}", folder):
            turn = locked(folder / ".lock")
        with turn:
            yield


def small_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows of numbers, texts and lists of them as an Arrow table; what a row lacks is null.

    PyArrow's own `from_pylist` imports pandas to see whether it was given a column of it, which takes most of a
    second; its reader of JSON does not.
    """
    from pyarrow import json as pj

    if not rows:
        return schema.empty_table()
    lines = "".join(json.dumps(dict(row), allow_nan=False) + "\n" for row in rows).encode()
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pj.read_json(io.BytesIO(lines), pj.ReadOptions(block_size=len(lines)), parsing)


def _write_arrow(data: pa.Table | pa.RecordBatchReader, path: Path) -> None:
    batches = data.to_batches() if isinstance(data, pa.Table) else data
    with pq.ParquetWriter(path, data.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _named(temporary: Path, key: str) -> DataFile:
    """Give a file that is written its name, once the disk has its content."""
    with temporary.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    rows, size = pq.read_metadata(temporary).num_rows, temporary.stat().st_size
    final = temporary.with_name(f"{key}-{digest[:16]}.parquet")
    temporary.replace(final)
    return DataFile(file=final.name, rows=rows, bytes=size, sha256=digest)


def _exchange(manifest: Path, file: str, successor: DataFile) -> None:
    """Name the successor of a file in a manifest that names the file."""
    content = json.loads(manifest.read_bytes())
    partitions = content["partitions"]
    named = [key for key, each in partitions.items() if each["file"] == file]
    if named:
        partitions.update(dict.fromkeys(named, asdict(successor)))
        replace_file(manifest, json.dumps(content, indent=1).encode())


def _content_hash(partitions: Mapping[str, DataFile]) -> str:
    lines = "\n".join(f"{key} {partitions[key].sha256}" for key in sorted(partitions))
    return hashlib.sha256(lines.encode()).hexdigest()


@contextlib.contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Turn a failing disk into one sentence; what was there before is untouched by construction."""
    try:
        with _naming_what_is_lost(f"{what} could not be computed"):
            yield
    except _disk_failures() as error:
        raise InputError(
            f"{what} could not be written to {folder} ({disk_reason(error)}): free space or mend permissions there, "
            f"then run again; what was there before is untouched."
        ) from error


@contextlib.contextmanager
def _naming_what_is_lost(failed: str) -> Iterator[None]:
    """Turn a file that a query misses into one sentence, which is none about a failing disk."""
    try:
        yield
    except _disk_failures() as error:
        if lost := lost_file(error):
            raise InputError(
                f"{failed}: the file {lost} is gone. Run again; if somebody removed it, restore it first."
            ) from error
        raise


def _disk_failures() -> tuple[type[Exception], ...]:
    # While DuckDB is not imported, nobody can have raised its exception.
    return OSError, getattr(sys.modules.get("duckdb"), "IOException", OSError)
