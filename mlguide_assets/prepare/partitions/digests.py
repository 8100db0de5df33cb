"""Digests of rows: equal for equal rows in whatever order, and another if one is changed, added, removed or doubled.

A digest is the sum of 64-bit hashes of the rows, with which DuckDB is done at 10 million rows per second. It detects
changes, not attacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.schema import EventTable
from mlguide_assets.prepare.duckdb.functions import duckdb_function
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.partitions.calendar import day_of


@dataclass(frozen=True)
class DayOfEvents:
    """How many events a day has, and a digest of them with all they refer to; of no day, those without a time."""

    day: date | None
    rows: int
    digest: int


def row_hash(*columns: ibis.Value) -> ibis.Value:
    """A hash of each row as uint64. Hashed twice, since sums of what DuckDB mixes by xor can cancel out."""
    row = ibis.struct({f"c{place}": column for place, column in enumerate(columns)})
    return _hash(_hash(row))


def _hash(value: ibis.Value) -> ibis.Value:
    """DuckDB's hash. Ibis's own goes through a string of bits, which takes five times as long."""
    return duckdb_function("hash", (value.type(),), dt.uint64)(value)


def digest(table: ibis.Table) -> str:
    """Of all rows of a table."""
    hashed = table.select(hash=row_hash(*(table[name] for name in table.columns)))
    sums = hashed.aggregate(rows=hashed.count(), digest=hashed.hash.sum().cast("string")).to_pyarrow().to_pylist()
    return f"{sums[0]['rows']} {sums[0]['digest']}"


@dataclass(frozen=True)
class Referred:
    """A table that a column of an event refers to: its accepted rows, and the column with their ids."""

    column: str
    rows: ibis.Table
    key: str


def days_of_events(events: ibis.Table, table: EventTable, referred: Sequence[Referred]) -> list[DayOfEvents]:
    """What has landed, day by day. One pass over all events.

    An event is validated with the rows that it refers to, and joined to them; so these are part of the digest, and a
    change of one is seen on every day that has an event of it.

    Args:
        events: after the cast, `unreadable` included.
        table: an event table with its own time.
    """
    # All that its rules look at, such as whether another row of its key is newer.
    columns = (events[name] for name in events.columns)
    day = day_of(events[str(table.own_time)])
    own = {f"of_{place}": events[each.column] for place, each in enumerate(referred)}
    rows = events.select(*named(own), day=day, own_hash=row_hash(*columns))
    for place, each in enumerate(referred):
        hashed = _by_id(each.rows, each.key, f"id_{place}", f"hash_{place}")
        rows = rows.left_join(hashed, rows[f"of_{place}"] == hashed[f"id_{place}"]).drop(f"id_{place}")
    hashed = rows.select(
        "day", hash=row_hash(rows.own_hash, *(rows[f"hash_{place}"] for place in range(len(referred))))
    )
    days = hashed.group_by("day").aggregate(rows=hashed.count(), digest=hashed.hash.sum().cast("string"))
    return [DayOfEvents(row["day"], row["rows"], int(row["digest"])) for row in days.to_pyarrow().to_pylist()]


def _by_id(table: ibis.Table, key: str, id_: str, hash_: str) -> ibis.Table:
    hashed = table.select(id=key, hash=row_hash(*(table[column] for column in table.columns)))
    # Where doubles may stay, all rows of an id count. As text, since Ibis does not know 128 bits.
    sums = hashed.group_by({id_: "id"}).aggregate(total=hashed.hash.sum().cast("string"))
    return sums.select(id_, row_hash(sums.total).name(hash_))
