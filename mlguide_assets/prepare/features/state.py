"""What is known of every entity at an instant, and the features of decisions from it: the way that scores.

The state of an entity holds what the instant of a decision does not change; where the decision is later than the state,
ages and gaps still count to the decision (`request_time.py`), and everything else is as old as the state says.
"""

from collections.abc import Collection
from datetime import datetime

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.prediction import PredictEntity
from mlguide_assets.prepare.features.aggregates import parts_of
from mlguide_assets.prepare.features.catalogue import (
    Declared,
    features_of,
    nouns_of,
    parents_of,
    time_column,
)
from mlguide_assets.prepare.features.compiling import (
    NOW,
    as_feature,
    history_value,
    with_columns_of_entities,
    with_parent,
    with_past,
)
from mlguide_assets.prepare.features.events import (
    AT,
    KNOWN,
    Tables,
    canonical_events,
    micros,
    microseconds,
    timestamp_of,
)
from mlguide_assets.prepare.features.instants import OneInstant
from mlguide_assets.prepare.features.request_time import at_request
from mlguide_assets.prepare.features.state_columns import state_features, time_names
from mlguide_assets.prepare.named import named


def entity_state(tables: Tables, problem: Declared, noun: str, as_of: datetime) -> ibis.Table:
    """What is known at an instant of every entity that exists by then.

    Args:
        noun: an entity that decisions refer to.

    Returns:
        One row per entity, ordered: `<noun>_id`, as_of, times that request time needs (`time_names`), its columns and
        its history as they are among the features; of the entity that a decision is about, its parents' history too.
    """
    instant = ibis.timestamp(as_of)
    rows = _existing(tables, problem, noun, as_of).mutate(as_of=instant.cast("timestamp(6)"))
    rows = rows.mutate({NOW: microseconds(rows.as_of)})
    own = state_features(problem, noun)
    at = OneInstant(micros(as_of.replace(tzinfo=None) - datetime(1970, 1, 1)))
    if isinstance(problem.predict, PredictEntity):
        for parent in parents_of(problem):
            rows = with_parent(rows, parent, tables, problem, instants=at)
    rows, parts = with_past(rows, own, tables, problem, instants=at)
    rows, ages = with_columns_of_entities(rows, own, tables, problem)
    times, columns = {}, {}
    names = time_names(problem)
    for feature in own:
        if feature.origin == "column":
            columns[feature.name] = as_feature(rows[f"_column_{feature.name}"])
        elif feature.origin == "history":
            columns[feature.name] = history_value(feature, rows, parts, problem)
        elif feature.name in ages:
            times[names[feature.name]] = timestamp_of(rows[ages[feature.name]])
        else:
            (newest,) = parts_of(feature, problem).values()
            times[names[feature.name]] = timestamp_of(rows[parts[newest]])
    return rows.select(id_column(noun), "as_of", *named(times), *named(columns)).order_by(id_column(noun))


def from_states(rows: ibis.Table, problem: Declared, *, kept: tuple[str, ...] = ()) -> ibis.Table:
    """Features of decisions of whose entities the state is known.

    Args:
        rows: the columns of the states of all entities, the time of the decision (`catalogue.time_column`) and the
            columns of the event that are known.
        kept: other columns to keep.

    Returns:
        `<noun>_id`s, the time, `kept`, and the features.
    """
    time, names = time_column(problem), time_names(problem)
    at = microseconds(rows[time])
    values = {}
    for feature in features_of(problem):
        if feature.origin == "request":
            assert feature.declaration is not None
            since = microseconds(rows[names[feature.name]]) if feature.name in names else None
            values[feature.name] = at_request(feature.declaration, at, since)
        else:
            values[feature.name] = as_feature(rows[feature.name])
    ids = [id_column(noun) for noun in nouns_of(problem)]
    return rows.select(*dict.fromkeys([*ids, time, *kept]), *named(values))


def features_of_choices(units: ibis.Table, candidates: ibis.Table, problem: Declared) -> ibis.Table:
    """Features of every pair of a unit and a candidate, at the instant of their states.

    Args:
        units: the states of units, as of one instant.
        candidates: the states of what is chosen among, as of the same.

    Returns:
        The ids of both, the time, `as_of`, and the features.
    """
    pairs = units.cross_join(candidates.drop("as_of"))
    return from_states(pairs.mutate({time_column(problem): pairs.as_of}), problem, kept=("as_of",))


def columns_of_choice(candidate: Collection[str], problem: Declared) -> set[str]:
    """Of the columns of `features_of_choices`, those that depend on the candidate; all others depend on the unit.

    Args:
        candidate: the columns of the states of candidates.
    """
    names = time_names(problem)
    counted = {feature.name for feature in features_of(problem) if names.get(feature.name) in candidate}
    return {*candidate, *counted} - {"as_of"}


def _existing(tables: Tables, problem: Declared, noun: str, as_of: datetime) -> ibis.Table:
    """The ids of the entities that exist at an instant; of those that no table declares, that an event named before."""
    schema, instant, name = problem.schema, ibis.timestamp(as_of), id_column(noun)
    table = schema.entity(noun)
    if table is not None:
        rows = tables[str(schema.table_of(noun))]
        if table.known_from:
            rows = rows.filter(~(rows[table.known_from].cast("timestamp") > instant).fill_null(False))
        return rows.filter(rows[table.key].notnull()).select({name: table.key}).distinct()
    found = []
    for event in schema.event_tables.values():
        if noun in event.of:
            rows = canonical_events(tables, problem, event.event)
            seen = (rows[AT] < microseconds(instant)) & (rows[KNOWN] < microseconds(instant))
            found.append(rows.filter(seen, rows[name].notnull()).select(name))
    result = found[0]
    for each in found[1:]:
        result = result.union(each)
    return result.distinct()
