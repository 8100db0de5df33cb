"""Incremental partitions: only what has changed is rebuilt.

It works like make, but by content, so that a late or corrected row is seen as well. A partition has a fingerprint
of all that it was computed from: rows, code, settings. Where the fingerprint of its inputs now is the one in the lake,
the file that is there is what would be written again.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from mlguide_assets.code_version import code_version
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import parquet_sql, pattern_of, quoted
from mlguide_assets.prepare.lake.data_files import Query
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import DataFile, Snapshot
from mlguide_assets.prepare.partitions.calendar import KEY

LIBRARIES = ("duckdb", "ibis-framework")
"""Other versions of these may write other bytes, or hash rows otherwise."""


@dataclass(frozen=True)
class Plan:
    """What each partition of a table is computed from, and the files of those that need not be."""

    inputs: Mapping[str, str]
    kept: Mapping[str, DataFile]

    @property
    def stale(self) -> list[str]:
        """The partitions to rebuild, in order."""
        return sorted(self.inputs.keys() - self.kept.keys())


def plan(inputs: Mapping[str, str], before: Snapshot | None, *, never_keep: Iterable[str] = ()) -> Plan:
    """Keep what was computed from the same.

    Args:
        inputs: the fingerprint of every partition that the table is to have.
        before: the table as it is, if it is.
        never_keep: partitions to rebuild all the same.
    """
    there = before.partitions if before else {}
    kept = {key: file for key, file in there.items() if file.inputs is not None and file.inputs == inputs.get(key)}
    return Plan(inputs, {key: file for key, file in kept.items() if key not in set(never_keep)})


def current(lake: Lake, table: str) -> Snapshot | None:
    """A table as it is, if it is. A partition whose file was lost or cut short is none: it will be rebuilt."""
    if not lake.exists(table):
        return None
    snapshot = lake.snapshot(table)
    return replace(snapshot, partitions=lake.held(table, snapshot.partitions))


def notes_of(snapshot: Snapshot) -> Mapping[str, Any]:
    """What the writer of a table left for those who compute from it.

    Raises:
        InputError: another writer wrote it, such as an earlier version of this package.
    """
    if not snapshot.notes:
        raise InputError(f"Table {snapshot.table!r} is not in partitions that can be followed: materialise it again.")
    return snapshot.notes


def fingerprint(*parts: Any, code_of: str) -> str:
    """A hash of values that JSON can hold, and of the code that makes a table of them.

    Args:
        code_of: the module that computes the table, see `code_version`.
    """
    return hashlib.sha256(json.dumps([_code(code_of), *parts], sort_keys=True).encode()).hexdigest()[:32]


@cache
def _code(module: str) -> str:
    return code_version(module, libraries=LIBRARIES)


def bucketed(connection: Any, rows: ibis.Table, keys: Iterable[str], folder: Path) -> dict[str, list[str]]:
    """Write rows by their column `KEY` below a folder, in any order, and say where each partition is.

    DuckDB's partitioned COPY promises neither the order of rows nor one file each, so this is no way to write the
    lake; but it takes one pass, after which every partition is sorted by itself, in memory.

    Args:
        keys: partitions that are wanted, also where there is no row of them.

    Returns:
        Per key what `per_partition` reads: patterns of Parquet files, which lack the column.
    """
    folder.mkdir()
    options = f"FORMAT parquet, PARTITION_BY ({KEY}), COMPRESSION lz4"
    connection.raw_sql(f"COPY ({connection.compile(rows)}) TO {quoted(folder)} ({options})")
    places = {key: folder / f"{KEY}={key}" for key in keys}
    schema = rows.drop(KEY).schema().to_pyarrow()
    for place in places.values():
        if not place.exists():
            place.mkdir()
            pq.write_table(schema.empty_table(), place / "none.parquet")
    return {key: list(map(pattern_of, sorted(place.glob("*.parquet")))) for key, place in places.items()}


def partition_of(file: ibis.Column) -> ibis.Column:
    """The key of the partition that a file of `bucketed` holds. Folders above it may be called alike."""
    return file.re_extract(f".*{KEY}=([^/]*)/[^/]*$", 1)


def per_partition(
    connection: Any,
    rows: Callable[..., ibis.Table],
    schemas: Mapping[str, ibis.Schema],
    places: Mapping[str, Mapping[str, Sequence[str]]],
) -> dict[str, Query]:
    """One query per partition, compiled once: for a day's rows, Ibis takes longer over that than DuckDB over them.

    Args:
        rows: called with one table per name in `schemas`; what a partition is made of.
        places: per partition, where each of these tables is: patterns of Parquet files, see `pattern_of`.
    """
    named = {name: f"this {KEY}: {name}" for name in schemas}
    sql = connection.compile(rows(**{name: ibis.table(schema, name=named[name]) for name, schema in schemas.items()}))
    queries = {}
    for key, where in places.items():
        of_key = sql
        for name, paths in where.items():
            of_key = of_key.replace(f'"{named[name]}"', parquet_sql(paths))
        queries[key] = Query(of_key)
    return queries
