"""The events that a declared feature looks at, in the history of some entities: which, and when they count."""

from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.features import Declaration
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EventTable
from mlguide_assets.prepare.features.catalogue import Feature, event_of
from mlguide_assets.prepare.features.events import canonical_events, comparison, kind_at, micros, with_paths
from mlguide_assets.statistics.arrays import Flags, Integers
from mlguide_assets.train.some_units import History, as_tables, instants_of

EXTRA_EVENTS = 2
"""Enough to move every risk that frequent events move, and still what some units really get."""

DEFAULT_SPAN = timedelta(days=7)
"""In which events are added or changed where a feature looks at all of the past."""

_DAY = micros(timedelta(days=1))


@dataclass(frozen=True, eq=False)
class Spans:
    """Of each row asked about: the span that its feature looks at, [start, end), and whether its entity is known."""

    start: Integers
    end: Integers
    known: Flags
    length: timedelta


@dataclass(frozen=True, eq=False)
class Past:
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
    def of(cls, feature: Feature, declaration: Declaration, history: History, problem: Problem) -> "Past":
        noun = event_of(declaration, problem)
        table, event = str(problem.schema.table_of(noun)), problem.schema.event(noun)
        at, _ = instants_of(history, problem, table)
        matching = _matching(feature, history, problem, table, event)
        decides = problem.decision.is_event and noun == problem.decision.noun
        return cls(str(feature.noun), table, event, declaration, at, matching, decides, history)

    def spans(self, asked: pa.Table, problem: Problem, *, since_known: bool = False) -> Spans:
        """When events of the rows asked about count."""
        end = microseconds_of(asked[problem.decision.time])
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
                since = microseconds_of(rows[entity.known_from])[place.fill_null(0).to_numpy()]
                start = np.maximum(start, since)
        return Spans(start, end, known, length)

    def before(
        self, asked: pa.Table, problem: Problem, which: Flags, *, default: timedelta | None = DEFAULT_SPAN
    ) -> tuple[Integers, Integers, timedelta | None]:
        """The rows that count for the entity that is asked about.

        Args:
            which: of the rows of the table (m,).
            default: how far is looked back where the declaration does not say; None: to the beginning.

        Returns:
            their places, of each row of the table whose it is (m,), as a place among those asked about, and the span.
        """
        spans = self.spans(asked, problem)
        place = pc.index_in(
            self.history[self.table][self.event.of[self.by]].combine_chunks(),
            value_set=asked[id_column(self.by)].combine_chunks(),
        )
        there = place.is_valid().to_numpy(zero_copy_only=False)
        whose = place.fill_null(0).to_numpy().astype(np.int64)
        length = self.declaration.within or default
        chosen = which & there & (self.at < spans.end[whose])
        if length is not None:
            chosen &= self.at >= spans.start[whose]
        return np.flatnonzero(chosen), whose, length

    def newest(self, asked: pa.Table, problem: Problem, which: Flags) -> tuple[Flags, Flags]:
        """The newest `EXTRA_EVENTS` rows in the span of their entity that is asked about.

        Returns:
            which rows (m,), and which of those asked about have any (n,).
        """
        rows, whose, _ = self.before(asked, problem, which)
        rows = rows[np.lexsort((-self.at[rows], whose[rows]))]
        begins = np.r_[True, whose[rows][1:] != whose[rows][:-1]] if len(rows) else np.empty(0, dtype=bool)
        first = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0)) if len(rows) else rows
        return self.marked(rows[np.arange(len(rows)) - first < EXTRA_EVENTS], whose, asked)

    def marked(self, rows: Integers, whose: Integers, asked: pa.Table) -> tuple[Flags, Flags]:
        """Rows by their places, and those asked about that have any, as masks: (m,) and (n,)."""
        chosen, reached = np.zeros(len(self.at), dtype=bool), np.zeros(asked.num_rows, dtype=bool)
        chosen[rows] = True
        reached[whose[rows]] = True
        return chosen, reached

    def codes(self, path: str, problem: Problem) -> Integers:
        """A number for each value of a column of the events, or of an entity that they name (m,); -1 for none."""
        events, names = _placed(self.history, problem, self.table, self.event, [path])
        found = events.select("_place", value=events[names[path]].cast("string")).to_pyarrow()
        values = found["value"].combine_chunks().dictionary_encode().indices.fill_null(-1)
        codes = np.full(len(self.at), -1, dtype=np.int64)
        codes[found["_place"].to_numpy()] = values.to_numpy()
        return codes


def _matching(feature: Feature, history: History, problem: Problem, name: str, event: EventTable) -> Flags:
    declaration = feature.declaration
    assert declaration is not None
    where = list(declaration.where.items())
    if not where and feature.split is None:
        return np.ones(history[name].num_rows, dtype=bool)
    paths = [path for path, _ in where] + ([feature.split[0]] if feature.split else [])
    events, names = _placed(history, problem, name, event, paths)
    for path, asked in where:
        events = events.filter(comparison(events[names[path]], kind_at(event, path, problem.schema), asked))
    if feature.split:
        events = events.filter(events[names[feature.split[0]]].cast("string") == feature.split[1])
    found = np.zeros(history[name].num_rows, dtype=bool)
    found[events.select("_place").to_pyarrow()["_place"].to_numpy()] = True
    return found


def _placed(
    history: History, problem: Problem, name: str, event: EventTable, paths: list[str]
) -> tuple[ibis.Table, dict[str, str]]:
    """Canonical events with the columns of paths, as `with_paths` has them, and the place of each in its table."""
    placed = history[name].append_column("_place", pa.array(np.arange(history[name].num_rows)))
    widened = event.model_copy(update={"columns": {**event.columns, "_place": event.columns[event.unique_by[0]]}})
    wide = problem.model_copy(update={"tables": {**problem.tables, name: widened}})
    events = canonical_events({**as_tables(history), name: ibis.memtable(placed)}, wide, event.event)
    return with_paths(events, event, paths, as_tables(history), problem.schema)


def microseconds_of(times: pa.ChunkedArray) -> Integers:
    return np.asarray(times.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(), dtype=np.int64)
