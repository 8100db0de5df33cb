"""From declarations to columns: the features of decision rows, from the tables that the problem file names.

`with_features` serves all rows and any rows, `decision_features` is the faster way to all rows where a decision is an
event, `state.py` holds entities at one instant, and `request_time.py` is what is added last.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.prediction import PredictEntity, PredictEvent
from mlguide_assets.prepare.features.aggregates import DAY, Frame, Measure, Part, Selection, Stream, finished, parts_of
from mlguide_assets.prepare.features.catalogue import (
    Declared,
    Feature,
    features_of,
    parent_events,
    parents_of,
    time_column,
)
from mlguide_assets.prepare.features.events import (
    AT,
    POSITIVE,
    Tables,
    canonical_events,
    column_name,
    micros,
    microseconds,
    timestamp_of,
    with_entity,
    with_paths,
)
from mlguide_assets.prepare.features.instants import ANY, INSTANT, OF, CutOffs, Instants
from mlguide_assets.prepare.features.late import late_values_at
from mlguide_assets.prepare.features.request_time import at_request
from mlguide_assets.prepare.features.state_columns import age_column
from mlguide_assets.prepare.features.windows import (
    Events,
    events_of,
    over_events,
    values_at,
)
from mlguide_assets.prepare.named import named

NOW, TODAY = "_now", "_today"
"""The instant of a row, and the start of its day."""

REQUESTED = "_requested"
"""The instant that ages and gaps count to, where it is later than the one whose knowledge a row holds."""


def with_features(
    spine: ibis.Table,
    tables: Tables,
    problem: Declared,
    *,
    instants: Instants = ANY,
    known_until: str | None = None,
) -> ibis.Table:
    """Decision rows with their features, each as of its own instant.

    Fewer rows cost less: of events older than every window of every row there is one per entity, and entities that no
    row names are left out.

    Args:
        spine: `<noun>_id` of every entity that a decision refers to, the time (`catalogue.time_column`), and columns
            of the event that are known when it happens; any other columns stay as they are.
        tables: by their names in the problem file.
        instants: what is known of them, which is faster: `cut_offs_of`, `FEW`.
        known_until: a column of the spine with an earlier instant, whose knowledge a row holds, as rows of a feature
            store do; ages and gaps still count to the time of the decision.

    Returns:
        The columns of the spine, then the features in the order of `features_of`; one row for each of the spine.

    What a customer paid in the week before, for a payment of 26 May:

    >>> from datetime import datetime
    >>> from mlguide_assets.define.features import Features
    >>> from mlguide_assets.define.loading import load_problem
    >>> week = {"declared": {"last_week": {"count": "payment", "by": "customer", "within": "7d"}}}
    >>> fraud = load_problem("fraud").model_copy(update={"features": Features.model_validate(week)})
    >>> at, ids = [datetime(2018, 5, day) for day in (1, 20, 25)], {"CUSTOMER_ID": [7] * 3, "TERMINAL_ID": [1] * 3}
    >>> paid = {"TRANSACTION_ID": range(3), "TX_DATETIME": at, **ids, "TX_AMOUNT": [9.5] * 3, "TX_FRAUD": ["0"] * 3}
    >>> now = {"customer_id": [7], "terminal_id": [1], "TX_DATETIME": [datetime(2018, 5, 26)], "TX_AMOUNT": [20.0]}
    >>> with_features(ibis.memtable(now), {"transactions": ibis.memtable(paid)}, fraud).last_week.execute().to_list()
    [2]
    """
    features = features_of(problem)
    requested = microseconds(spine[time_column(problem)])
    rows = spine.mutate({NOW: microseconds(spine[known_until]) if known_until else requested, REQUESTED: requested})
    for parent in parents_of(problem):
        rows = with_parent(rows, parent, tables, problem, instants=instants)
    rows, parts = with_past(rows, features, tables, problem, instants=instants)
    return completed(rows, features, parts, tables, problem, kept=spine.columns)


def decision_features(tables: Tables, problem: Declared) -> ibis.Table:
    """Every event that is decided about, with its features: `with_features` of all of them, and `positive`.

    Windows run over the events themselves. What entities say is looked up after the windows, which sort all rows: at 10
    million half the time.

    Returns:
        `<noun>_id`s, the time, columns of the event that make it unique or are known when it happens, `POSITIVE` (null:
        not known), and the features.
    """
    predict = problem.predict
    assert isinstance(predict, PredictEvent)
    features = features_of(problem)
    event = problem.schema.event(predict.each)
    rows = canonical_events(tables, problem, predict.each)
    names = [column_name(event, column) for column in (*event.unique_by, *predict.known) if column != event.own_time]
    kept = list(dict.fromkeys([*map(id_column, event.of), *names]))
    parts = _all_parts(features, problem)
    direct: dict[Stream, dict[Part, str]] = {}
    for part, name in parts.items():
        if _is_direct(part, problem):
            direct.setdefault(part.stream, {})[part] = name
    paths = {path for each in direct.values() for part in each for path in _paths(part)}
    looked_at, columns = with_paths(rows, event, sorted(paths), tables, problem.schema)
    narrow = dict.fromkeys([*kept, AT, POSITIVE, *columns.values()])
    looked_at = looked_at.select(*narrow)
    for stream, own in direct.items():
        looked_at = over_events(looked_at, Events(stream, looked_at, columns, problem), own, id_column(stream.by))
    time = time_column(problem)
    found = [name for each in direct.values() for name in each.values()]
    rows = looked_at.select(*kept, *found, POSITIVE, looked_at[AT].name(NOW))
    rest = {part: name for part, name in parts.items() if not _is_direct(part, problem)}
    rows = _with_streams(rows, rest, tables, problem, instants=ANY)
    rows = rows.mutate({time: timestamp_of(rows[NOW])})
    return completed(rows, features, parts, tables, problem, kept=[*kept, time, POSITIVE])


def cut_offs_of(every: timedelta, anchor: datetime) -> CutOffs:
    """Regular cut-offs, as `with_features` takes them."""
    return CutOffs(micros(anchor.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)), micros(every))


def _is_direct(part: Part, problem: Declared) -> bool:
    stream = part.stream
    event = problem.schema.event(stream.event)
    own = stream.event == problem.predict.each and stream.by in event.of
    return own and not stream.by_day and not event.known_at and part.measure.how not in ("distinct", "last")


def _paths(part: Part) -> tuple[str, ...]:
    return (*part.measure.selection.paths, *([part.measure.column] if part.measure.column else []))


def _all_parts(features: Iterable[Feature], problem: Declared) -> dict[Part, str]:
    """Every part of these features, once, with the name of its column."""
    parts: dict[Part, str] = {}
    for feature in features:
        if feature.declaration is not None and feature.declaration.operator not in ("age", "calendar"):
            for part in parts_of(feature, problem).values():
                parts.setdefault(part, f"_p{len(parts)}")
    return parts


def with_past(
    rows: ibis.Table,
    features: Iterable[Feature],
    tables: Tables,
    problem: Declared,
    *,
    instants: Instants = ANY,
) -> tuple[ibis.Table, dict[Part, str]]:
    """Rows with the parts that features are made of.

    Args:
        rows: `_now` and the ids of the entities whose past is asked for.
    """
    parts = _all_parts(features, problem)
    return _with_streams(rows, parts, tables, problem, instants=instants), parts


def _with_streams(
    rows: ibis.Table, parts: Mapping[Part, str], tables: Tables, problem: Declared, *, instants: Instants
) -> ibis.Table:
    by_stream: dict[Stream, dict[Part, str]] = {}
    for part, name in parts.items():
        by_stream.setdefault(part.stream, {})[part] = name
    rows = rows.mutate({TODAY: rows[NOW] // DAY * DAY})
    joined = rows
    columns: dict[str, ibis.Value] = {}
    for number, (stream, own) in enumerate(by_stream.items()):
        of, instant = id_column(stream.by), TODAY if stream.by_day else NOW
        spine = rows.filter(rows[of].notnull()).select({OF: of, INSTANT: instant}).distinct()
        events = events_of(stream, own, tables, problem, spine=spine)
        if problem.schema.event(stream.event).known_at:
            found = late_values_at(spine, events, own)
        else:
            found = values_at(spine, events, own, instants=instants)
        found = found.select(found[OF].name(f"_of{number}"), found[INSTANT].name(f"_at{number}"), *own.values())
        joined = joined.left_join(found, [rows[of] == found[f"_of{number}"], rows[instant] == found[f"_at{number}"]])
        columns |= {name: found[name] for name in own.values()}
    # One chain of joins and one list of columns: Ibis takes long to write many.
    return joined.select(*(rows[name] for name in rows.columns), *named(columns)) if columns else rows


def with_parent(
    rows: ibis.Table, parent: str, tables: Tables, problem: Declared, *, instants: Instants = ANY
) -> ibis.Table:
    """Rows with the id of a parent: the one that the newest event of the decision's entity names.

    Of two kinds of events at one instant, the one that comes first in the file.
    """
    child, _, events = parent_events(problem, parent)
    newest, last = {}, {}
    for event in events:
        table = problem.schema.event(event)
        stream, column = Stream(child, event, False), table.of[parent]
        delay = micros(table.arrives_within) + 1 if table.arrives_within else 1
        chosen, frame = Selection(present=column), Frame(None, delay)
        newest[Part(stream, Measure("newest", None, chosen), frame)] = f"_newest_{event}"
        last[Part(stream, Measure("last", column, chosen), frame)] = f"_last_{event}"
    columns = rows.columns
    rows = _with_streams(rows, {**newest, **last}, tables, problem, instants=instants)
    found: ibis.Value = ibis.null(rows[next(iter(last.values()))].type())
    at: ibis.Value = ibis.null("int64")
    for time, value in zip(newest.values(), last.values(), strict=True):
        later = (rows[time] > at).fill_null(rows[time].notnull())
        found, at = ibis.ifelse(later, rows[value], found), ibis.ifelse(later, rows[time], at)
    return rows.select(*columns, found.name(id_column(parent)))


def completed(
    rows: ibis.Table,
    features: Iterable[Feature],
    parts: Mapping[Part, str],
    tables: Tables,
    problem: Declared,
    *,
    kept: Iterable[str],
) -> ibis.Table:
    """Rows that have their parts, with all features: columns of entities, history, what follows from the instant."""
    features, kept = tuple(features), list(kept)
    rows, times = with_columns_of_entities(rows, features, tables, problem)
    values = {feature.name: _value(feature, rows, parts, times, problem) for feature in features}
    return rows.select(*[name for name in kept if name not in values], *named(values))


def _value(
    feature: Feature, rows: ibis.Table, parts: Mapping[Part, str], times: Mapping[str, str], problem: Declared
) -> ibis.Value:
    declaration = feature.declaration
    if feature.origin == "column":
        return as_feature(rows[f"_column_{feature.name}"])
    if feature.origin == "history":
        return history_value(feature, rows, parts, problem)
    if declaration is None:
        return as_feature(rows[feature.name])
    since = None
    if declaration.operator == "age":
        since = rows[times[feature.name]]
    elif declaration.operator == "since_last":
        since = rows[parts[parts_of(feature, problem)["newest"]]]
    return at_request(declaration, rows[REQUESTED if REQUESTED in rows.columns else NOW], since)


def history_value(feature: Feature, rows: ibis.Table, parts: Mapping[Part, str], problem: Declared) -> ibis.Value:
    """A feature of an entity's past, from its parts."""
    assert feature.declaration is not None
    own = {role: rows[parts[part]] for role, part in parts_of(feature, problem).items()}
    return as_feature(finished(feature.declaration, own))


def as_feature(value: ibis.Value) -> ibis.Value:
    """Models count flags as 0 and 1."""
    return value.cast("int64") if value.type().is_boolean() else value


def with_columns_of_entities(
    rows: ibis.Table, features: Iterable[Feature], tables: Tables, problem: Declared
) -> tuple[ibis.Table, dict[str, str]]:
    """Rows with what entities say at each row's instant: `_column_<feature>`, and the times that ages count from.

    Returns:
        rows, and of each age the name of its column of times, int64 microseconds.
    """
    features = tuple(features)
    wanted: dict[str, dict[str, str]] = {}
    times: dict[str, str] = {}
    for feature in features:
        if feature.origin == "column":
            wanted.setdefault(str(feature.noun), {})[f"_column_{feature.name}"] = str(feature.column)
        elif feature.declaration is not None and feature.declaration.operator == "age":
            times[feature.name] = f"_time_{feature.name}"
            column = age_column(feature.noun, feature.declaration.operand, problem.schema)
            wanted.setdefault(str(feature.noun), {})[times[feature.name]] = column
    for noun, columns in wanted.items():
        kept = is_kept_before_known(problem, noun)
        rows = with_entity(rows, noun, columns, tables, problem.schema, kept_before_known=kept, instant=NOW)
    since = {name: microseconds(rows[name].cast("timestamp")) for name in times.values()}
    return rows.mutate(since), times


def is_kept_before_known(problem: Declared, noun: str) -> bool:
    """Whether an entity has columns before it exists: where the contract accepts events before their entity.

    A contract that only warns of them says that the times are wrong, not the entities.
    """
    table = problem.schema.entity(noun)
    if table is None or isinstance(problem.predict, PredictEntity):
        return False
    places = problem.schema.table_of(problem.predict.each), problem.schema.table_of(noun)
    return any(
        rule.rule == "not_before"
        and rule.action == "warn"
        and (rule.table, rule.target, rule.target_column) == (*places, table.known_from)
        for rule in problem.contracts
    )
