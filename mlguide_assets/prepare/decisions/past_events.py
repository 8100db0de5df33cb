"""Events as all computations over time see them: ids by noun, one instant, and when the row was known.

Instants are int64 microseconds since 1970, UTC: exact, and faster to compare and to window than time stamps.
"""

from collections.abc import Mapping
from datetime import timedelta

import ibis

from mlguide_assets.define.schema import EventTable, Schema

_EPOCH = "1970-01-01 00:00:00"
_PARENT = "parent_of_event"
_PARENTS_TIME = "time_of_parent"


def id_column(noun: str) -> str:
    """The column of an entity's ids in every table that is derived."""
    return f"{noun}_id"


def microseconds(time: ibis.Value) -> ibis.Value:
    """A time stamp as int64 since 1970."""
    return time.delta(ibis.timestamp(_EPOCH), unit="microsecond")


def time_stamp(micros: ibis.Value) -> ibis.Value:
    """The inverse of `microseconds`."""
    return ibis.timestamp(_EPOCH) + micros.as_interval("us")


def micros_of(span: timedelta) -> int:
    """The length of a time span in microseconds."""
    return span // timedelta(microseconds=1)


def events_of(tables: Mapping[str, ibis.Table], schema: Schema, noun: str) -> ibis.Table:
    """The events of a kind that have a time.

    Args:
        tables: by the names of the schema, typed; times are UTC without a zone.

    Returns:
        `<noun>_id` of each entity that the event refers to, `at` and `known` (int64, microseconds since 1970), and
        the event's other columns.
    """
    declared = schema.event(noun)
    rows = tables[schema.table_of(noun) or ""]
    if declared.own_time is None:
        rows = _with_parents_time(rows, tables, schema, declared)
    ids = {id_column(entity): rows[column] for entity, column in declared.of.items()}
    taken = {*declared.of.values(), declared.own_time, declared.known_at}
    others = {name: rows[name] for name in declared.columns if name not in taken and name not in ids}
    known = {"known": microseconds(rows[declared.known_at])} if declared.known_at else {}
    timed = rows.select(**ids, **others, at=microseconds(rows[declared.own_time or _PARENTS_TIME]), **known)
    timed = timed.filter(timed["at"].notnull())
    return timed.mutate(known=_known(timed, declared))


def _known(timed: ibis.Table, declared: EventTable) -> ibis.Value:
    """Nothing is known before it happened."""
    if declared.known_at:
        return ibis.greatest(timed.known.fill_null(timed["at"]), timed["at"])
    return timed["at"] + micros_of(declared.arrives_within or timedelta())


def _with_parents_time(
    rows: ibis.Table, tables: Mapping[str, ibis.Table], schema: Schema, declared: EventTable
) -> ibis.Table:
    """Add the time of the entity that `at: noun.column` names; null where the entity is missing."""
    noun, column = declared.at.split(".")
    parent = tables[schema.table_of(noun) or ""]
    key = schema.entity_tables[schema.table_of(noun) or ""].key
    # One row per id, whatever the table holds: a second row of an entity would count its events twice.
    times = parent.group_by(**{_PARENT: parent[key]}).aggregate(**{_PARENTS_TIME: parent[column].max()})
    return rows.left_join(times, rows[declared.of[noun]] == times[_PARENT])
