"""Which columns a column is made from, for the tables that this stage computes and the states of entities.

All of it follows from the problem: what its decisions are, and how its features are declared. What a feature only needs
to know its row by, such as the entity of a history, is not named: it would be everywhere.
"""

from collections.abc import Iterator

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.prediction import AggregateLabel, PredictEntity
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.columns import known_features
from mlguide_assets.prepare.core_columns import entity_columns, event_columns
from mlguide_assets.prepare.features.catalogue import Feature, event_of
from mlguide_assets.prepare.features.state_columns import age_column, state_features, time_names

Source = tuple[str, str]
"""A table, and one of its columns."""

Parents = dict[str, list[Source]]
"""Column → the (table, column) that it is made from."""


def parents_of(table: str, problem: Problem) -> Parents:
    """Where each column of a table comes from; empty for a table of which it is not known."""
    nouns = {name: noun for noun, name in problem.decision.store_tables.items()}
    if table == problem.core_table:
        return _of_core(problem)
    if table == problem.features_table:
        return _keys(problem) | _of_features(known_features(problem), problem)
    if table in nouns:
        return _of_state(nouns[table], problem)
    return {}


def _keys(problem: Problem) -> Parents:
    """Of decisions: ids, time, other key columns, and the outcome."""
    decision, label = problem.decision, problem.label
    instant = list(_instant(problem))
    found: Parents = {id_column(noun): [_id_of(noun, problem)] for noun in decision.nouns}
    if isinstance(label, AggregateLabel):
        counted = [_column(label.count, path, problem) for path in label.where]
        found[label.column] = [*_time_of(label.count, problem), *counted]
        found["matured_at"] = list(_time_of(label.count, problem))
        return found
    event = str(problem.schema.table_of(decision.noun))
    own = {name: [(event, name)] for name in decision.own_keys}
    return found | own | {decision.time: instant, label.column: [(event, label.column)], "matured_at": instant}


def _of_core(problem: Problem) -> Parents:
    """Of the joined core table: the keys of decisions, the columns of their events, and of their entities."""
    keys = _keys(problem)
    if problem.decision.is_event:
        del keys["matured_at"]
    for each in (*event_columns(problem), *entity_columns(problem)):
        keys.setdefault(each.name, [(str(problem.schema.table_of(each.noun)), each.column)])
    return keys


def _of_features(features: tuple[Feature, ...], problem: Problem) -> Parents:
    # At cut-offs, the calendar follows from the problem file alone.
    found = {feature.name: list(dict.fromkeys(_sources(feature, problem))) for feature in features}
    return {name: sources for name, sources in found.items() if sources}


def _of_state(noun: str, problem: Problem) -> Parents:
    if not known_features(problem):
        return {}
    own, names = state_features(problem, noun), time_names(problem)
    lasting = tuple(each for each in own if each.origin != "request")
    times: Parents = {names[each.name]: list(_since(each, problem)) for each in own if each.name in names}
    return {id_column(noun): [_id_of(noun, problem)], **times, **_of_features(lasting, problem)}


def _sources(feature: Feature, problem: Problem) -> Iterator[Source]:
    """The columns of the source that a feature is computed from."""
    schema, declaration = problem.schema, feature.declaration
    if feature.origin == "column":
        yield str(schema.table_of(str(feature.noun))), str(feature.column)
    elif feature.origin == "known":
        yield str(schema.table_of(problem.predict.each)), str(feature.column)
    elif declaration is not None and declaration.operator == "calendar":
        yield from _instant(problem)
    elif declaration is not None:
        yield from _since(feature, problem)
        if feature.origin == "request":
            yield from _instant(problem)


def _since(feature: Feature, problem: Problem) -> Iterator[Source]:
    """What an age, a gap or a history looks at, whenever the decision is."""
    declaration = feature.declaration
    assert declaration is not None
    if declaration.operator == "age":
        column = age_column(feature.noun, declaration.operand, problem.schema)
        yield str(problem.schema.table_of(str(feature.noun))), column
        return
    event = event_of(declaration, problem)
    split = [feature.split[0]] if feature.split else []
    for path in (*([declaration.column] if declaration.column else []), *declaration.where, *split):
        yield _column(event, path, problem)
    if declaration.operator == "rate" or declaration.labelled:
        yield str(problem.schema.table_of(event)), problem.label.column
    yield from _time_of(event, problem)


def _column(event: str, path: str, problem: Problem) -> Source:
    """The column of an event, or `entity.column` of an entity that it names."""
    schema = problem.schema
    if path in schema.event(event).columns:
        return str(schema.table_of(event)), path
    noun, _, column = path.partition(".")
    return str(schema.table_of(noun)), column


def _instant(problem: Problem) -> Iterator[Source]:
    """The time of a decision; that of a cut-off is in no table."""
    if not isinstance(problem.predict, PredictEntity):
        yield from _time_of(problem.predict.each, problem)


def _time_of(event: str, problem: Problem) -> Iterator[Source]:
    table = problem.schema.event(event)
    if table.own_time:
        yield str(problem.schema.table_of(event)), table.own_time
    else:
        noun, column = table.at.split(".")
        yield str(problem.schema.table_of(noun)), column


def _id_of(noun: str, problem: Problem) -> Source:
    """The key of an entity's table; of one without a table, the column of the first event that names it."""
    schema = problem.schema
    table = schema.entity(noun)
    if table is not None:
        return str(schema.table_of(noun)), table.key
    name, event = next((name, event) for name, event in schema.event_tables.items() if noun in event.of)
    return name, event.of[noun]
