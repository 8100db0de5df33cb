"""All that happened to some units, in memory: few enough to change it and compute features again.

Leakage alarms and behaviour tests change what is here; nothing here changes anything by itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EventTable
from mlguide_assets.prepare.features.events import HAPPENED, WRITTEN, with_instants
from mlguide_assets.prepare.partitions.digests import row_hash
from mlguide_assets.statistics.arrays import Integers
from mlguide_assets.statistics.draws import draw_column

Tables = Mapping[str, ibis.Table]
History = dict[str, pa.Table]
"""The rows of tables by their names in the problem file, in an order that the rows decide."""

MOST_EVENTS = 50_000
"""Of one table. Units are drawn so that theirs are about as many; of events of no unit, so many are drawn."""

_PLACE = "_place"


def drawn_units(tables: Tables, problem: Problem, at_most: int, seed: int) -> pa.Array:
    """A seeded sample of the units that have events, in random order; fewer where they have many events."""
    unit, schema = problem.decision.unit, problem.schema
    concerned = [(name, event) for name, event in schema.event_tables.items() if unit in event.of]
    if problem.decision.is_event:
        concerned = [(name, event) for name, event in concerned if event.event == problem.decision.noun]
    counts = [tables[name].group_by(id=event.of[unit]).aggregate(rows=ibis._.count()) for name, event in concerned]
    every = counts[0].union(*counts[1:]) if len(counts) > 1 else counts[0]
    per_unit = every.filter(every.id.notnull()).group_by("id").aggregate(rows=every.rows.max())
    mean = _fetched(tables, per_unit.aggregate(rows=per_unit.rows.mean()))["rows"][0].as_py()
    fitting = max(1, int(MOST_EVENTS / mean)) if mean else 1
    # Drawn where they are: there may be as many units as decisions.
    drawn = per_unit.select("id", draw=draw_column(f"{seed}/units", per_unit.id))
    return _fetched(tables, drawn.order_by("draw", "id").limit(min(at_most, fitting)))["id"].combine_chunks()


def history_of(tables: Tables, problem: Problem, units: pa.Array, noun: str | None = None) -> History:
    """The events of some units, the entities that these name, and of events of no unit a seeded part.

    Args:
        noun: what the units are, where not those of decisions.
    """
    unit, schema = noun or problem.decision.unit, problem.schema
    wanted = ibis.memtable(pa.table({"wanted": units}))
    found: History = {}
    for name, event in schema.event_tables.items():
        rows = tables[name]
        if unit in event.of:
            rows = rows.semi_join(wanted, rows[event.of[unit]] == wanted.wanted)
        else:
            every = max(1, int(_fetched(tables, rows.aggregate(rows=rows.count()))["rows"][0].as_py()) // MOST_EVENTS)
            rows = rows.filter(row_hash(*(rows[column] for column in event.unique_by)) % every == 0)
        # Without a time, an event is in no feature.
        timed = with_instants(rows, event, tables, schema)
        rows = timed.filter(timed[HAPPENED].notnull()).select(*rows.columns)
        found[name] = _fetched(tables, _ordered(rows, *event.unique_by))
    for name, table in schema.entity_tables.items():
        entity = table.entity
        named = [found[each][event.of[entity]] for each, event in schema.event_tables.items() if entity in event.of]
        ids = [column.combine_chunks() for column in named] + ([units] if entity == unit else [])
        some = ibis.memtable(pa.table({"some": pc.unique(pa.chunked_array(ids, ids[0].type))})) if ids else None
        rows = tables[name] if some is None else tables[name].semi_join(some, tables[name][table.key] == some.some)
        found[name] = _fetched(tables, _ordered(rows, table.key))
    return found


def _ordered(rows: ibis.Table, *first: str) -> ibis.Table:
    """Rows in an order that they alone decide."""
    return rows.order_by(*dict.fromkeys([*first, *sorted(rows.columns)]))


def _fetched(tables: Tables, rows: ibis.Table) -> pa.Table:
    backend = next(iter(tables.values())).get_backend()
    fetched: pa.Table = backend.to_pyarrow(rows)
    return fetched.combine_chunks()


def as_tables(history: Mapping[str, pa.Table]) -> dict[str, ibis.Table]:
    """The same as stages take them."""
    return {name: ibis.memtable(rows) for name, rows in history.items()}


def instants_of(history: Mapping[str, pa.Table], problem: Problem, name: str) -> tuple[Integers, Integers]:
    """When each row of an event table happened, and when it was written: microseconds since 1970, (n,) each."""
    event = problem.schema.event_tables[name]
    rows = history[name]
    placed = ibis.memtable(rows.append_column(_PLACE, pa.array(np.arange(rows.num_rows))))
    timed = with_instants(placed, event, as_tables(history), problem.schema)
    found = timed.select(_PLACE, HAPPENED, WRITTEN).order_by(_PLACE).to_pyarrow()
    at, written = (found[each].to_numpy().astype(np.int64) for each in (HAPPENED, WRITTEN))
    return at, written


def replaced(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """The table with other values in some columns, of the same types."""
    for name, values in columns.items():
        field = table.schema.field(name)
        same_type = values.cast(field.type) if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, same_type)
    return table


def timestamps(micros: Integers) -> pa.Array:
    """Instants as times."""
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us"))


def new_ids(columns: Iterable[pa.ChunkedArray], count: int) -> list[Any]:
    """Ids that none of the columns has, of their type, in the order of ids; all columns hold some id."""
    last = max(value for column in columns if (value := pc.max(column).as_py()) is not None)
    # A text that is longer than the last in order is none of them.
    return [f"{last}+{number:06}" if isinstance(last, str) else last + 1 + number for number in range(count)]


def columns_of_noun(
    history: Mapping[str, pa.Table], problem: Problem, noun: str
) -> dict[tuple[str, str], pa.ChunkedArray]:
    """Where the ids of an entity are: (table, column) → the ids."""
    places = [(name, event.of[noun]) for name, event in problem.schema.event_tables.items() if noun in event.of]
    table = problem.schema.entity(noun)
    if table is not None:
        places.append((str(problem.schema.table_of(noun)), table.key))
    return {(name, column): history[name][column] for name, column in places}


def own_numbers(event: EventTable) -> list[str]:
    """The key columns of events beside entities and times, such as their number."""
    return [name for name in event.key if name not in event.of.values() and name != event.own_time]
