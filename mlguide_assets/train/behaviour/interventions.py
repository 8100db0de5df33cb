"""How a feature is raised: by changing the source that it is computed from, as its declaration says.

A count rises by more events, a rate by outcomes that are turned, what aggregates a column by larger values of it, and a
column by a larger value. What else follows from the same rows changes with it, as it would in truth.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.features import Declaration
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EventTable
from mlguide_assets.english import plural
from mlguide_assets.prepare.features.catalogue import Feature, event_of, features_of
from mlguide_assets.prepare.features.comparing import LARGEST, floats
from mlguide_assets.prepare.features.events import canonical_events, comparison, kind_at, micros, with_paths
from mlguide_assets.prepare.features.wording import span_in_words
from mlguide_assets.statistics.arrays import Flags, Integers
from mlguide_assets.train.some_units import History, as_tables, instants_of, new_ids, own_numbers, replaced

EXTRA_EVENTS = 2
"""Enough to move every risk that frequent events move, and still what some units really get."""

DEFAULT_SPAN = timedelta(days=7)
"""In which events are added or changed where a feature looks at all of the past."""

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
    return feature.noun if feature.origin == "history" and feature.noun else problem.decision.unit


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
        case "count":
            return _more_events(feature, history, asked, problem, random)
        case "rate":
            return _turned_outcomes(feature, history, asked, problem)
    return _raised_values(feature, history, asked, problem)


def _more_events(
    feature: Feature, history: History, asked: pa.Table, problem: Problem, random: np.random.Generator
) -> Raised:
    """Each entity asked about also got copies of events of the span before, of whichever entity they were.

    They are spread evenly over those of that span, so what they are of, and their times, are usual ones. None comes
    before its entity is known, none as late as the decision, and none has the positive outcome, unless these count.
    """
    declaration = feature.declaration
    assert declaration is not None
    past = _Past.of(feature, declaration, history, problem)
    spans = past.spans(asked, problem, since_known=True)
    order = np.argsort(past.at, kind="stable")
    order = order[past.matching[order]]
    times = past.at[order]
    first, end = np.searchsorted(times, spans.start), np.searchsorted(times, spans.end)
    available = end - first
    reached = (available >= EXTRA_EVENTS) & spans.known
    count = int(reached.sum())
    spread = (np.arange(EXTRA_EVENTS) + random.random((count, EXTRA_EVENTS))) / EXTRA_EVENTS
    places = (first[reached, None] + np.floor(spread * available[reached, None]).astype(np.int64)).ravel()
    rows = history[past.table].take(pa.array(order[places]))
    ids = asked[id_column(past.by)].combine_chunks().filter(pa.array(reached))
    changes: dict[str, Any] = {past.event.of[past.by]: ids.take(pa.array(np.repeat(np.arange(count), EXTRA_EVENTS)))}
    for column in own_numbers(past.event):
        if column in rows.column_names and rows.num_rows:
            changes[column] = new_ids([history[past.table][column]], rows.num_rows)
    if past.decides:
        wanted = problem.label.positive if declaration.labelled == "positive" else problem.label.negative
        changes[problem.label.column] = [wanted] * rows.num_rows
    more = pa.concat_tables([history[past.table], replaced(rows, changes)])
    said = f"got {EXTRA_EVENTS} more {plural(past.event.event)} in the {span_in_words(spans.length)} before"
    return Raised({**history, past.table: more}, reached, said)


def _turned_outcomes(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    """The newest negative outcomes that a rate looks at are positive ones."""
    declaration, label = feature.declaration, problem.label
    assert declaration is not None
    past = _Past.of(feature, declaration, history, problem)
    outcomes = history[past.table][label.column].cast(pa.string())
    negative = pc.fill_null(pc.equal(outcomes, label.negative), False).combine_chunks().to_numpy(zero_copy_only=False)
    chosen, reached, _ = past.newest(asked, problem, past.matching & negative)
    turned = pc.if_else(pa.array(chosen), label.positive, outcomes)
    rows = replaced(history[past.table], {label.column: turned})
    said = f"had up to {EXTRA_EVENTS} more positive outcomes among those that count"
    return Raised({**history, past.table: rows}, reached, said)


def _raised_values(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    """All values that a feature aggregates are larger by a standard deviation."""
    declaration = feature.declaration
    assert declaration is not None
    past = _Past.of(feature, declaration, history, problem)
    column = str(declaration.column)
    there = history[past.table][column].is_valid().combine_chunks().to_numpy(zero_copy_only=False)
    chosen, reached, length = past.newest(asked, problem, past.matching & there, at_most=None)
    step, values = larger_values(history[past.table][column], chosen)
    rows = replaced(history[past.table], {column: values})
    said = f"had {column} larger by {step:.3g} in all {plural(past.event.event)} of the {span_in_words(length)} before"
    return Raised({**history, past.table: rows}, reached, said)


def _raised_column_of_entity(feature: Feature, history: History, asked: pa.Table, problem: Problem) -> Raised:
    noun, column = str(feature.noun), str(feature.column)
    name, table = str(problem.schema.table_of(noun)), problem.schema.entity(noun)
    assert table is not None
    ids = asked[id_column(noun)].combine_chunks()
    there = history[name].filter(history[name][column].is_valid())[table.key].combine_chunks()
    reached = pc.is_in(ids, value_set=there)
    chosen = pc.is_in(history[name][table.key].combine_chunks(), value_set=ids).to_numpy(zero_copy_only=False)
    step, values = larger_values(history[name][column], chosen)
    said = f"had {column} of the {noun} larger by {step:.3g}"
    return Raised(
        {**history, name: replaced(history[name], {column: values})}, reached.to_numpy(zero_copy_only=False), said
    )


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
    if pa.types.is_integer(column.type):
        step, most = float(max(1, round(step))), _LARGEST_WHOLE
    more = np.where(which, np.minimum(values + step, most), values)
    return step, pa.chunked_array([pa.array(more, from_pandas=True)]).cast(column.type, safe=False)


@dataclass(frozen=True, eq=False)
class _Spans:
    """Of each row asked about: the span that its feature looks at, [start, end), and whether its entity is known."""

    start: Integers
    end: Integers
    known: Flags
    length: timedelta


@dataclass(frozen=True, eq=False)
class _Past:
    """The events that a feature looks at.

    Attributes:
        at: when each row of the table happened, microseconds since 1970.
        matching: which of them meet the conditions of the declaration, but for outcomes.
        decides: whether they are what is decided about.
    """

    by: str
    table: str
    event: EventTable
    declaration: Declaration
    at: Integers
    matching: Flags
    decides: bool
    history: History

    @classmethod
    def of(cls, feature: Feature, declaration: Declaration, history: History, problem: Problem) -> "_Past":
        noun = event_of(declaration, problem)
        table, event = str(problem.schema.table_of(noun)), problem.schema.event(noun)
        at, _ = instants_of(history, problem, table)
        matching = _matching(feature, history, problem, table, event)
        decides = problem.decision.is_event and noun == problem.decision.noun
        return cls(str(feature.noun), table, event, declaration, at, matching, decides, history)

    def spans(self, asked: pa.Table, problem: Problem, *, since_known: bool = False) -> _Spans:
        """When events of the rows asked about count."""
        end = _micros(asked[problem.decision.time])
        if self.declaration.as_of == "day":
            end = end // _DAY * _DAY
        if self.declaration.labelled or self.declaration.operator == "rate":
            end = end - micros(problem.final_after)
        elif self.event.arrives_within:
            end = end - micros(self.event.arrives_within)
        length = self.declaration.within or DEFAULT_SPAN
        start, known = end - micros(length), np.ones(len(end), dtype=bool)
        entity = problem.schema.entity(self.by)
        if since_known and entity is not None:
            rows = self.history[str(problem.schema.table_of(self.by))]
            place = pc.index_in(asked[id_column(self.by)].combine_chunks(), value_set=rows[entity.key].combine_chunks())
            known = place.is_valid().to_numpy(zero_copy_only=False)
            if entity.known_from:
                since = _micros(rows[entity.known_from])[place.fill_null(0).to_numpy()]
                start = np.maximum(start, since)
        return _Spans(start, end, known, length)

    def newest(
        self, asked: pa.Table, problem: Problem, which: Flags, at_most: int | None = EXTRA_EVENTS
    ) -> tuple[Flags, Flags, timedelta]:
        """The newest rows in the span of their entity that is asked about.

        Returns:
            which rows (m,), which of those asked about have any (n,), and the length of the span.
        """
        spans = self.spans(asked, problem)
        place = pc.index_in(
            self.history[self.table][self.event.of[self.by]].combine_chunks(),
            value_set=asked[id_column(self.by)].combine_chunks(),
        )
        there = place.is_valid().to_numpy(zero_copy_only=False)
        whose = place.fill_null(0).to_numpy().astype(np.int64)
        chosen = which & there & (self.at >= spans.start[whose]) & (self.at < spans.end[whose])
        rows = np.flatnonzero(chosen)
        if at_most is not None:
            rows = rows[np.lexsort((-self.at[rows], whose[rows]))]
            begins = np.r_[True, whose[rows][1:] != whose[rows][:-1]] if len(rows) else np.empty(0, dtype=bool)
            first = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0)) if len(rows) else rows
            rows = rows[np.arange(len(rows)) - first < at_most]
        chosen = np.zeros(len(chosen), dtype=bool)
        chosen[rows] = True
        reached = np.zeros(asked.num_rows, dtype=bool)
        reached[whose[rows]] = True
        return chosen, reached, spans.length


def _matching(feature: Feature, history: History, problem: Problem, name: str, event: EventTable) -> Flags:
    declaration = feature.declaration
    assert declaration is not None
    where = list(declaration.where.items())
    if not where and feature.split is None:
        return np.ones(history[name].num_rows, dtype=bool)
    placed = history[name].append_column("_place", pa.array(np.arange(history[name].num_rows)))
    widened = event.model_copy(update={"columns": {**event.columns, "_place": event.columns[event.unique_by[0]]}})
    tables = {**problem.tables, name: widened}
    wide = problem.model_copy(update={"tables": tables})
    events = canonical_events({**as_tables(history), name: ibis.memtable(placed)}, wide, event.event)
    paths = [path for path, _ in where] + ([feature.split[0]] if feature.split else [])
    events, names = with_paths(events, event, paths, as_tables(history), problem.schema)
    for path, asked in where:
        events = events.filter(comparison(events[names[path]], kind_at(event, path, problem.schema), asked))
    if feature.split:
        events = events.filter(events[names[feature.split[0]]].cast("string") == feature.split[1])
    found = np.zeros(history[name].num_rows, dtype=bool)
    found[events.select("_place").to_pyarrow()["_place"].to_numpy()] = True
    return found


def _micros(times: pa.ChunkedArray) -> Integers:
    return np.asarray(times.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(), dtype=np.int64)
