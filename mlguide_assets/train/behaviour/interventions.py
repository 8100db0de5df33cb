"""How a feature is raised: by changing the source that it is computed from, as its declaration says.

A count, a share and the number of different values rise by more events, a rate by outcomes that are turned, days since
the last event by taking the newest away, an age by an earlier start, what aggregates a column by larger values of it,
and a column by a larger value. What else follows from the same rows changes with it, as it would in truth.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import counted, plural
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.comparing import LARGEST, floats
from mlguide_assets.prepare.features.events import micros
from mlguide_assets.prepare.features.wording import span_in_words
from mlguide_assets.statistics.arrays import Flags, Integers
from mlguide_assets.train.behaviour.past import DEFAULT_SPAN, EXTRA_EVENTS, Past, Spans
from mlguide_assets.train.some_units import History, instants_of, new_ids, own_numbers, replaced

_LARGEST_WHOLE = float(2**63 - 1024)
"""Of 64 bits, as a float."""

_DAY = micros(timedelta(days=1))


@dataclass(frozen=True, eq=False)
class Raised:
    """A history in which a feature of some rows is larger.

    Attributes:
        history: the tables, changed.
        reached: which of the rows asked about it is larger for, (n,).
        said: what was done, as a sentence without its subject and its end.
    """

    history: History
    reached: Flags
    said: str


def noun_of(feature: Feature, problem: Problem) -> str:
    """The entity whose history a change of a feature is made in."""
    since_last = feature.declaration is not None and feature.declaration.operator == "since_last"
    return feature.noun if feature.noun and (feature.origin == "history" or since_last) else problem.decision.unit


def feature_called(name: str, problem: Problem) -> Feature:
    """The feature of a name that a direction is declared for."""
    return next(feature for feature in features_of(problem) if feature.name == name)


def raised(
    feature: Feature, history: History, asked: pa.Table, problem: Problem, random: np.random.Generator
) -> Raised:
    """The history in which a feature is larger, for as many of the rows asked about as can be.

    Args:
        history: of the entities that the rows concern.
        asked: decisions: keys; one per entity of `noun_of(feature)`.
    """
    if feature.origin == "column":
        return _raised_column_of_entity(feature, history, asked, problem)
    if feature.origin == "known":
        return _raised_column_of_event(feature, history, asked, problem)
    assert feature.declaration is not None
    match feature.declaration.operator:
        case "count" | "share" | "distinct":
            return _more_events(feature, history, asked, problem, random)
        case "rate":
            return _turned_outcomes(feature, history, asked, problem)
        case "since_last":
            return _newest_taken_away(feature, history, asked, problem)
        case "age":
            return _earlier_start(feature, history, asked, problem)
    return _raised_values(feature, history, asked, problem)


def _more_events(
    feature: Feature, history: History, asked: pa.Table, problem: Problem, random: np.random.Generator
) -> Raised:
    """Each entity asked about also got copies of events of the span before, of whichever entity they were.

    They are spread evenly over those of that span, so what they are of, and their times, are usual ones; of a number of
    different values, they have one that the entity had not. None comes before its entity is known, none as late as the
    decision, and none has the positive outcome, unless these count.
    """
    declaration = feature.declaration
    assert declaration is not None
    past = Past.of(feature, declaration, history, problem)
    spans = past.spans(asked, problem, since_known=True)
    order = np.argsort(past.at, kind="stable")
    order = order[past.matching[order]]
    if declaration.operator == "distinct":
        places, reached = _with_other_values(past, spans, order, asked, problem, random)
    else:
        places, reached = _spread_evenly(past, spans, order, random)
    count = len(places) // EXTRA_EVENTS
    rows = history[past.table].take(pa.array(places))
    ids = asked[id_column(past.by)].combine_chunks().filter(pa.array(reached))
    changes: dict[str, Any] = {past.event.of[past.by]: ids.take(pa.array(np.repeat(np.arange(count), EXTRA_EVENTS)))}
    for column in own_numbers(past.event):
        if column in rows.column_names and rows.num_rows and column != declaration.column:
            changes[column] = new_ids([history[past.table][column]], rows.num_rows)
    if past.decides:
        wanted = problem.label.positive if declaration.labelled == "positive" else problem.label.negative
        changes[problem.label.column] = [wanted] * rows.num_rows
    more = pa.concat_tables([history[past.table], replaced(rows, changes)])
    said = f"got {EXTRA_EVENTS} more {plural(past.event.event)} in the {span_in_words(spans.length)} before"
    return Raised({**history, past.table: more}, reached, said)


def _spread_evenly(past: Past, spans: Spans, order: Integers, random: np.random.Generator) -> tuple[Integers, Flags]:
    """Places of `EXTRA_EVENTS` events for each of those that are reached, and which these are (n,).

    Args:
        order: places of the events to draw from, by time.
    """
    times = past.at[order]
    first, end = np.searchsorted(times, spans.start), np.searchsorted(times, spans.end)
    available = end - first
    reached = (available >= EXTRA_EVENTS) & spans.known
    count = int(reached.sum())
    spread = (np.arange(EXTRA_EVENTS) + random.random((count, EXTRA_EVENTS))) / EXTRA_EVENTS
    return order[(first[reached, None] + np.floor(spread * available[reached, None]).astype(np.int64)).ravel()], reached


def _with_other_values(
    past: Past, spans: Spans, order: Integers, asked: pa.Table, problem: Problem, random: np.random.Generator
) -> tuple[Integers, Flags]:
    """As `_spread_evenly`, of events whose value none of the entity's own has."""
    codes = past.codes(str(past.declaration.column), problem)
    rows, whose, _ = past.before(asked, problem, past.matching, default=None)
    own = [np.empty(0, dtype=np.int64) for _ in range(asked.num_rows)]
    for place in np.unique(whose[rows]):
        own[place] = codes[rows[whose[rows] == place]]
    order = order[codes[order] >= 0]
    times = past.at[order]
    first, end = np.searchsorted(times, spans.start), np.searchsorted(times, spans.end)
    drawn, reached = [np.empty(0, dtype=np.int64)], np.zeros(asked.num_rows, dtype=bool)
    for place in np.flatnonzero(spans.known):
        events = order[first[place] : end[place]]
        others = events[~np.isin(codes[events], own[place])]
        if len(others):
            drawn.append(random.choice(others, EXTRA_EVENTS))
            reached[place] = True
    return np.concatenate(drawn), reached


def _turned_outcomes(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    """The newest negative outcomes that a rate looks at are positive ones."""
    declaration, label = feature.declaration, problem.label
    assert declaration is not None
    past = Past.of(feature, declaration, history, problem)
    outcomes = history[past.table][label.column].cast(pa.string())
    negative = pc.fill_null(pc.equal(outcomes, label.negative), False).combine_chunks().to_numpy(zero_copy_only=False)
    chosen, reached = past.newest(asked, problem, past.matching & negative)
    turned = pc.if_else(pa.array(chosen), label.positive, outcomes)
    rows = replaced(history[past.table], {label.column: turned})
    said = f"had up to {EXTRA_EVENTS} more positive outcomes among those that count"
    return Raised({**history, past.table: rows}, reached, said)


def _newest_taken_away(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    """The newest events that count, all of one instant, did not happen; there are earlier ones."""
    declaration = feature.declaration
    assert declaration is not None
    past = Past.of(feature, declaration, history, problem)
    rows, whose, _ = past.before(asked, problem, past.matching, default=None)
    newest = np.full(asked.num_rows, np.iinfo(np.int64).min)
    np.maximum.at(newest, whose[rows], past.at[rows])
    is_newest = past.at[rows] == newest[whose[rows]]
    _, reached = past.marked(rows[~is_newest], whose, asked)
    gone, _ = past.marked(rows[is_newest & reached[whose[rows]]], whose, asked)
    kept = history[past.table].filter(pa.array(~gone))
    said = f"had no {past.event.event} where their newest one was"
    return Raised({**history, past.table: kept}, reached, said)


def _earlier_start(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    """The time that an age counts from is earlier by a standard deviation."""
    declaration = feature.declaration
    assert declaration is not None
    noun, _, column = declaration.operand.partition(".")
    name, table = str(problem.schema.table_of(noun)), problem.schema.entity(noun)
    assert table is not None
    column = column or str(table.known_from)
    chosen, reached = _rows_of_entity(noun, column, history, asked, problem)
    times = history[name][column].cast(pa.timestamp("us")).cast(pa.int64())
    step = max(_DAY, round(pc.stddev(times).as_py() or 0))
    values = pc.if_else(pa.array(chosen), pc.subtract(times, step), times).cast(pa.timestamp("us"))
    said = f"had {column} of the {noun} {counted(round(step / _DAY, 1), 'day')} earlier"
    return Raised({**history, name: replaced(history[name], {column: values})}, reached, said)


def _raised_values(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    """All values that a feature aggregates are larger by a standard deviation."""
    declaration = feature.declaration
    assert declaration is not None
    past = Past.of(feature, declaration, history, problem)
    column = str(declaration.column)
    there = history[past.table][column].is_valid().combine_chunks().to_numpy(zero_copy_only=False)
    # One value that stays as it was may be the smallest or the largest of all.
    default = None if declaration.operator in ("min", "max") else DEFAULT_SPAN
    rows, whose, length = past.before(asked, problem, past.matching & there, default=default)
    chosen, reached = past.marked(rows, whose, asked)
    step, values = larger_values(history[past.table][column], chosen)
    changed = replaced(history[past.table], {column: values})
    when = f"of the {span_in_words(length)} before" if length else "before"
    said = f"had {column} larger by {step:.3g} in all {plural(past.event.event)} {when}"
    return Raised({**history, past.table: changed}, reached, said)


def _rows_of_entity(noun: str, column: str, history: History, asked: pa.Table, problem: Problem) -> tuple[Flags, Flags]:
    """Which rows of an entity's table are of entities asked about (m,), and which of these have a value there (n,)."""
    name, table = str(problem.schema.table_of(noun)), problem.schema.entity(noun)
    assert table is not None
    ids = asked[id_column(noun)].combine_chunks()
    there = history[name].filter(history[name][column].is_valid())[table.key].combine_chunks()
    chosen = pc.is_in(history[name][table.key].combine_chunks(), value_set=ids).to_numpy(zero_copy_only=False)
    return chosen, pc.is_in(ids, value_set=there).to_numpy(zero_copy_only=False)


def _raised_column_of_entity(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    noun, column = str(feature.noun), str(feature.column)
    name = str(problem.schema.table_of(noun))
    chosen, reached = _rows_of_entity(noun, column, history, asked, problem)
    step, values = larger_values(history[name][column], chosen)
    said = f"had {column} of the {noun} larger by {step:.3g}"
    return Raised({**history, name: replaced(history[name], {column: values})}, reached, said)


def _raised_column_of_event(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    decision, column = problem.decision, str(feature.column)
    name, event = str(problem.schema.table_of(decision.noun)), problem.schema.event(decision.noun)
    rows = history[name]
    at, _ = instants_of(history, problem, name)
    of_key = {decision.time: pa.array(at, pa.int64())}
    of_key |= {id_column(noun): rows[own].combine_chunks() for noun, own in event.of.items()}
    of_key |= {own: rows[own].combine_chunks() for own in decision.own_keys}
    keys = list(decision.keys)
    own_keys = pa.table(of_key).select(keys).append_column("_place", pa.array(np.arange(rows.num_rows)))
    wanted = asked.select(keys)
    place = wanted.column_names.index(decision.time)
    wanted = wanted.set_column(place, decision.time, wanted[decision.time].cast(pa.timestamp("us")).cast(pa.int64()))
    places = own_keys.join(wanted, keys, join_type="left semi")["_place"].to_numpy()
    chosen = np.zeros(rows.num_rows, dtype=bool)
    chosen[places] = True
    step, values = larger_values(rows[column], chosen)
    reached = asked[column].is_valid().combine_chunks().to_numpy(zero_copy_only=False)
    said = f"had {column} larger by {step:.3g}"
    return Raised({**history, name: replaced(rows, {column: values})}, reached, said)


def larger_values(column: pa.ChunkedArray, which: Flags) -> tuple[float, pa.ChunkedArray]:
    """A column whose values are larger where said: by a standard deviation, of whole numbers by a whole number."""
    values = floats(column)
    # Of what a model takes: a single 1e300 would make it infinite.
    known = values[~np.isnan(values)].clip(-LARGEST, LARGEST)
    step = float(pc.stddev(known).as_py() or 1.0) or 1.0
    most = np.inf
    if pa.types.is_boolean(column.type):
        step, most = 1.0, 1.0
    elif pa.types.is_integer(column.type):
        step, most = float(max(1, round(step))), _LARGEST_WHOLE
    more = np.where(which, np.minimum(values + step, most), values)
    return step, pa.chunked_array([pa.array(more, from_pandas=True)]).cast(column.type, safe=False)
