"""What computes over the lake in this process: one DuckDB, the expressions it has read, and scratch space.

DuckDB and Ibis are imported by the first that computes, and by nothing else: a short command can look up a table or
add a row to a record without waiting for them. A session holds no data of its own.
"""

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlguide_assets.prepare.duckdb.connection import connect, read_parquet
from mlguide_assets.prepare.hosts.scratch import scratch_folder

if TYPE_CHECKING:
    import ibis

READINGS = 50
"""Expressions over files that a session keeps: about as many as a run asks for."""


class Session:
    """One in-memory DuckDB over the files below a folder.

    Args:
        root: the folder of the lake; what DuckDB spills goes below it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[tuple[tuple[Path, ...], bool], ibis.Table] = {}

    @cached_property
    def connection(self) -> "ibis.BaseBackend":
        return connect(spill=self.root / ".spill")

    def backend_of(self, rows: "ibis.Table") -> "ibis.BaseBackend":
        """What computes a table: this session's DuckDB, unless Spark does."""
        backends, _ = rows._find_backends()
        return next((backend for backend in backends if backend.name != "duckdb"), self.connection)

    def read(self, paths: tuple[Path, ...], *, by_name: bool) -> "ibis.Table":
        """Files as one expression; the same expression for the same files, which never change."""
        known = self._read.get((paths, by_name))
        if known is not None and all(path.exists() for path in paths):
            return known
        rows = read_parquet(self.connection, *paths, union_by_name=by_name)
        while len(self._read) >= READINGS:
            self._read.pop(next(iter(self._read)))
        self._read[paths, by_name] = rows
        return rows

    def scratch(self, what: str) -> AbstractContextManager[Path]:
        """A folder below the lake for what is needed on the way; see `scratch_folder`."""
        return scratch_folder(self.root, what)
