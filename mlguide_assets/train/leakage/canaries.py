"""Events that are in no decision's past: planted after all others, in every event table."""

from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.define.features import Declaration
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EventTable
from mlguide_assets.prepare.features.catalogue import event_of, split_values
from mlguide_assets.train.some_units import (
    History,
    columns_of_noun,
    instants_of,
    new_ids,
    own_numbers,
    replaced,
    timestamps,
)

CANARY = "leakage canary"
"""The category of events, and of entities, that are in no decision's past."""


def with_canary_values(problem: Problem) -> Problem:
    """The problem in which canaries, too, are counted where a declaration counts value by value."""
    declared = {
        name: each.model_copy(update={"values": (*split_values(name, each, problem), CANARY)})
        if each.split and _is_category(each, problem)
        else each
        for name, each in problem.features.declared.items()
    }
    return problem.model_copy(update={"features": problem.features.model_copy(update={"declared": declared})})


def with_canaries(history: History, problem: Problem, last: int) -> History:
    """The history with two more events of each unit, in every table of events, after the last of all.

    One is the unit's last event again; the other is of entities that were unknown before, the canaries. Both have the
    positive outcome, where they decide. Events of no unit are planted for whatever they name first.

    Args:
        last: the instant of the last event, in microseconds since 1970.
    """
    schema = problem.schema
    canaries = {noun: _new_id(history, problem, noun) for noun in schema.entities if noun != problem.decision.unit}
    times = {event.at for event in schema.event_tables.values() if event.own_time is None}
    found = dict(history)
    for name, event in schema.event_tables.items():
        planted = _planted(history, problem, name, event, last, canaries)
        # As a source would have them: what follows from the order of rows is no leak.
        found[name] = pa.concat_tables([history[name], *planted]).sort_by(
            [(each, "ascending") for each in event.unique_by]
        )
    for name, table in schema.entity_tables.items():
        if table.entity in canaries and history[name].num_rows:
            row = history[name].slice(0, 1)
            told_by = [time for time in table.columns if f"{table.entity}.{time}" in times]
            later = {time: timestamps(np.array([last + 1])) for time in told_by}
            marked = {column: [CANARY] for column in _counted(problem, table.entity)}
            row = replaced(row, {table.key: [canaries[table.entity]], **later, **marked})
            found[name] = pa.concat_tables([history[name], row])
    return found


def _planted(
    history: History, problem: Problem, name: str, event: EventTable, last: int, canaries: dict[str, Any]
) -> list[pa.Table]:
    rows = history[name]
    if not rows.num_rows:
        return []
    at, _ = instants_of(history, problem, name)
    whose = problem.decision.unit if problem.decision.unit in event.of else next(iter(event.of))
    again = rows.take(pa.array(_newest(rows[event.of[whose]], at)))
    parent = event.at.split(".")[0] if event.own_time is None else None
    planted = []
    for number in range(2):
        changes: dict[str, Any] = {}
        for noun, column in event.of.items():
            # At an entity's time, only a canary is late enough.
            if noun != whose and noun in canaries and (number or noun == parent):
                changes[column] = [canaries[noun]] * again.num_rows
        for time in (event.own_time, event.known_at):
            if time is not None:
                changes[time] = timestamps(np.full(again.num_rows, last + 1 + number))
        for column in own_numbers(event):
            if column in rows.column_names:
                ids = new_ids([rows[column]], 2 * again.num_rows)
                changes[column] = ids[number * again.num_rows : (number + 1) * again.num_rows]
        if isinstance(problem.predict, PredictEvent) and event.event == problem.predict.each:
            changes[problem.predict.label.column] = [problem.predict.label.positive] * again.num_rows
        if number:
            changes |= {column: [CANARY] * again.num_rows for column in _counted(problem, event.event)}
        planted.append(replaced(again, changes))
    return planted


def _newest(ids: pa.ChunkedArray, at: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The place of the newest row of each id."""
    codes = np.asarray(ids.combine_chunks().dictionary_encode().indices.fill_null(-1), dtype=np.int64)
    order = np.lexsort((at, codes))
    ends = np.r_[codes[order][1:] != codes[order][:-1], True]
    return np.sort(order[ends & (codes[order] >= 0)])


def _new_id(history: History, problem: Problem, noun: str) -> Any:
    columns = [column for column in columns_of_noun(history, problem, noun).values() if column.null_count < len(column)]
    return new_ids(columns, 1)[0] if columns else 0


def _counted(problem: Problem, noun: str) -> list[str]:
    """The columns of an event or an entity by whose values declarations count."""
    found = [
        str(each.split).rpartition(".")[2]
        for each in problem.features.declared.values()
        if each.split and _is_category(each, problem) and _noun_of(each, problem) == noun
    ]
    return list(dict.fromkeys(found))


def _noun_of(declaration: Declaration, problem: Problem) -> str:
    return str(declaration.split).rpartition(".")[0] or event_of(declaration, problem)


def _is_category(declaration: Declaration, problem: Problem) -> bool:
    table = problem.tables[str(problem.schema.table_of(_noun_of(declaration, problem)))]
    return table.columns[str(declaration.split).rpartition(".")[2]].kind == "category"
