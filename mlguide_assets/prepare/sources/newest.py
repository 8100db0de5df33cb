"""Which of several rows of one key is the newest: corrections often come as a second row.

By the time at which a row was written, where the problem file names its column; else by the order in the file, where
the table is one file. A database and a folder of parts have no order: then a row without a label is older than one
with it, equal rows are one, and of the rest nothing is known.
"""

from functools import reduce
from operator import and_

import ibis

from mlguide_assets.define.rules import key_of
from mlguide_assets.define.schema import EntityTable, EventTable
from mlguide_assets.prepare.partitions.digests import row_hash
from mlguide_assets.prepare.sources.names import UNREADABLE

NEWER = "_newer_rows"
"""Column of a table after the cast: how many rows of the same key are newer; null where that cannot be known."""
ORDER = "place in the file, counted as it was read"
"""Column that counts the rows of a file. It stands beside all columns of a source, whose names may be any."""

# Beside columns of the source, whose names may be any.
_WRITTEN, _KNOWN, _CONTENT, _LAST = "_written", "_known", "_content", "_last"
_LONG_AGO = ibis.timestamp("0001-01-01")


def with_newer_rows(rows: ibis.Table, table: EntityTable | EventTable, outcomes: tuple[str, ...] = ()) -> ibis.Table:
    """Add the column `NEWER`, and drop `ORDER`.

    Args:
        rows: after the cast, with `ORDER` where it is known.
        outcomes: columns that are empty until the outcome is known, so that a row without is older than one with.
    """
    key, columns = list(key_of(table)), list(table.columns)
    kept = [*columns, UNREADABLE]
    known = reduce(and_, (rows[name].notnull() for name in outcomes), ibis.literal(True))
    written = rows[table.known_at] if table.known_at else ibis.null("timestamp")
    rows = rows.mutate({_WRITTEN: written, _KNOWN: known})
    newest_first = ibis.desc(_WRITTEN, nulls_first=False)
    if ORDER in rows.columns:
        place = ibis.row_number().over(group_by=key, order_by=[newest_first, ibis.desc(ORDER)])
        return rows.select(*kept, place.name(NEWER))
    content = ibis.ifelse(rows[_KNOWN], row_hash(*(rows[name] for name in columns)), ibis.null("uint64"))
    rows = rows.mutate({_CONTENT: content, _LAST: rows[_WRITTEN].max().over(group_by=key)})
    alike = ibis.window(group_by=[*key, _WRITTEN])
    contested = (rows[_WRITTEN].fill_null(_LONG_AGO) == rows[_LAST].fill_null(_LONG_AGO)) & (
        rows[_CONTENT].min().over(alike) != rows[_CONTENT].max().over(alike)
    )
    place = ibis.row_number().over(group_by=key, order_by=[newest_first, ibis.desc(_KNOWN), *columns])
    newer = ibis.ifelse(contested.fill_null(False), ibis.null("int64"), place)
    return rows.select(*kept, newer.name(NEWER))
