"""Tables as the compiler sees them: events with their instants, conditions on them, columns of entities at an instant.

Instants are int64 microseconds since 1970, UTC, here and in all modules beside.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import ibis

from mlguide_assets.define.conditions import kind_of
from mlguide_assets.define.decision import id_column
from mlguide_assets.define.prediction import Comparison, PredictEvent
from mlguide_assets.define.schema import EntityTable, EventTable, Schema
from mlguide_assets.define.values import as_flag, as_instant
from mlguide_assets.prepare.features.catalogue import Declared
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.sources.spellings import is_among, read_texts

Tables = Mapping[str, ibis.Table]
"""By their names in the problem file, with its columns."""

_EPOCH = "1970-01-01 00:00:00"
AT, KNOWN, POSITIVE = "_at", "_known", "_positive"
"""Of canonical events. A source may have columns that are called so without the underscore."""
HAPPENED, WRITTEN = "_happened", "_written"
"""The same as `AT` and `KNOWN`, beside columns of the source."""


def micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def microseconds(time: ibis.Value) -> ibis.Value:
    """A time as int64 since 1970."""
    return time.delta(ibis.timestamp(_EPOCH), unit="microsecond")


def timestamp_of(microseconds: ibis.Value) -> ibis.Value:
    """The time of an int64 since 1970."""
    return ibis.timestamp(_EPOCH) + microseconds.as_interval("us")


_WIDTHS = (86_400_000_000, 1_000_000, 1)
"""Of the spans that instants are counted by, in microseconds: a day, a second, an instant."""


def instants_at(times: ibis.Column, places: Sequence[int]) -> list[datetime]:
    """The instants that have these places, from 0 on, in the order of time.

    They are counted, not sorted, for which all of them would have to be in one place: by day, within the days that
    matter by second, and there one by one. Three queries, however many places.

    Args:
        times: not null.

    >>> at = ibis.memtable({"at": [datetime(2026, 1, 3), datetime(2026, 1, 1), datetime(2026, 1, 2)]})["at"]
    >>> instants_at(at, [1])
    [datetime.datetime(2026, 1, 2, 0, 0)]
    """
    rows = times.as_table().select(at=microseconds(times))
    found, wider = [(0, place) for place in places], None
    for width in _WIDTHS if places else ():
        keyed = rows.mutate(bucket=rows["at"] // width, span=ibis.literal(0) if wider is None else rows["at"] // wider)
        keyed = keyed.filter(keyed.span.isin({span for span, _ in found}))
        counted = keyed.group_by("span", "bucket").aggregate(rows=keyed.count()).order_by("span", "bucket")
        counts: dict[int, list[tuple[int, int]]] = {}
        for row in counted.to_pyarrow().to_pylist():
            counts.setdefault(row["span"], []).append((row["bucket"], row["rows"]))
        found, wider = [_holding(counts[span], place) for span, place in found], width
    return [datetime.fromisoformat(_EPOCH) + timedelta(microseconds=instant) for instant, _ in found]


def _holding(counts: Iterable[tuple[int, int]], place: int) -> tuple[int, int]:
    """Of buckets with as many rows each, the one that holds a place, and the place within it."""
    for bucket, rows in counts:
        if place < rows:
            return bucket, place
        place -= rows
    raise ValueError("there are fewer rows than places")


def column_name(event: EventTable, column: str) -> str:
    """What a column of an event table is called among canonical events: an id by its noun, all else as in the file.

    A name that canonical events have themselves, in whatever case, gets the event's noun in front.
    """
    by_column = {name: noun for noun, name in event.of.items()}
    if column in by_column:
        return id_column(by_column[column])
    own = {AT, KNOWN, POSITIVE, *map(id_column, event.of)}
    return f"{event.event}_{column}" if column.lower() in own else column


def canonical_events(tables: Tables, problem: Declared, noun: str) -> ibis.Table:
    """The events of a kind that have a time.

    Returns:
        `<noun>_id` for every entity that it names; `AT`, when it happened, and `KNOWN`, when that was written, both
        int64 microseconds since 1970; its other columns; `POSITIVE` (null: not known) where it is what is predicted.
    """
    schema = problem.schema
    event = schema.event(noun)
    rows = with_instants(tables[str(schema.table_of(noun))], event, tables, schema)
    columns = {column_name(event, column): rows[column] for column in event.columns if column in rows.columns}
    columns |= {id_column(entity): rows[column] for entity, column in event.of.items()}
    at, known = rows[HAPPENED], rows[WRITTEN]
    columns |= {AT: at, KNOWN: known}
    predict = problem.predict
    if isinstance(predict, PredictEvent) and predict.each == noun:
        label = rows[predict.label.column].cast("string")
        columns[POSITIVE] = ibis.cases(
            (label == predict.label.positive, True), (label == predict.label.negative, False)
        )
    return rows.select(columns).filter(lambda t: t[AT].notnull())


def times_of(rows: ibis.Table, event: EventTable) -> ibis.Value:
    """When canonical events happened, as times: those of the table itself where it has them, since an engine passes
    over the files and row groups of other times, and over none by a time that it first has to compute.
    """
    if event.own_time is None:
        return timestamp_of(rows[AT])
    return rows[column_name(event, event.own_time)].cast("timestamp")


def with_instants(rows: ibis.Table, event: EventTable, tables: Tables, schema: Schema) -> ibis.Table:
    """Rows of an event table with `HAPPENED` and `WRITTEN`, in microseconds since 1970."""
    if event.own_time is None:
        entity, column = event.at.split(".")
        parent = schema.entity(entity)
        assert parent is not None
        parents = tables[str(schema.table_of(entity))]
        parents = parents.select(_parent=parent.key, _parent_time=parents[column])
        rows = rows.left_join(parents, rows[event.of[entity]] == parents["_parent"]).drop("_parent")
        instant = rows["_parent_time"]
    else:
        instant = rows[event.own_time]
    at = microseconds(instant.cast("timestamp"))
    known = at
    if event.known_at:
        known = ibis.greatest(at, ibis.coalesce(microseconds(rows[event.known_at].cast("timestamp")), at))
    elif event.arrives_within:
        known = at + micros(event.arrives_within)
    return rows.mutate({HAPPENED: at, WRITTEN: known})


def with_paths(
    rows: ibis.Table, event: EventTable, paths: Iterable[str], tables: Tables, schema: Schema
) -> tuple[ibis.Table, dict[str, str]]:
    """Events with the columns that conditions look at.

    Args:
        rows: canonical events.
        paths: `column` of the event, or `entity.column` of an entity that it names, as valid when it happened.

    Returns:
        rows, and what the column of each path is called.
    """
    names: dict[str, str] = {}
    by_noun: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        if path in event.columns:
            names[path] = column_name(event, path)
        else:
            noun, _, column = path.partition(".")
            by_noun.setdefault(noun, []).append(column)
            names[path] = f"_{noun}_{column}"
    for noun, columns in by_noun.items():
        wanted = {f"_{noun}_{column}": column for column in columns}
        rows = with_entity(rows, noun, wanted, tables, schema, kept_before_known=True)
    return rows, names


def with_entity(
    rows: ibis.Table,
    noun: str,
    wanted: Mapping[str, str],
    tables: Tables,
    schema: Schema,
    *,
    kept_before_known: bool,
    instant: str = AT,
) -> ibis.Table:
    """Rows with columns of an entity, as valid at each row's instant; null where there is no such entity.

    Args:
        rows: `<noun>_id` and the instant.
        wanted: name here: column of the entity's table.
        kept_before_known: whether the columns are known before the entity exists.
    """
    table = schema.entity(noun)
    assert table is not None
    source = tables[str(schema.table_of(noun))]
    columns = {f"_value_{name}": source[column] for name, column in wanted.items()}
    times = {"_since": table.known_from, "_written": table.known_at}
    columns |= {
        name: microseconds(source[column].cast("timestamp")) for name, column in times.items() if column is not None
    }
    if table.history:
        return _with_valid(rows, noun, wanted, source, columns, table, instant)
    found = source.select(source[table.key].name("_found"), *named(columns))
    joined = rows.left_join(found, rows[id_column(noun)] == found["_found"])
    exists: ibis.Value = ibis.literal(True)
    if table.known_from and not kept_before_known:
        exists = exists & ~(joined["_since"] > joined[instant]).fill_null(False)
    if table.known_at:
        exists = exists & (joined["_written"] < joined[instant]).fill_null(False)
    always = not table.known_at and (kept_before_known or not table.known_from)
    values = {
        name: joined[f"_value_{name}"] if always else ibis.ifelse(exists, joined[f"_value_{name}"], ibis.null())
        for name in wanted
    }
    return joined.select(*rows.columns, *named(values))


def _with_valid(
    rows: ibis.Table,
    noun: str,
    wanted: Mapping[str, str],
    source: ibis.Table,
    columns: Mapping[str, ibis.Value],
    table: EntityTable,
    instant: str,
) -> ibis.Table:
    """`with_entity` where an entity has several rows, each valid in [from, to): of two, the one that began later."""
    assert table.history is not None
    begun = microseconds(source[table.history.from_].cast("timestamp"))
    ended = microseconds(source[table.history.to].cast("timestamp"))
    versions = source.select(
        source[table.key].name("_found"), begun.name("_begun"), ended.name("_ended"), *named(columns)
    )
    key = id_column(noun)
    asked = rows.select(_asked=key, _asked_at=instant).distinct()
    valid = [
        asked["_asked"] == versions["_found"],
        (versions["_begun"] <= asked["_asked_at"]) | versions["_begun"].isnull(),
        (versions["_ended"] > asked["_asked_at"]) | versions["_ended"].isnull(),
    ]
    if table.known_from:
        valid.append((versions["_since"] <= asked["_asked_at"]) | versions["_since"].isnull())
    if table.known_at:
        valid.append(versions["_written"] < asked["_asked_at"])
    found = asked.inner_join(versions, valid)
    newest = ibis.row_number().over(
        group_by=["_asked", "_asked_at"], order_by=[ibis.desc("_begun", nulls_first=False), ibis.asc("_ended")]
    )
    found = found.mutate(_place=newest).filter(lambda t: t["_place"] == 0)
    joined = rows.left_join(found, [rows[key] == found["_asked"], rows[instant] == found["_asked_at"]])
    return joined.select(*rows.columns, *(joined[f"_value_{name}"].name(name) for name in wanted))


def comparison(value: ibis.Value, kind: str, asked: Comparison) -> ibis.Value:
    """Whether a column fulfils a condition; an empty value never does."""
    conditions: list[ibis.Value] = []
    if asked.one_of:
        conditions.append(is_one_of(value, kind, asked.one_of))
    if asked.not_:
        conditions.append(~is_one_of(value, kind, asked.not_))
    if asked.at_least is not None:
        conditions.append(value.cast("float64") >= asked.at_least)
    if asked.at_most is not None:
        conditions.append(value.cast("float64") <= asked.at_most)
    result = conditions[0]
    for each in conditions[1:]:
        result = result & each
    return result.fill_null(False)


def is_one_of(value: ibis.Value, kind: str, texts: tuple[str, ...]) -> ibis.Value:
    """Numbers are compared as numbers, flags as flags in any spelling, times as instants (a day is all of them), all
    else as text; null where there is none.

    Args:
        texts: such as `define/conditions.py` lets a column of this kind be compared with.
    """
    if kind in ("number", "integer"):
        return value.cast("float64").isin([float(text) for text in texts])
    if kind == "flag":
        return value.cast("boolean").isin([as_flag(text) for text in texts])
    if kind == "time":
        at, asked = value.cast("timestamp"), [as_instant(text) for text in texts]
        days = [each for each in asked if not isinstance(each, datetime)]
        instants = [each for each in asked if isinstance(each, datetime)]
        return at.date().isin(days) | at.isin(instants)
    # Texts to compare with have one spelling, which ids need not have.
    text = read_texts(value) if kind == "id" else value.cast("string")
    return text == texts[0] if len(texts) == 1 else is_among(text, texts)


def kind_at(event: EventTable, path: str, schema: Schema) -> str:
    return str(kind_of(event, path, schema))
