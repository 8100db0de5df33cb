"""Events that are in no decision's past: planted after all others, in every event table."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.define.features import Declaration
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EntityTable, EventTable
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

CANARY_VALUE = "leakage canary"
"""The category of events, and of entities, that are in no decision's past."""


def with_canary_values(problem: Problem) -> Problem:
    """The problem in which canaries, too, are counted where a declaration counts value by value."""
    declared = {
        name: each.model_copy(update={"values": (*split_values(name, each, problem), CANARY_VALUE)})
        if each.split and _is_category(each, problem)
        else each
        for name, each in problem.features.declared.items()
    }
    return problem.model_copy(update={"features": problem.features.model_copy(update={"declared": declared})})


def with_canaries(history: History, problem: Problem, last: int) -> History:
    """The history with two more events of each unit, in every table of events, after the last of all.

    One is the unit's last event again; the other is of entities that were unknown before, the canaries. Both have the
    positive outcome, where they decide. Events of no unit are planted for whatever they name first. An event that
    happens when an entity says is planted with a new entity, since that of the last event is of the past.

    Args:
        last: the instant of the last event, in microseconds since 1970.
    """
    planting = _Planting(history, problem, last)
    found = dict(history)
    for name, event in problem.schema.event_tables.items():
        # As a source would have them: what follows from the order of rows is no leak.
        found[name] = pa.concat_tables([history[name], *planting.events(name)]).sort_by(
            [(each, "ascending") for each in event.unique_by]
        )
    for name, table in problem.schema.entity_tables.items():
        if history[name].num_rows:
            found[name] = pa.concat_tables([history[name], *planting.entities(name, table)])
    return found


@dataclass(frozen=True)
class _Planting:
    """What is planted, and after which instant."""

    history: History
    problem: Problem
    last: int

    @cached_property
    def _again(self) -> dict[str, pa.Table]:
        """The last events of each unit, per table of events."""
        found: dict[str, pa.Table] = {}
        for name, event in self.problem.schema.event_tables.items():
            rows = self.history[name]
            found[name] = rows
            if rows.num_rows:
                at, _ = instants_of(self.history, self.problem, name)
                found[name] = rows.take(pa.array(_newest(rows[event.of[self._whose(event)]], at)))
        return found

    def _whose(self, event: EventTable) -> str:
        unit = self.problem.decision.unit
        return unit if unit in event.of else next(iter(event.of))

    @cached_property
    def _parents(self) -> dict[str, tuple[list[Any], list[Any]]]:
        """The ids of new entities that say when events happen: for the first and for the second of each unit."""
        most: dict[str, int] = {}
        for name, event in self.problem.schema.event_tables.items():
            noun = _parent(event)
            if noun is not None and self._again[name].num_rows:
                most[noun] = max(most.get(noun, 0), self._again[name].num_rows)
        found = {}
        for noun, number in most.items():
            ids = self._new_ids(noun, 2 * number)
            found[noun] = (ids[:number], ids[number:])
        return found

    @cached_property
    def _canaries(self) -> dict[str, Any]:
        """The id of an entity of each kind that was unknown before."""
        others = (noun for noun in self.problem.schema.entities if noun != self.problem.decision.unit)
        return {
            noun: self._parents[noun][1][0] if noun in self._parents else self._new_ids(noun, 1)[0] for noun in others
        }

    def _new_ids(self, noun: str, count: int) -> list[Any]:
        columns = columns_of_noun(self.history, self.problem, noun).values()
        columns_with_ids = [column for column in columns if column.null_count < len(column)]
        return new_ids(columns_with_ids, count) if columns_with_ids else list(range(count))

    def events(self, name: str) -> list[pa.Table]:
        """The first and the second event of each unit in a table."""
        again, event = self._again[name], self.problem.schema.event_tables[name]
        return [replaced(again, self._changes(again, event, number)) for number in (0, 1)] if again.num_rows else []

    def _changes(self, again: pa.Table, event: EventTable, number: int) -> dict[str, Any]:
        rows, whose, parent = again.num_rows, self._whose(event), _parent(event)
        changes: dict[str, Any] = {}
        for noun, column in event.of.items():
            if noun == parent:
                changes[column] = self._parents[noun][number][:rows]
            elif noun != whose and noun in self._canaries and number:
                changes[column] = [self._canaries[noun]] * rows
        for time in (event.own_time, event.known_at):
            if time is not None:
                changes[time] = timestamps(np.full(rows, self.last + 1 + number))
        for column in own_numbers(event):
            if column in again.column_names:
                ids = new_ids([self.history[str(self.problem.schema.table_of(event.event))][column]], 2 * rows)
                changes[column] = ids[number * rows : (number + 1) * rows]
        predict = self.problem.predict
        if isinstance(predict, PredictEvent) and event.event == predict.each:
            changes[predict.label.column] = [predict.label.positive] * rows
        if number:
            changes |= {column: [CANARY_VALUE] * rows for column in _counted(self.problem, event.event)}
        return changes

    def entities(self, name: str, table: EntityTable) -> list[pa.Table]:
        """The rows of the entities that are new: each as the first of the table, after all that happened."""
        ids = self._parents.get(table.entity)
        if ids is None:
            ids = ([], [self._canaries[table.entity]] if table.entity in self._canaries else [])
        return [self._entity_rows(name, table, each, number) for number, each in enumerate(ids) if each]

    def _entity_rows(self, name: str, table: EntityTable, ids: list[Any], number: int) -> pa.Table:
        rows = self.history[name].take(pa.array([0] * len(ids)))
        times = {event.at for event in self.problem.schema.event_tables.values() if event.own_time is None}
        told_by = [time for time in table.columns if f"{table.entity}.{time}" in times]
        later = {time: timestamps(np.full(len(ids), self.last + 1 + number)) for time in told_by}
        marked = (
            {column: [CANARY_VALUE] * len(ids) for column in _counted(self.problem, table.entity)} if number else {}
        )
        return replaced(rows, {table.key: ids, **later, **marked})


def _parent(event: EventTable) -> str | None:
    """The entity that says when an event happened, where it has no time of its own."""
    return event.at.split(".")[0] if event.own_time is None else None


def _newest(ids: pa.ChunkedArray, at: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The place of the newest row of each id."""
    codes = np.asarray(ids.combine_chunks().dictionary_encode().indices.fill_null(-1), dtype=np.int64)
    order = np.lexsort((at, codes))
    ends = np.r_[codes[order][1:] != codes[order][:-1], True]
    return np.sort(order[ends & (codes[order] >= 0)])


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
