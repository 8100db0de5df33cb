"""What had happened to entities before given instants: aggregates over strictly earlier events.

One way serves all of history, a look-up at one instant, and the rows of one more day. Events that no frame separates
are reduced to one row first: see `instants.py`. Then DuckDB's range windows run over these rows and the requested
instants. Where the requested rows are the events themselves, the windows run over them as they are.

Events that are written later than they happen, each in its own time, are another matter: see `late.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.prepare.features.aggregates import (
    Frame,
    Measure,
    Part,
    Selection,
    Stream,
    merged,
    reduced,
)
from mlguide_assets.prepare.features.catalogue import Declared
from mlguide_assets.prepare.features.events import (
    AT,
    KNOWN,
    POSITIVE,
    Tables,
    canonical_events,
    column_name,
    comparison,
    kind_at,
    with_paths,
)
from mlguide_assets.prepare.features.instants import ANY, DAYS, INSTANT, OF, Instants, unioned
from mlguide_assets.prepare.named import named

_ASKED = "_asked"
"""Whether a row of the past is at an instant that is asked about."""
_ALL_BEFORE = Frame(None, 1)


@dataclass(frozen=True)
class Events:
    """The events of a stream, with what conditions look at.

    Attributes:
        rows: `_of`, at, known, positive where there are labels, and the columns of `names`.
        names: what the column of each path is called.
    """

    stream: Stream
    rows: ibis.Table
    names: Mapping[str, str]
    problem: Declared

    def chosen(self, selection: Selection, rows: ibis.Table | None = None) -> ibis.Value | None:
        """Whether an event is selected; None: all are."""
        rows = self.rows if rows is None else rows
        event = self.problem.schema.event(self.stream.event)
        conditions = [
            comparison(rows[self.names[path]], kind_at(event, path, self.problem.schema), asked)
            for path, asked in selection.where
        ]
        if selection.present is not None:
            conditions.append(rows[self.names[selection.present]].notnull())
        if selection.labelled == "known":
            conditions.append(rows[POSITIVE].notnull())
        elif selection.labelled:
            is_positive = rows[POSITIVE].fill_null(False)
            negative = (~rows[POSITIVE]).fill_null(False)
            conditions.append(is_positive if selection.labelled == "positive" else negative)
        return both(*conditions)

    def value(self, measure: Measure, rows: ibis.Table | None = None) -> ibis.Value:
        rows = self.rows if rows is None else rows
        if measure.column is None:
            return None
        value = rows[self.names[measure.column]]
        return value.cast("int64") if value.type().is_boolean() else value

    def numbered(self, selection: Selection) -> ibis.Table:
        """The selected events of each entity with their place, from 0: by time, then by what makes them unique, then
        by all else. What is last among events at one instant so depends on nothing but the events.
        """
        chosen = self.chosen(selection)
        rows = self.rows if chosen is None else self.rows.filter(chosen)
        event = self.problem.schema.event(self.stream.event)
        unique = [
            column_name(event, column) for column in event.unique_by if column_name(event, column) in rows.columns
        ]
        rest = sorted(set(rows.columns) - {OF, AT, KNOWN, *unique})
        return rows.mutate(_place=ibis.row_number().over(group_by=OF, order_by=[AT, *unique, *rest]))


def both(*conditions: ibis.Value | None) -> ibis.Value | None:
    given = [each for each in conditions if each is not None]
    if not given:
        return None
    result = given[0]
    for each in given[1:]:
        result = result & each
    return result


def events_of(stream: Stream, parts: Iterable[Part], tables: Tables, problem: Declared, *, spine: ibis.Table) -> Events:
    """The events of a stream that name an entity of the spine, with what its parts look at and nothing else.

    Args:
        spine: has the column `_of`.
    """
    event = problem.schema.event(stream.event)
    rows = canonical_events(tables, problem, stream.event)
    measures = {part.measure for part in parts}
    paths = [path for measure in measures for path in measure.selection.paths]
    paths += [measure.column for measure in measures if measure.column]
    of = id_column(stream.by)
    asked = spine.select(_asked_of=OF).distinct()
    # Before the columns of entities are looked up, for which the others would be looked up, too.
    rows = rows.semi_join(asked, rows[of] == asked["_asked_of"])
    rows, names = with_paths(rows, event, sorted(set(paths)), tables, problem.schema)
    kept = {AT, KNOWN, *names.values(), *([POSITIVE] if POSITIVE in rows.columns else [])}
    if any(measure.how == "last" for measure in measures):
        kept |= {column_name(event, column) for column in event.unique_by if event.own_time != column}
    return Events(stream, rows.select(rows[of].name(OF), *sorted(kept)), names, problem)


def windowed_parts(parts: Iterable[Part]) -> list[Part]:
    """The parts that windows compute: of a last value, how many events there were, which say its place."""
    needed: dict[Part, None] = {}
    for part in parts:
        if part.measure.how == "last":
            count = Part(part.stream, Measure("count", None, part.measure.selection), part.frame)
            needed |= {count.whole: None, count: None}
        else:
            needed[part] = None
    return list(needed)


def values_at(spine: ibis.Table, events: Events, parts: Mapping[Part, str], *, instants: Instants = ANY) -> ibis.Table:
    """The parts of one stream at given instants.

    Args:
        spine: `_of` and `_instant`, each pair once.
        parts: of the stream, with the names of their columns.
        instants: what is known of the instants.

    Returns:
        spine with the parts.
    """
    windowed = {part: f"_w{place}" for place, part in enumerate(windowed_parts(parts))}
    edges = {edge for part in windowed for edge in part.frame.edges}
    known = DAYS if events.stream.by_day else instants
    rows = _past(events, windowed, spine, lambda rows: known.placed(rows, spine, edges))
    columns = {
        name: _over(merged(part.measure, rows[_measure_name(part, windowed)]), part, OF, one_per_instant=True)
        for part, name in windowed.items()
    }
    found = rows.mutate(columns).filter(lambda t: t[_ASKED])
    found = found.select(OF, *columns, found[AT].name(INSTANT))
    return with_last(found, events, parts, windowed)


def _measure_name(part: Part, parts: Mapping[Part, str]) -> str:
    """What the reduced column of a part is called: parts that differ in their frames share it."""
    if part.measure.how == "distinct":
        return f"_d{list(parts).index(part)}"
    measures = list(dict.fromkeys(each.measure for each in parts))
    return f"_m{measures.index(part.measure)}"


def _past(
    events: Events, parts: Mapping[Part, str], spine: ibis.Table, placed: Callable[[ibis.Table], ibis.Table]
) -> ibis.Table:
    """One row per entity and place in time, of events and of the spine's instants: `_of`, at, whether it is asked
    about, and the reduced measures.
    """
    asked = spine.select(OF, spine[INSTANT].name(AT), ibis.literal(True).name(_ASKED))
    measures = {_measure_name(part, parts): part.measure for part in parts if part.measure.how != "distinct"}
    distinct = {_measure_name(part, parts): part for part in parts if part.measure.how == "distinct"}
    at_places = replace(events, rows=placed(events.rows.mutate(_exact=events.rows[AT])))
    tables = [_reduced(at_places, measures, asked) if measures else asked]
    if distinct:
        # Values that no frame separates are one before their steps are looked for, which leave at places of their own.
        steps = placed(unioned([_steps(at_places, part, name) for name, part in distinct.items()]))
        tables.append(steps.group_by(OF, AT).aggregate({name: steps[name].sum().cast("int64") for name in distinct}))
    if len(tables) == 1:
        return tables[0]
    # Windows cost as many rows as they run over, so the tables share theirs.
    rows = unioned(tables)
    kinds = measures | {name: part.measure for name, part in distinct.items()}
    columns = {name: merged(kind, rows[name]) for name, kind in kinds.items()}
    return rows.group_by(OF, AT).aggregate({_ASKED: rows[_ASKED].any(), **columns})


def _reduced(events: Events, measures: Mapping[str, Measure], asked: ibis.Table) -> ibis.Table:
    """Measures over the events at each place, and the instants that are asked about, of which most are such places."""
    rows = unioned([events.rows, asked])
    asked_about = rows[_ASKED].count()
    reductions: dict[str, ibis.Value] = {_ASKED: asked_about > 0}
    for name, measure in measures.items():
        chosen = events.chosen(measure.selection, rows)
        if measure.how == "newest":
            reductions[name] = rows["_exact"].max(where=chosen)
        elif measure.how == "count" and chosen is None:
            # An instant is no event. Both counts cost less than a condition.
            reductions[name] = rows.count() - asked_about
        else:
            reductions[name] = reduced(measure, rows, chosen, events.value(measure, rows))
    return rows.group_by(OF, AT).aggregate(reductions)


def _steps(events: Events, part: Part, name: str) -> ibis.Table:
    """Where the number of different values rises and falls, so that its sum up to an instant is that number.

    A value is there from its event on, until the event leaves the frame or the same value comes again.

    Returns:
        `_of`, at, and under the name 1 or -1.
    """
    measure, frame = part.measure, part.frame
    rows = events.rows.mutate(_value=events.value(measure))
    chosen = both(events.chosen(measure.selection, rows), rows["_value"].notnull())
    rows = rows.filter(chosen).select(OF, "_value", AT).distinct()
    if frame.reach is None:
        first = rows.group_by(OF, "_value").aggregate({AT: rows[AT].min()})
        return first.select(OF, AT, ibis.literal(1, "int64").name(name))
    # Where it comes again before it has left, it neither leaves nor comes: of a value that all have, two rows stay.
    same = ibis.window(group_by=[OF, "_value"], order_by=AT)
    stays = frame.reach + 1 - frame.delay
    rows = rows.mutate(_since=rows[AT] - rows[AT].lag().over(same), _until=rows[AT].lead().over(same) - rows[AT])
    comes = rows.filter(rows["_since"].isnull() | (rows["_since"] > stays))
    leaves = rows.filter(rows["_until"].isnull() | (rows["_until"] > stays))
    begins = comes.select(OF, AT, ibis.literal(1, "int64").name(name))
    return begins.union(leaves.select(OF, (leaves[AT] + stays).name(AT), ibis.literal(-1, "int64").name(name)))


def _over(reduction: ibis.Value, part: Part, of: str, *, one_per_instant: bool = False) -> ibis.Value:
    """A reduction of the events in the frame before each row. Integer bounds on microseconds: 30 % faster in DuckDB
    than intervals on timestamps.

    Args:
        one_per_instant: whether an entity has one row at an instant at most.
    """
    frame = part.frame if part.measure.how != "distinct" else Frame(None, part.frame.delay)
    if part.frame.reach is not None and part.frame.reach < part.frame.delay:
        return ibis.null(reduction.type())
    if one_per_instant and frame == _ALL_BEFORE:
        # All rows before it, which need not be looked for.
        window = ibis.rows_window(preceding=(None, 1), group_by=of, order_by=AT)
    else:
        window = ibis.range_window(preceding=(frame.reach, frame.delay), group_by=of, order_by=AT)
    return reduction.over(window)


def over_events(rows: ibis.Table, events: Events, parts: Mapping[Part, str], of: str) -> ibis.Table:
    """Parts of a stream at its own events, where each of them is asked about.

    Args:
        rows: events with `at`, the columns of `events.names`, and the id of the entity.
        parts: neither `distinct` nor `last`.
    """
    columns = {
        name: _over(
            reduced(part.measure, rows, events.chosen(part.measure.selection, rows), events.value(part.measure, rows)),
            part,
            of,
        )
        for part, name in parts.items()
    }
    # Events that name no such entity are not the past of each other.
    return rows.mutate({name: ibis.ifelse(rows[of].isnull(), ibis.null(), value) for name, value in columns.items()})


def with_last(found: ibis.Table, events: Events, parts: Mapping[Part, str], windowed: Mapping[Part, str]) -> ibis.Table:
    """Instants with their parts: those of windows under their names, and last values looked up by their place.

    Args:
        found: `_of`, `_instant` and the columns of `windowed`.
    """
    columns = {name: found[windowed[part]] for part, name in parts.items() if part.measure.how != "last"}
    last: dict[tuple[Selection, int, int], list[Part]] = {}
    for part in parts:
        if part.measure.how == "last":
            last.setdefault((part.measure.selection, part.frame.delay, part.nth), []).append(part)
    places = {}
    for number, group in enumerate(last.values()):
        for part in group:
            count = Part(part.stream, Measure("count", None, part.measure.selection), part.frame)
            places[f"_at{number}"] = found[windowed[count.whole]].fill_null(0).cast("int64") - part.nth
            places[f"_in{number}_{part.frame.reach}"] = found[windowed[count]].fill_null(0) >= part.nth
    found = found.select(OF, INSTANT, *named(columns), *named(places))
    joined, values = found, {name: found[name] for name in columns}
    for number, ((selection, _, _), group) in enumerate(last.items()):
        numbered = _with_places(events, selection, group, number)
        at_place = [found[OF] == numbered[f"_of{number}"], found[f"_at{number}"] == numbered[f"_place{number}"]]
        joined = joined.left_join(numbered, at_place)
        for place, part in enumerate(group):
            value = numbered[f"_v{number}_{place}"]
            values[parts[part]] = ibis.ifelse(found[f"_in{number}_{part.frame.reach}"], value, ibis.null())
    return joined.select(found[OF], found[INSTANT], *(values[name].name(name) for name in parts.values()))


def _with_places(events: Events, selection: Selection, parts: Iterable[Part], number: int) -> ibis.Table:
    """The selected events of each entity by their place, with what last values look at."""
    numbered = events.numbered(selection)
    columns = {f"_v{number}_{place}": events.value(part.measure, numbered) for place, part in enumerate(parts)}
    place = numbered["_place"].name(f"_place{number}")
    return numbered.select(numbered[OF].name(f"_of{number}"), place, *named(columns))
