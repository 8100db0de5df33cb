"""Decision rows: what is asked about, when, and how it ended.

Either every event of a kind, or every entity at regular cut-offs. These rows are what features are looked up for.
Computing features is the work of prepare/features.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import ibis

from mlguide_assets.define.prediction import ColumnLabel, Condition, Predict, PredictEntity, PredictEvent
from mlguide_assets.define.schema import EntityTable, Schema
from mlguide_assets.prepare.decisions.conditions import filtered
from mlguide_assets.prepare.decisions.cut_offs import CutOffs, counts_at
from mlguide_assets.prepare.decisions.past_events import (
    events_of,
    id_column,
    micros_of,
    microseconds,
    time_stamp,
)

AS_OF = "as_of"
"""The time of a decision at a cut-off."""
LABEL = "label"
MATURED_AT = "matured_at"
Tables = Mapping[str, ibis.Table]


def decision_rows(
    tables: Tables, schema: Schema, predict: Predict, *, history_start: date, clock: datetime
) -> ibis.Table:
    """All decisions up to the data's clock.

    Args:
        tables: by the names of the schema: ids, numbers, texts, flags, and times in UTC without a zone. The column
            of a label holds the text of the positive, of the negative, or null.
        clock: how far the data have come, UTC: what happens later is not known.

    Returns:
        `<noun>_id` of each entity that the decision is about, its time, `label` (1, 0, or null while it has not
        matured), and `matured_at`: when the outcome is final. Of events, the time has the name of its own column
        (`at`, where it is an entity's), and their key and `predict.known` follow. Ordered by time and ids.
    """
    if isinstance(predict, PredictEvent):
        return _each_event(tables, schema, predict, clock)
    return _at_cut_offs(tables, schema, predict, cut_offs_of(tables, schema, predict, history_start, clock), clock)


def time_column(schema: Schema, predict: Predict) -> str:
    """The name of a decision's time among the columns of its row."""
    return AS_OF if isinstance(predict, PredictEntity) else schema.event(predict.each).own_time or "at"


def _each_event(tables: Tables, schema: Schema, predict: PredictEvent, clock: datetime) -> ibis.Table:
    declared = schema.event(predict.each)
    rows = events_of(tables, schema, predict.each)
    ids = [id_column(noun) for noun in declared.of]
    own = [name for name in dict.fromkeys([*declared.key, *predict.known]) if name in rows.columns and name not in ids]
    at = time_column(schema, predict)
    late = declared.arrives_within or timedelta()
    final = rows["at"] + micros_of(predict.label.window + late)
    label = ibis.ifelse(final <= _literal(clock), _outcome(rows, predict.label), ibis.null("int8"))
    named = rows.select(
        *ids,
        **{at: time_stamp(rows["at"])},
        **{LABEL: label, MATURED_AT: time_stamp(final)},
        **{n: rows[n] for n in own},
    )
    return named.order_by(at, *ids, *own)


def _outcome(rows: ibis.Table, label: ColumnLabel) -> ibis.Value:
    """1, 0, or null: whatever is neither the positive nor the negative is not known."""
    written = rows[label.column]
    return ibis.cases((written == label.positive, 1), (written == label.negative, 0)).cast("int8")


def cut_offs_of(
    tables: Tables, schema: Schema, predict: PredictEntity, history_start: date, clock: datetime
) -> CutOffs:
    """The cut-offs from the first event that counts, or `history_start` where that is later, to the clock."""
    counted = {condition.count for condition in (predict.label, predict.where, predict.having) if condition}
    firsts = [
        events_of(tables, schema, noun).aggregate(at=lambda events: events["at"].min()) for noun in sorted(counted)
    ]
    found = firsts[0].union(*firsts[1:]) if len(firsts) > 1 else firsts[0]
    first = found["at"].min().to_pyarrow().as_py()
    start = _midnight(history_start)
    if first is None:
        return CutOffs(first=0, every=micros_of(predict.every), number=0)
    start = max(start, datetime(1970, 1, 1) + timedelta(microseconds=first))
    return CutOffs.between(start, clock, every=predict.every, anchor=_midnight(predict.anchor or history_start))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _literal(instant: datetime) -> ibis.Value:
    return microseconds(ibis.timestamp(instant))


def _at_cut_offs(
    tables: Tables, schema: Schema, predict: PredictEntity, cut_offs: CutOffs, clock: datetime
) -> ibis.Table:
    """Every entity that exists at a cut-off and meets `where`, with the count of its future."""
    key = id_column(predict.each)
    rows = _existing(tables, schema, predict.each, cut_offs)
    if predict.where is not None:
        rows = _meeting(rows, _past(tables, schema, predict, predict.where, cut_offs), predict.where, key)
    final = cut_offs.micros(rows.cut_off) + micros_of(_until_final(schema, predict))
    rows = rows.mutate(final=final, matured=final <= _literal(clock))
    if predict.having is not None:
        met = _meeting(rows, _future(tables, schema, predict, predict.having, cut_offs), predict.having, key)
        rows = met.union(rows.filter(~rows.matured).anti_join(met, [key, "cut_off"]))
    rows = _with_label(rows, _future(tables, schema, predict, predict.label, cut_offs), predict.label, key)
    named = rows.select(
        key, **{AS_OF: cut_offs.time(rows.cut_off), LABEL: rows[LABEL], MATURED_AT: time_stamp(rows.final)}
    )
    return named.order_by(AS_OF, key)


def _until_final(schema: Schema, predict: PredictEntity) -> timedelta:
    """From a cut-off until all that decides its row has happened and arrived."""
    ahead = [condition for condition in (predict.label, predict.having) if condition]
    return max(
        (condition.within or timedelta()) + (schema.event(condition.count).arrives_within or timedelta())
        for condition in ahead
    )


def _existing(tables: Tables, schema: Schema, noun: str, cut_offs: CutOffs) -> ibis.Table:
    """Which entities exist at which cut-off: their id and `cut_off`, each pair once."""
    declared, key = schema.entity(noun), id_column(noun)
    dated = declared is not None and (declared.known_from or declared.history)
    ranges = (
        _declared(tables, schema, declared, cut_offs) if declared and dated else _seen(tables, schema, noun, cut_offs)
    )
    return counts_at(ranges, key).drop("events")


def _declared(tables: Tables, schema: Schema, declared: EntityTable, cut_offs: CutOffs) -> ibis.Table:
    """From when to when each row of an entity's table holds, in numbers of cut-offs."""
    rows = tables[schema.table_of(declared.entity) or ""]
    never: ibis.Value = ibis.literal(cut_offs.number, "int64")
    start: ibis.Value = ibis.literal(0, "int64")
    stop = never
    if declared.known_from:
        start = cut_offs.not_before(microseconds(rows[declared.known_from])).fill_null(never)
    if declared.history:
        valid = cut_offs.not_before(microseconds(rows[declared.history.from_])).fill_null(0)
        start = ibis.greatest(start, valid)
        stop = cut_offs.not_before(microseconds(rows[declared.history.to])).fill_null(never)
    return rows.select(**{id_column(declared.entity): rows[declared.key]}, start=start, stop=stop)


def _seen(tables: Tables, schema: Schema, noun: str, cut_offs: CutOffs) -> ibis.Table:
    """From the first cut-off after the first event that anybody knew of, in numbers of cut-offs."""
    key = id_column(noun)
    concerned = [table.event for table in schema.event_tables.values() if noun in table.of]
    events = [events_of(tables, schema, event).select(key, "known") for event in concerned]
    every = events[0].union(*events[1:]) if len(events) > 1 else events[0]
    first = every.filter(every[key].notnull()).group_by(key).aggregate(known=lambda table: table.known.min())
    return first.select(key, start=cut_offs.after(first.known), stop=ibis.literal(cut_offs.number, "int64"))


def _past(
    tables: Tables, schema: Schema, predict: PredictEntity, condition: Condition, cut_offs: CutOffs
) -> ibis.Table:
    """Events of each entity before each cut-off: at in [cut-off - within, cut-off), known before the cut-off."""
    events = _counted(tables, schema, predict, condition)
    stop: ibis.Value = ibis.literal(cut_offs.number, "int64")
    if condition.within is not None:
        stop = cut_offs.after(events["at"] + micros_of(condition.within))
    key = id_column(predict.each)
    return counts_at(events.select(key, start=cut_offs.after(events.known), stop=stop), key)


def _future(
    tables: Tables, schema: Schema, predict: PredictEntity, condition: Condition, cut_offs: CutOffs
) -> ibis.Table:
    """Events of each entity from each cut-off on: at in [cut-off, cut-off + within)."""
    events = _counted(tables, schema, predict, condition)
    start: ibis.Value = ibis.literal(0, "int64")
    if condition.within is not None:
        start = cut_offs.after(events["at"] - micros_of(condition.within))
    key = id_column(predict.each)
    return counts_at(events.select(key, start=start, stop=cut_offs.after(events["at"])), key)


def _counted(tables: Tables, schema: Schema, predict: PredictEntity, condition: Condition) -> ibis.Table:
    events = filtered(events_of(tables, schema, condition.count), condition.where)
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
    return joined.mutate(**{LABEL: value})
