"""The same past with another future, in every table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EntityTable, EventTable
from mlguide_assets.prepare.features.events import micros
from mlguide_assets.statistics.arrays import Flags
from mlguide_assets.train.some_units import History, instants_of, own_numbers, replaced


def another_future(history: History, problem: Problem, instant: int, chance: np.random.Generator) -> History:
    """The history in which all that was not yet known at an instant turned out otherwise.

    Of events that happen, or are written, from the instant on, a seeded half is dropped; the others are of other
    entities, and have each other's values. The outcomes of all decisions that had not matured are turned, that of a
    decision at the instant included. Rows of entities that are valid, or written, only later have each other's values.
    A decision at the instant, or before it that is written late, stays what it is.

    Args:
        instant: microseconds since 1970.
    """
    other_ids = _other_ids(history, problem, chance)
    found = dict(history)
    for name, event in problem.schema.event_tables.items():
        at, written = instants_of(history, problem, name)
        decides = isinstance(problem.predict, PredictEvent) and event.event == problem.predict.each
        happens = at >= instant if decides else np.maximum(at, written) >= instant
        later = at > instant if decides else happens
        rows = _of_others(history[name], event, later, other_ids)
        keeps = problem.predict.known if decides and isinstance(problem.predict, PredictEvent) else ()
        own = {name for name in _values(event) if not decides or name != problem.label.column}
        rows = _exchanged(rows, own, later, chance)
        rows = _exchanged(rows, own - set(keeps), ~later & (written >= instant), chance)
        if decides:
            final = at + micros(problem.final_after)
            rows = _turned(rows, final > instant, problem)
        found[name] = rows.filter(pa.array(~happens | (chance.random(len(at)) < 0.5)))
    for name, table in problem.schema.entity_tables.items():
        found[name] = _exchanged(history[name], _values(table), _not_yet(history[name], table, instant), chance)
    return found


def _values(table: EventTable | EntityTable) -> set[str]:
    """The columns that say neither which row it is nor when."""
    names = {*table.unique_by, *own_numbers(table)} if isinstance(table, EventTable) else {table.key}
    return {name for name, column in table.columns.items() if column.kind not in ("time", "id") and name not in names}


def _other_ids(history: History, problem: Problem, chance: np.random.Generator) -> dict[str, tuple[pa.Array, pa.Array]]:
    """For each entity but the unit, and those that say when an event was: its ids, and another for each."""
    schema = problem.schema
    times = {event.at.split(".")[0] for event in schema.event_tables.values() if event.own_time is None}
    found = {}
    for noun in schema.entities:
        columns = [history[name][event.of[noun]] for name, event in schema.event_tables.items() if noun in event.of]
        if noun != problem.decision.unit and noun not in times and columns:
            ids = pc.unique(pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type))
            ids = ids.drop_null()
            ids = ids.take(pc.array_sort_indices(ids))
            found[noun] = (ids, ids.take(pa.array(chance.permutation(len(ids)))))
    return found


def _of_others(
    rows: pa.Table, event: EventTable, which: Flags, other_ids: dict[str, tuple[pa.Array, pa.Array]]
) -> pa.Table:
    """Rows that are of another entity where said; each id becomes another one, so that keys stay unique."""
    for noun, column in event.of.items():
        if noun in other_ids:
            ids, others = other_ids[noun]
            other = others.take(pc.index_in(rows[column].combine_chunks(), value_set=ids))
            rows = replaced(rows, {column: pc.if_else(pa.array(which), other, rows[column])})
    return rows


def _exchanged(rows: pa.Table, columns: set[str], which: Flags, chance: np.random.Generator) -> pa.Table:
    """Rows that have each other's values in some columns where said."""
    places = np.flatnonzero(which)
    order = np.arange(rows.num_rows)
    order[places] = places[chance.permutation(len(places))]
    taken = rows.take(pa.array(order))
    return replaced(rows, {name: taken[name] for name in sorted(columns) if name in rows.column_names})


def _turned(rows: pa.Table, which: Flags, problem: Problem) -> pa.Table:
    """The outcomes the other way round where said."""
    label, column = problem.label, problem.label.column
    outcome = rows[column].cast(pa.string())
    positive = pc.fill_null(pc.equal(outcome, label.positive), False)
    turned = pc.if_else(positive, label.negative, label.positive)
    return replaced(rows, {column: pc.if_else(pa.array(which), turned, outcome)})


def _not_yet(rows: pa.Table, table: EntityTable, instant: int) -> Flags:
    """The rows of an entity that are valid, or written, only later."""
    unknown = np.zeros(rows.num_rows, dtype=bool)
    if table.history is not None:
        unknown |= _micros(rows[table.history.from_]) > instant
    if table.known_at is not None:
        unknown |= _micros(rows[table.known_at]) >= instant
    return unknown


def _micros(times: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Times in microseconds since 1970; a missing one is before all."""
    whole = times.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
    return np.asarray(whole.to_numpy(), dtype=np.int64)
