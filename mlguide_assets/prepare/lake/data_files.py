"""Writing data files: each is one partition as Parquet, named by its content, and never changed.

    <table>/data/<partition>-<content hash>.parquet

A file is written under a temporary name and renamed once the disk has its content. Which files make a table is said
by manifests (`pointers`), not here.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import quoted
from mlguide_assets.prepare.lake.session import Session
from mlguide_assets.prepare.lake.snapshots import DataFile

if TYPE_CHECKING:
    import ibis

WITHOUT_DATA_FILE = "restore it from a backup, or remove it where 'mlguide run' computes its table"
"""What to do where a data file is damaged: a run computes the partitions again whose files are gone."""

MANY = 4
"""Partitions above which they are written side by side."""

SMALL, MOST_SMALL = 50_000, 500
"""Bytes of a file that stays in memory once it was read, and how many of them do."""


@dataclass(frozen=True)
class Query:
    """A query in DuckDB's SQL, over files alone: it may run in another session, to which views are not known."""

    sql: str


@dataclass(frozen=True)
class Written:
    """A Parquet file in scratch space of the lake that holds a partition as it is to be: it is moved, not read."""

    path: Path


TableLike: TypeAlias = "ibis.Table | pa.Table | pa.RecordBatchReader | Query | Written"


@dataclass(frozen=True)
class Partitions:
    """All partitions of a table: those to write, and those of an earlier snapshot that stay as they are.

    Args:
        rebuilt: what to write.
        inputs: the fingerprints of those that are written, where one was taken.
        kept: files of an earlier snapshot.
        notes: for the next writer, see `Snapshot`.
    """

    rebuilt: Mapping[str, TableLike]
    inputs: Mapping[str, str]
    kept: Mapping[str, DataFile] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def with_more(self, other: "Partitions") -> "Partitions":
        """These and those of another, whose keys are different ones; the notes are these."""
        return Partitions(
            rebuilt={**self.rebuilt, **other.rebuilt},
            inputs={**self.inputs, **other.inputs},
            kept={**self.kept, **other.kept},
            notes=self.notes,
        )


def write_files(session: Session, folder: Path, partitions: Mapping[str, TableLike]) -> dict[str, DataFile]:
    """Write partitions; where they are many, as many at a time as there are cores.

    Each is then the work of one thread: two that share a small one cost half as much again.
    """
    if len(partitions) <= MANY:
        return {key: write_file(session, folder, key, rows) for key, rows in partitions.items()}
    # Made here: the threads would each begin to.
    connection = session.connection
    connection.raw_sql("SET threads = 1")
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            files = list(pool.map(lambda key: write_file(session, folder, key, partitions[key]), partitions))
    finally:
        connection.raw_sql("RESET threads")
    return dict(zip(partitions, files, strict=True))


def read_file(path: Path) -> pa.Table:
    """A data file in memory. Small ones stay there: sensors read the same records at every look.

    Raises:
        InputError: it is damaged.
    """
    state = path.stat()
    with naming_damage(path):
        return pq.ParquetFile(path).read() if state.st_size > SMALL else _small_file(path, state.st_mtime_ns)


@contextlib.contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn what Arrow finds wrong in a data file into one sentence.

    Raises:
        InputError: it is damaged.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        # What the system refuses has a number; what Arrow finds wrong in the file has none.
        if getattr(error, "errno", None) is not None:
            raise
        raise InputError(f"{path} is damaged: {WITHOUT_DATA_FILE}, then run again.") from error


def is_as_written(path: Path, file: DataFile) -> bool:
    """Whether a file still has the content that it was named by; all of it is read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


@lru_cache(MOST_SMALL)
def _small_file(path: Path, _changed: int) -> pa.Table:
    return pq.ParquetFile(path).read()


def write_file(session: Session, folder: Path, key: str, data: TableLike) -> DataFile:
    """Write one partition, whose file is then named by its key and its content."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_file(folder)
    try:
        if isinstance(data, pa.Table | pa.RecordBatchReader):
            write_arrow(data, temporary)
        elif isinstance(data, Query):
            with session.connection.con.cursor() as cursor:
                cursor.execute("SET TimeZone = 'UTC'")
                cursor.execute(f"COPY ({data.sql}) TO {quoted(temporary)} (FORMAT parquet, COMPRESSION zstd)")
        elif isinstance(data, Written):
            data.path.replace(temporary)
        else:
            session.backend_of(data).to_parquet(data, temporary, compression="zstd")
        return name_by_content(temporary, key)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_file(folder: Path) -> Path:
    """A name that no snapshot has and no other writer takes."""
    return folder / f".{uuid.uuid4().hex}.tmp"


def name_by_content(temporary: Path, key: str) -> DataFile:
    """Give a file that is written its name, once the disk has its content."""
    with temporary.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    rows, size = pq.read_metadata(temporary).num_rows, temporary.stat().st_size
    final = temporary.with_name(f"{key}-{digest[:16]}.parquet")
    temporary.replace(final)
    return DataFile(file=final.name, rows=rows, bytes=size, sha256=digest)


def write_arrow(data: pa.Table | pa.RecordBatchReader, path: Path) -> None:
    """Write rows as Parquet, a batch at a time."""
    batches = data.to_batches() if isinstance(data, pa.Table) else data
    with pq.ParquetWriter(path, data.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
