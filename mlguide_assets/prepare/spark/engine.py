"""Spark as the engine: what it reads, and how what it writes becomes partitions of the lake.

Its executors write the files; this process names them. Each partition is sorted and written by one task, so that its
content, and with it its name, does not depend on how many executors there are.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.prepare.computing import Batches, EngineName, Parted, Rows, Shape
from mlguide_assets.prepare.lake.data_files import TableLike, Written, write_arrow
from mlguide_assets.prepare.partitions.calendar import KEY
from mlguide_assets.prepare.spark.backend import SparkBackend, backend_of
from mlguide_assets.prepare.spark.footers import sort_encodings
from mlguide_assets.prepare.spark.session import spark_session


@dataclass(frozen=True)
class Spark:
    """See `computing.Engine`."""

    connection: SparkBackend
    name: EngineName = "spark"
    elsewhere: bool = True

    @classmethod
    def opened(cls) -> "Spark":
        """Where `MLGUIDE_SPARK` says; errors as of `spark_session`."""
        return cls(backend_of(spark_session()))

    @property
    def runs_tasks(self) -> bool:
        """Not through Spark Connect, which has no tasks that wait for one another."""
        return not self.connection.is_remote

    def read(self, *paths: Path, by_name: bool = False) -> ibis.Table:
        return self.connection.read_files(*paths, by_name=by_name)

    def stored(self, rows: ibis.Table | pa.RecordBatchReader, path: Path) -> ibis.Table:
        if isinstance(rows, pa.RecordBatchReader):
            path.mkdir()
            write_arrow(rows, path / "rows.parquet")
        else:
            self.connection.to_parts(rows, path)
        return self.read(path)

    def parted(self, rows: ibis.Table, keys: Sequence[str], folder: Path) -> Parted:
        folder.mkdir()
        return _Stored(self, self.stored(rows, folder / "rows"), folder)

    def sorted_partitions(
        self, rows: ibis.Table, keys: Sequence[str], order: Sequence[str], folder: Path
    ) -> dict[str, TableLike]:
        if not keys:
            return {}
        self.connection.to_sorted_folders(rows, folder, by=KEY, values=len(keys), order=order)
        return {key: Written(self._only_file(folder / f"{KEY}={key}", rows)) for key in keys}

    def mapped(self, rows: ibis.Table, function: Batches, schema: pa.Schema) -> ibis.Table:
        return self.connection.mapped(rows, function, schema)

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
        # All partitions in one job: each by itself would read what they share once more.
        parts = [self.read(*files).mutate({KEY: ibis.literal(key)}) for key, files in own.items()]
        others = {name: self.read(*files) for name, files in shared.items()}
        return self.sorted_partitions(rows(ibis.union(*parts), others, (KEY,)), list(own), order, folder)

    def _only_file(self, folder: Path, rows: ibis.Table) -> Path:
        found = list(folder.glob("*.parquet"))
        if found:
            (path,) = found
            sort_encodings(path)
            return path
        folder.mkdir(parents=True)
        pq.write_table(rows.drop(KEY).schema().to_pyarrow().empty_table(), folder / "none.parquet")
        return folder / "none.parquet"


@dataclass(frozen=True)
class _Stored:
    engine: Spark
    rows: ibis.Table
    folder: Path

    def each(self, shape: Shape, order: Sequence[str], keys: Iterable[str]) -> dict[str, TableLike]:
        wanted = list(keys)
        shaped = shape(self.rows.filter(self.rows[KEY].isin(wanted)), (KEY,))
        return self.engine.sorted_partitions(shaped, wanted, order, self.folder / uuid.uuid4().hex)
