"""Decision rows: what is asked about, when, and how it ended.

Either every event of a kind, or every entity at regular cut-offs. These rows are what features are looked up for.
Computing features is the work of prepare/features.
"""

from datetime import date, datetime, timedelta
from typing import Protocol

import ibis

from mlguide_assets.define.decision import final_after, id_column
from mlguide_assets.define.prediction import Condition, PredictEntity, PredictEvent
from mlguide_assets.define.schema import EntityTable, Schema
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.decisions.cut_offs import CutOffs, counts_at
from mlguide_assets.prepare.features.catalogue import Declared, time_column
from mlguide_assets.prepare.features.events import (
    AT,
    KNOWN,
    POSITIVE,
    Tables,
    canonical_events,
    column_name,
    comparison,
    kind_at,
    micros,
    microseconds,
    times_of,
    timestamp_of,
    with_paths,
)
from mlguide_assets.prepare.named import named

MATURED_AT = "matured_at"


class Deciding(Declared, Protocol):
    """What decision rows follow from."""

    @property
    def history_start(self) -> date: ...


def decision_rows(tables: Tables, problem: Deciding, *, clock: datetime | ibis.Value) -> ibis.Table:
    """All decisions up to the data's clock.

    Args:
        tables: by their names in the problem file: ids, numbers, texts, flags, and times in UTC without a zone. The
            column of a label holds the text of the positive, of the negative, or null.
        clock: how far the data have come, UTC: what happens later is not known. Of events, it may be an expression.

    Returns:
        `<noun>_id` of each entity that the decision is about, its time (`catalogue.time_column`), the label under the
        name that the problem has for it (1, 0, or null while it has not matured), and `matured_at`: when the outcome is
        final. Of events, what makes them unique and `predict.known` follow. In any order: few need one, and
        an engine would sort them for all.
    """
    if isinstance(problem.predict, PredictEvent):
        return _each_event(tables, problem, problem.predict, clock)
    assert isinstance(clock, datetime)
    return _at_cut_offs(tables, problem, problem.predict, cut_offs_of(tables, problem, problem.predict, clock), clock)


def _each_event(tables: Tables, problem: Deciding, predict: PredictEvent, clock: datetime | ibis.Value) -> ibis.Table:
    event = problem.schema.event(predict.each)
    rows = canonical_events(tables, problem, predict.each)
    ids = [id_column(noun) for noun in event.of]
    names = [column_name(event, name) for name in (*event.unique_by, *predict.known) if name != event.own_time]
    own = [name for name in dict.fromkeys(names) if name not in ids]
    outcomes = outcomes_of(rows[AT], rows[POSITIVE], problem, clock=clock)
    return rows.select(*ids, times_of(rows, event).name(time_column(problem)), *named(outcomes), *own)


def outcomes_of(
    at: ibis.Value, positive: ibis.Value, problem: Deciding, *, clock: datetime | ibis.Value
) -> dict[str, ibis.Value]:
    """What is known of the outcomes of events: the label, and when it is final, by the names of their columns.

    Args:
        at: when they happened, in microseconds since 1970.
        positive: of `canonical_events`; null: not known.
    """
    final = at + micros(final_after(problem.schema, problem.predict))
    label = ibis.ifelse(final <= _literal(clock), positive.cast("int8"), ibis.null("int8"))
    return {problem.predict.label.column: label, MATURED_AT: timestamp_of(final)}


def asked_about(tables: Tables, problem: Deciding, at: datetime) -> ibis.Table:
    """The entities that a decision at a cut-off is about: those that exist then and meet `where`; their ids."""
    predict = problem.predict
    assert isinstance(predict, PredictEntity)
    key = id_column(predict.each)
    cut_offs = CutOffs(micros(at - datetime(1970, 1, 1)), micros(predict.every), number=1)
    return _asked_about(tables, problem, predict, cut_offs).select(key)


def cut_offs_of(tables: Tables, problem: Deciding, predict: PredictEntity, clock: datetime) -> CutOffs:
    """The cut-offs from the first event that counts, or `history_start` where that is later, to the clock."""
    nouns = sorted({condition.count for condition in (predict.label, predict.where, predict.having) if condition})
    firsts = [
        canonical_events(tables, problem, noun).aggregate({AT: lambda events: events[AT].min()}) for noun in nouns
    ]
    found = firsts[0].union(*firsts[1:]) if len(firsts) > 1 else firsts[0]
    first = found[AT].min().to_pyarrow().as_py()
    start = midnight(problem.history_start)
    if first is None:
        return CutOffs(first=0, every=micros(predict.every), number=0)
    start = max(start, datetime(1970, 1, 1) + timedelta(microseconds=first))
    return CutOffs.between(start, clock, every=predict.every, anchor=midnight(predict.anchor or problem.history_start))


def _literal(instant: datetime | ibis.Value) -> ibis.Value:
    return microseconds(ibis.timestamp(instant) if isinstance(instant, datetime) else instant)


def _at_cut_offs(
    tables: Tables, problem: Deciding, predict: PredictEntity, cut_offs: CutOffs, clock: datetime
) -> ibis.Table:
    """What is asked about at each cut-off, with the count of its future."""
    key = id_column(predict.each)
    rows = _asked_about(tables, problem, predict, cut_offs)
    final = cut_offs.instant(rows.cut_off) + micros(final_after(problem.schema, predict))
    rows = rows.mutate(final=final, matured=final <= _literal(clock))
    if predict.having is not None:
        met = _meeting(rows, _future(tables, problem, predict, predict.having, cut_offs), predict.having, key)
        rows = met.union(rows.filter(~rows.matured).anti_join(met, [key, "cut_off"]))
    rows = _with_label(rows, _future(tables, problem, predict, predict.label, cut_offs), predict.label, key)
    at = time_column(problem)
    decided = {at: cut_offs.time(rows.cut_off), predict.label.column: rows.label, MATURED_AT: timestamp_of(rows.final)}
    return rows.select(key, *named(decided))


def _asked_about(tables: Tables, problem: Deciding, predict: PredictEntity, cut_offs: CutOffs) -> ibis.Table:
    """Every entity that exists at a cut-off and meets `where`: its id and `cut_off`."""
    rows = _existing(tables, problem, predict.each, cut_offs)
    if predict.where is None:
        return rows
    past = _past(tables, problem, predict, predict.where, cut_offs)
    return _meeting(rows, past, predict.where, id_column(predict.each))


def _existing(tables: Tables, problem: Deciding, noun: str, cut_offs: CutOffs) -> ibis.Table:
    """Which entities exist at which cut-off: their id and `cut_off`, each pair once."""
    schema = problem.schema
    declared, key = schema.entity(noun), id_column(noun)
    dated = declared is not None and (declared.known_from or declared.history)
    ranges = (
        _declared(tables, schema, declared, cut_offs) if declared and dated else _seen(tables, problem, noun, cut_offs)
    )
    return counts_at(ranges, key).drop("events")


def _declared(tables: Tables, schema: Schema, declared: EntityTable, cut_offs: CutOffs) -> ibis.Table:
    """From when to when each row of an entity's table holds, in numbers of cut-offs."""
    rows = tables[schema.table_of(declared.entity) or ""]
    never: ibis.Value = ibis.literal(cut_offs.number, "int64")
    start: ibis.Value = ibis.literal(0, "int64")
    stop = never
    if declared.known_from:
        start = cut_offs.not_before(microseconds(rows[declared.known_from])).fill_null(0)
    if declared.history:
        valid = cut_offs.not_before(microseconds(rows[declared.history.from_])).fill_null(0)
        start = ibis.greatest(start, valid)
        stop = cut_offs.not_before(microseconds(rows[declared.history.to])).fill_null(never)
    return rows.select(rows[declared.key].name(id_column(declared.entity)), start=start, stop=stop)


def _seen(tables: Tables, problem: Deciding, noun: str, cut_offs: CutOffs) -> ibis.Table:
    """From the first cut-off after the first event that anybody knew of, in numbers of cut-offs."""
    key = id_column(noun)
    concerned = [table.event for table in problem.schema.event_tables.values() if noun in table.of]
    events = [canonical_events(tables, problem, event).select(key, KNOWN) for event in concerned]
    every = events[0].union(*events[1:]) if len(events) > 1 else events[0]
    first = every.filter(every[key].notnull()).group_by(key).aggregate(known=lambda table: table[KNOWN].min())
    return first.select(key, start=cut_offs.after(first.known), stop=ibis.literal(cut_offs.number, "int64"))


def _past(
    tables: Tables, problem: Deciding, predict: PredictEntity, condition: Condition, cut_offs: CutOffs
) -> ibis.Table:
    """Events of each entity before each cut-off: at in [cut-off - within, cut-off), known before the cut-off."""
    events = _counted(tables, problem, predict, condition)
    stop: ibis.Value = ibis.literal(cut_offs.number, "int64")
    if condition.within is not None:
        stop = cut_offs.after(events[AT] + micros(condition.within))
    key = id_column(predict.each)
    return counts_at(events.select(key, start=cut_offs.after(events[KNOWN]), stop=stop), key)


def _future(
    tables: Tables, problem: Deciding, predict: PredictEntity, condition: Condition, cut_offs: CutOffs
) -> ibis.Table:
    """Events of each entity from each cut-off on: at in [cut-off, cut-off + within)."""
    events = _counted(tables, problem, predict, condition)
    start: ibis.Value = ibis.literal(0, "int64")
    if condition.within is not None:
        start = cut_offs.after(events[AT] - micros(condition.within))
    key = id_column(predict.each)
    return counts_at(events.select(key, start=start, stop=cut_offs.after(events[AT])), key)


def _counted(tables: Tables, problem: Deciding, predict: PredictEntity, condition: Condition) -> ibis.Table:
    event, schema = problem.schema.event(condition.count), problem.schema
    events = canonical_events(tables, problem, condition.count)
    events, names = with_paths(events, event, condition.where, tables, schema)
    for path, asked in condition.where.items():
        events = events.filter(comparison(events[names[path]], kind_at(event, path, schema), asked))
    return events.filter(events[id_column(predict.each)].notnull())


def _meeting(rows: ibis.Table, counts: ibis.Table, condition: Condition, key: str) -> ibis.Table:
    """The rows whose count meets a condition; a row without a count has 0."""
    if condition.at_least is not None:
        return rows.semi_join(counts.filter(counts.events >= condition.at_least), [key, "cut_off"])
    return rows.anti_join(counts.filter(counts.events > condition.at_most), [key, "cut_off"])


def _with_label(rows: ibis.Table, counts: ibis.Table, label: Condition, key: str) -> ibis.Table:
    """Add the label: 1 where the count is reached (or not exceeded), else 0; null while it is not final."""
    found = counts.rename(counted_id=key, counted_at="cut_off")
    joined = rows.left_join(found, (rows[key] == found.counted_id) & (rows.cut_off == found.counted_at))
    events = joined.events.fill_null(0)
    positive = events >= label.at_least if label.at_least is not None else events <= label.at_most
    value = ibis.ifelse(joined.matured, positive.cast("int8"), ibis.null("int8"))
    return joined.mutate(label=value)
