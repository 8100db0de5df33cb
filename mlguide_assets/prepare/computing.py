"""The boundary to the engine that computes what is as large as the decisions: DuckDB in this process, or Spark.

Expressions are Ibis's and the same on both. What an engine reads, writes in partitions and hashes is behind `Engine`;
which SQL an expression becomes is behind its backend (for Spark `spark/backend.py`). Nothing else asks which it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa

from mlguide_assets.prepare.duckdb.connection import FILE, pattern_of, read_parquet, read_parquet_below
from mlguide_assets.prepare.lake.data_files import TableLike, write_arrow
from mlguide_assets.prepare.partitions.calendar import KEY
from mlguide_assets.prepare.partitions.rebuilding import bucketed, partition_of, per_partition

if TYPE_CHECKING:
    import ibis

EngineName = Literal["duckdb", "spark"]
Shape = Callable[["ibis.Table", Sequence[str]], "ibis.Table"]
"""Rows to other rows, one by one or filtered, with those of their columns that are named besides its own."""

Rows = Callable[["ibis.Table", Mapping[str, "ibis.Table"], Sequence[str]], "ibis.Table"]
"""As a `Shape`, with other tables beside."""

Batches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_OWN = "a partition's own"


class Parted(Protocol):
    """Rows that were computed once and are looked at several times."""

    @property
    def rows(self) -> "ibis.Table":
        """All of them, with the column `KEY`."""
        ...

    def each(self, shape: Shape, order: Sequence[str], keys: Iterable[str]) -> dict[str, TableLike]:
        """What `shape` makes of the rows of these partitions, each in an order, to be written to the lake."""
        ...


class Engine(Protocol):
    """What computes. Paths are on a disk that all of its machines see."""

    @property
    def name(self) -> EngineName: ...

    @property
    def elsewhere(self) -> bool:
        """Whether rows are on other machines: then nothing as large as the decisions is read into this process."""
        ...

    @property
    def runs_tasks(self) -> bool:
        """Whether functions can be run there that talk to each other, as XGBoost's do while it learns."""
        ...

    def read(self, *paths: Path, by_name: bool = False) -> "ibis.Table":
        """Parquet files, or folders of them, as one table.

        Args:
            by_name: a column that some files lack is null there; otherwise all have the same.
        """
        ...

    def stored(self, rows: "ibis.Table | pa.RecordBatchReader", path: Path) -> "ibis.Table":
        """Rows computed once, into a new file or folder, and read from there."""
        ...

    def parted(self, rows: "ibis.Table", keys: Sequence[str], folder: Path) -> Parted:
        """Rows by their column `KEY`, whose values are the keys, below a new folder."""
        ...

    def sorted_partitions(
        self, rows: "ibis.Table", keys: Sequence[str], order: Sequence[str], folder: Path
    ) -> dict[str, TableLike]:
        """Rows by their column `KEY`, each partition in an order; also those of the keys that have no row.

        Equal rows are an equal file, on one engine: the bytes of another's differ.
        """
        ...

    def mapped(self, rows: "ibis.Table", function: Batches, schema: pa.Schema) -> "ibis.Table":
        """What a function of Arrow batches makes of rows, wherever they are: it is sent there, with what it refers to.

        Where they are in this process, what it gives is held in memory.

        Args:
            schema: of the batches that it gives.
        """
        ...

    def per_partition(
        self,
        rows: Rows,
        own: Mapping[str, Sequence[Path]],
        shared: Mapping[str, Sequence[Path]],
        order: Sequence[str],
        folder: Path,
    ) -> dict[str, TableLike]:
        """What a function makes of the files of each partition, in an order.

        Args:
            rows: what a partition is made of.
            own: per partition, its files.
            shared: per table, the files that every partition is made with.
            folder: new, for what is needed on the way.
        """
        ...


@dataclass(frozen=True)
class DuckDB:
    """The default: in this process, out of core."""

    connection: Any
    name: EngineName = "duckdb"
    elsewhere: bool = False
    runs_tasks: bool = False

    def read(self, *paths: Path, by_name: bool = False) -> "ibis.Table":
        return read_parquet(self.connection, *paths, union_by_name=by_name)

    def stored(self, rows: "ibis.Table | pa.RecordBatchReader", path: Path) -> "ibis.Table":
        if isinstance(rows, pa.RecordBatchReader):
            write_arrow(rows, path)
        else:
            self.connection.to_parquet(rows, path)
        return self.read(path)

    def parted(self, rows: "ibis.Table", keys: Sequence[str], folder: Path) -> Parted:
        places = bucketed(self.connection, rows, keys, folder)
        return _Buckets(self.connection, rows.drop(KEY).schema(), folder, places)

    def sorted_partitions(
        self, rows: "ibis.Table", keys: Sequence[str], order: Sequence[str], folder: Path
    ) -> dict[str, TableLike]:
        return self.parted(rows, keys, folder).each(lambda rows, _: rows, order, keys)

    def mapped(self, rows: "ibis.Table", function: Batches, schema: pa.Schema) -> "ibis.Table":
        import ibis

        batches = function(self.connection.to_pyarrow_batches(rows))
        return ibis.memtable(pa.Table.from_batches(batches, schema))

    def per_partition(
        self,
        rows: Rows,
        own: Mapping[str, Sequence[Path]],
        shared: Mapping[str, Sequence[Path]],
        order: Sequence[str],
        folder: Path,
    ) -> dict[str, TableLike]:
        if not own:
            return {}
        first, *_ = own.values()
        schemas = {
            _OWN: self.read(*first).schema(),
            **{name: self.read(*files).schema() for name, files in shared.items()},
        }
        always = {name: [pattern_of(path) for path in files] for name, files in shared.items()}
        places = {key: {**always, _OWN: [pattern_of(path) for path in files]} for key, files in own.items()}

        def made(**tables: "ibis.Table") -> "ibis.Table":
            return rows(tables.pop(_OWN), tables, ()).order_by(*order)

        return dict(per_partition(self.connection, made, schemas, places))


@dataclass(frozen=True)
class _Buckets:
    """Rows in a folder per partition, see `bucketed`; `schema` is theirs without the column of the partition."""

    connection: Any
    schema: "ibis.Schema"
    folder: Path
    places: Mapping[str, Sequence[str]]

    @property
    def rows(self) -> "ibis.Table":
        found = read_parquet_below(self.connection, self.folder, "*/*.parquet")
        return found.mutate({KEY: partition_of(found[FILE])}).drop(FILE)

    def each(self, shape: Shape, order: Sequence[str], keys: Iterable[str]) -> dict[str, TableLike]:
        schemas, where = {"rows": self.schema}, {key: {"rows": self.places[key]} for key in keys}
        return dict(per_partition(self.connection, lambda rows: shape(rows, ()).order_by(*order), schemas, where))
