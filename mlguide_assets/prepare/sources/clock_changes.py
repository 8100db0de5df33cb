"""Times that a zone's clocks show twice, or never, as they change: they are read all the same, and it is said.

Of times that carry no offset, in tables whose `timezone` the problem file states. A date is none of them.
"""

from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.dates import SINCE_1970
from mlguide_assets.define.schema import EntityTable, EventTable, TableName
from mlguide_assets.english import counted
from mlguide_assets.prepare.duckdb.functions import duckdb_function
from mlguide_assets.prepare.sources.casting import as_view, find_columns
from mlguide_assets.prepare.sources.times import OFFSET, read_times

ADVICE = "; write each time with its offset, or state another timezone"
"""How each sentence ends."""

_SET_BACK = (30, 60, 120)
"""Minutes by which clocks are set back."""

_FIRST, _LAST = datetime(1900, 1, 1), datetime(2100, 1, 1)
"""Between which days changes are looked for."""


def clock_changes(raw: ibis.Table, name: TableName, table: EntityTable | EventTable, *, place: str) -> list[str]:
    """A sentence for each column that has such times, and for each kind of them.

    Args:
        raw: as the source has it; see `cast_to_schema`.
    """
    zone = table.timezone
    if zone == "UTC":
        return []
    found = find_columns(raw.columns, table, place)
    given = {each: _without_offset(raw[found[each]], table.columns[each].format) for each in table.of_kind("time")}
    said = []
    for column, values in given.items():
        if values is None:
            continue
        # A view for each step: a value that is used several times would be computed as often.
        local = as_view(raw.select(at=read_times(values, table.columns[column].format)))
        near = local.filter(local["at"].date().isin(_days_of_changes(zone)))
        utc = as_view(near.mutate(utc=read_times(near["at"], timezone=zone)))
        repeated, skipped = _faults(utc["at"], utc["utc"], zone)
        counts = utc.aggregate(repeated=repeated.sum(), skipped=skipped.sum()).to_pyarrow().to_pylist()[0]
        for what, how in (("repeated", "repeat, read as of the second time"), ("skipped", "skip, read as of the next")):
            if times := counts[what]:
                hour = f"in an hour that the clocks of {zone} {how}"
                said.append(f"{name}.{column}: {counted(times, 'time')} {hour}{ADVICE}")
    return said


@cache
def _days_of_changes(zone: str) -> tuple[date, ...]:
    """The days on which the clocks of a zone change, and those beside. Databases take microseconds to look up what
    clocks show at a time, and other days need none of it.
    """
    clocks, found = ZoneInfo(zone), set[date]()
    days = [_FIRST + timedelta(days=number) for number in range((_LAST - _FIRST).days)]
    offsets = [clocks.utcoffset(day) for day in days]
    for place in range(1, len(days)):
        if offsets[place] != offsets[place - 1]:
            found |= {(days[place] + timedelta(days=number)).date() for number in (-2, -1, 0, 1)}
    return tuple(sorted(found))


def _faults(local: ibis.Column, read: ibis.Column, zone: str) -> tuple[ibis.Value, ibis.Value]:
    """Whether a time of a zone's clocks is one that they repeat, and whether it is one that they skip.

    Args:
        read: what it is read as, in UTC.
    """
    is_date = local == local.truncate("D")
    earlier = [_on_clocks(read - ibis.interval(minutes=minutes), zone) == local for minutes in _SET_BACK]
    return ibis.or_(*earlier) & ~is_date, (_on_clocks(read, zone) != local) & ~is_date


def _without_offset(column: ibis.Column, format: str | None) -> ibis.Column | None:
    """The times that say no zone, and null for others; None where all others do."""
    given = column.type()
    if given.is_timestamp():
        return None if given.timezone else column
    if (
        given.is_date()
        or not (given.is_string() or given.is_numeric())
        or format in SINCE_1970
        or "%z" in (format or "")
    ):
        return None
    if given.is_string() and format is None:
        return ibis.ifelse(column.strip().re_search(OFFSET), ibis.null("string"), column)
    return column if format else None


def _on_clocks(utc: ibis.Column, zone: str) -> ibis.Column:
    """What the clocks of a zone show."""
    shown = duckdb_function("timezone", (dt.string, dt.Timestamp(timezone="UTC")), dt.timestamp)
    return shown(ibis.literal(zone), utc.cast(dt.Timestamp(timezone="UTC")))
