"""Sorts more rows by time than fit in memory: first into buckets of time on disk, then bucket by bucket."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa


class TimeBuckets:
    """Collects blocks of rows, then gives them back ordered by the timestamp column `by`.

    `span`, from the first instant to the last, is cut into `count` buckets of equal length, each a file in
    `folder`. Rows of equal time keep the order in which they were added, so the result does not depend on
    how they were cut into blocks.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        *,
        by: str,
        span: tuple[np.datetime64, np.datetime64],
        count: int,
    ) -> None:
        first, last = span
        self.count = count
        self._by = by
        self._edges = first + np.arange(1, count) * ((last - first) // count)
        self._paths = [folder / f"bucket-{number}.arrow" for number in range(count)]
        self._files = [pa.ipc.new_file(path, schema) for path in self._paths]

    def __enter__(self) -> "TimeBuckets":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def add(self, block: pa.Table) -> None:
        """Appends a block, in any order of time."""
        bucket = np.searchsorted(self._edges, block[self._by].to_numpy(), side="right")
        grouped = block.take(pa.array(np.argsort(bucket, kind="stable")))
        ends = np.cumsum(np.bincount(bucket, minlength=self.count)).tolist()
        for file, start, end in zip(self._files, [0, *ends], ends, strict=False):
            file.write_table(grouped.slice(start, end - start))

    def sorted(self) -> Iterator[pa.Table]:
        """The rows in order of time, one table per bucket. Deletes each bucket once it is read."""
        for path in self._paths:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all().combine_chunks()
                order = np.argsort(table[self._by].to_numpy(), kind="stable")
                yield table.take(pa.array(order))
            path.unlink()
