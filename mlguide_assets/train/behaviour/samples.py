"""Samples of decisions and units, and changed copies of them, all seeded. Nothing here decides who passes."""

from collections.abc import Mapping
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.some_units import MOST_EVENTS, History, Tables, columns_of_noun, replaced

Ids = npt.NDArray[Any]

SAMPLE_UNITS = 500
"""Units whose features are computed again: the cost of all tests is that of their events."""
CANDIDATES = 20


def scores_of(model: ServableModel, rows: pa.Table) -> Floats:
    """What the model says of each row (n,); NaN for all of them where it refuses, as serving would the whole batch."""
    if not rows.num_rows:
        return np.empty(0)
    try:
        return model.predict(model.encoding.matrix(rows))
    except ValueError:
        return np.full(rows.num_rows, np.nan)


def some_of(count: int, at_most: int, random: np.random.Generator) -> Integers:
    """Positions of a sample, rising."""
    return np.sort(random.choice(count, min(count, at_most), replace=False))


def one_per(id_: str, sample: pa.Table, random: np.random.Generator) -> pa.Table:
    """One row of each id, of `SAMPLE_UNITS` ids at most, in random order; rows without an id are left out."""
    sample = sample.filter(sample[id_].is_valid())
    order = random.permutation(sample.num_rows)
    _, first = np.unique(sample[id_].to_numpy()[order], return_index=True)
    return sample.take(order[random.permutation(first)[:SAMPLE_UNITS]])


def fitting(asked: pa.Table, id_: str, tables: Tables, problem: Problem, noun: str) -> pa.Table:
    """The first of the rows asked about, as many as there is room for what happened to their entities."""
    events = [(name, event) for name, event in problem.schema.event_tables.items() if noun in event.of]
    some = ibis.memtable(pa.table({"asked": asked[id_].combine_chunks()}))
    counts = []
    for name, event in events:
        rows = tables[name].semi_join(some, tables[name][event.of[noun]] == some.asked)
        counts.append(int(rows.count().to_pyarrow().as_py()))
    per_row = max(counts, default=1) / max(1, asked.num_rows)
    return asked.slice(0, max(1, int(MOST_EVENTS / max(per_row, 1))))


def rows_of(asked: pa.Table, features: pa.Table, problem: Problem, noun: str) -> pa.Table:
    """The features of the decisions asked for, in their order, computed from what happened to some entities.

    The past of other entities than these (`noun`) stays as asked: here, it is not all there.
    """
    keys = list(problem.decision.keys)
    others = [each.name for each in features_of(problem) if _is_of_another_past(each, noun)]
    kept = asked.select([*keys, *others]).append_column("_place", pa.array(np.arange(asked.num_rows)))
    computed = features.drop_columns(others)
    return kept.join(computed, keys, join_type="inner").sort_by("_place").drop_columns(["_place"])


def _is_of_another_past(feature: Feature, noun: str) -> bool:
    since = feature.declaration is not None and feature.declaration.operator == "since_last"
    return (feature.origin == "history" or since) and feature.noun != noun


def ids_of(history: History, problem: Problem, noun: str) -> Ids:
    """All ids of an entity, in order."""
    columns = columns_of_noun(history, problem, noun).values()
    return np.unique(np.concatenate([column.drop_null().to_numpy() for column in columns]))


def exchanged(ids: Ids, random: np.random.Generator) -> Ids:
    """Another id for each (n,), distinct, from among these and one more: such as the model has seen."""
    if not len(ids):
        return ids
    # The ids are in order: a text that is longer than the last is none of them.
    more = f"{ids[-1]}+" if isinstance(ids[-1], str) else ids[-1] + 1
    pool = np.append(ids, np.array([more], ids.dtype))
    cycle = random.permutation(len(pool))
    new = np.empty_like(pool)
    new[cycle] = pool[np.roll(cycle, 1)]
    return new[: len(ids)]


def translated(table: pa.Table, ids: Mapping[str, tuple[Ids, Ids]]) -> pa.Table:
    """The table with other ids: in each column, each of the first becomes the one at its place among the second."""
    changes = {}
    for column, (old, new) in ids.items():
        type_ = table.schema.field(column).type
        place = pc.index_in(table[column].combine_chunks(), value_set=pa.array(old, type_))
        changes[column] = pa.array(new, type_).take(place)
    return replaced(table, changes)


def renamed_history(history: History, problem: Problem, old: Mapping[str, Ids], new: Mapping[str, Ids]) -> History:
    """The history with other ids of the entities of which there are new ones, by their nouns."""
    found = dict(history)
    for noun in new:
        for name, column in columns_of_noun(history, problem, noun):
            found[name] = translated(found[name], {column: (old[noun], new[noun])})
    return found


def overwritten(table: pa.Table, values: Mapping[str, str | None]) -> pa.Table:
    """The table with one value, or null, throughout each of these columns."""
    for name, value in values.items():
        field = table.schema.field(name)
        column = pa.array([value] * table.num_rows, field.type)
        table = table.set_column(table.column_names.index(name), field, column)
    return table


def newest_candidates(rows: pa.Table, decision: Decision) -> pa.Table:
    """The latest decision for each of the candidates that were chosen last."""
    id_ = str(decision.choose_id)
    latest_first = rows.sort_by([(decision.time, "descending"), (id_, "descending")])
    _, first = np.unique(latest_first[id_].to_numpy(), return_index=True)
    return latest_first.take(np.sort(first)[:CANDIDATES])


def pairs_of(units: pa.Table, candidates: pa.Table, problem: Problem) -> pa.Table:
    """Each unit's row with what belongs to the candidate taken from each candidate's row, unit by unit."""
    choose = problem.decision.choose
    of_candidate = {problem.decision.choose_id, *(each.name for each in features_of(problem) if each.noun == choose)}
    unit = np.repeat(np.arange(units.num_rows), candidates.num_rows)
    candidate = np.tile(np.arange(candidates.num_rows), units.num_rows)
    left, right = units.take(unit), candidates.take(candidate)
    return pa.table({name: (right if name in of_candidate else left)[name] for name in units.column_names})
