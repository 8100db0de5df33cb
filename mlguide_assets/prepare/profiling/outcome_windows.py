"""After how long the outcome of an event is final: as far as the tables say."""

import math
from datetime import timedelta

from mlguide_assets.english import agreeing, counted
from mlguide_assets.prepare.profiling.candidates import first_and_last, instants
from mlguide_assets.prepare.profiling.columns import ColumnProfile
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.roles import Source


def window_of(source: Source, table: DraftTable, column: ColumnProfile) -> tuple[str, str]:
    """How long an outcome takes to be known: as long as it is empty at the end of the data, if it is."""
    rows = instants(source, table)
    first, last = first_and_last(rows)
    span = (last - first).days if first and last else 0
    default = "7d" if span >= 70 else "1d" if span >= 4 else "1h"
    if column.filled == column.rows or last is None:
        return default, "? after so long an outcome is final; the tables do not say"
    unknown = rows.filter(rows[column.name].isnull())
    oldest = unknown.aggregate(first=unknown.happened.min()).to_pyarrow()["first"][0].as_py()
    days = math.ceil((last - oldest) / timedelta(days=1)) if oldest else 0
    if oldest and 0 < days <= span / 4:
        return f"{days}d", f"? empty only in the last {counted(days, 'day')}: not known yet"
    empty = column.rows - column.filled
    return (
        default,
        f"? after so long an outcome is final; {counted(empty, 'row')} {agreeing(empty, 'has')} none, and "
        f"{agreeing(empty, 'does')} not count",
    )
