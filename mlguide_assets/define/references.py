"""Whether what is predicted and declared names tables, nouns and columns that there are."""

import difflib
from collections.abc import Iterable

from mlguide_assets.define.decision import TAKEN, decision_of
from mlguide_assets.define.entity_features import UNFEATURED
from mlguide_assets.define.features import Declaration, Features
from mlguide_assets.define.internal_names import INTERNAL_NAMES
from mlguide_assets.define.prediction import ColumnLabel, Condition, Predict, PredictEvent, Where
from mlguide_assets.define.schema import NUMBERS, EventTable, Schema
from mlguide_assets.english import duration, with_article


def check_references(schema: Schema, predict: Predict, features: Features) -> None:
    """Refuse a name that the tables do not have.

    Raises:
        ValueError: names the place in the file, what is given there, and what there is.
    """
    _check_case(schema)
    _check_internal_names(schema)
    _check_predict(schema, predict)
    _check_names(schema, predict, features)
    nouns = schema.event(predict.each).of if isinstance(predict, PredictEvent) else (predict.each,)
    for name, declaration in features.declared.items():
        _check_declaration(schema, tuple(nouns), f"features.declared.{name}", declaration, predict)
    if features.automatic:
        for noun in features.automatic.parents:
            _one_of("features.automatic.parents", "an entity", noun, schema.entities)
            _check_by(schema, tuple(nouns), "features.automatic.parents", noun, predict)


def _check_case(schema: Schema) -> None:
    """To DuckDB and Spark, and to some file systems, `Group` and `group` are one name."""
    if pair := _alike(schema.tables):
        raise ValueError(
            f"tables: {pair[0]} and {pair[1]} differ in case only; call one otherwise, as <new name>: "
            f"{{from: {pair[1]}, …}}"
        )
    for name, table in schema.tables.items():
        if pair := _alike(table.columns):
            kind = table.columns[pair[1]].kind
            raise ValueError(
                f"tables.{name}.columns: {pair[0]} and {pair[1]} differ in case only; call one otherwise, as "
                f"<new name>: {{kind: {kind}, name: {pair[1]}}}"
            )


def _alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that differ in case only."""
    seen: dict[str, str] = {}
    for name in names:
        if (first := seen.setdefault(name.lower(), name)) != name:
            return first, name
    return None


def _check_predict(schema: Schema, predict: Predict) -> None:
    if not isinstance(predict, PredictEvent):
        _one_of("predict.each", "an entity", predict.each, schema.entities)
        for name, condition in (("where", predict.where), ("label", predict.label), ("having", predict.having)):
            if condition is not None:
                _check_condition(schema, predict.each, f"predict.{name}", condition)
        return
    _one_of("predict.each", "an event", predict.each, schema.events)
    event = schema.event(predict.each)
    if predict.choose is not None:
        _one_of("predict.choose", f"an entity of {event.event}", predict.choose, event.of)
        if len(event.of) != 2 or schema.entity(predict.choose) is None:
            raise ValueError(
                f"predict.choose: a choice needs an event of two entities, of which {predict.choose} has a table; "
                f"{event.event} is of {', '.join(event.of)}"
            )
        if predict.known:
            raise ValueError(
                f"predict.known: the {predict.choose} is chosen before a {event.event} happens, when "
                f"{' and '.join(map(repr, predict.known))} cannot be known yet; leave out known, or leave out choose"
            )
    _one_of("predict.label.column", f"a column of {event.event}", predict.label.column, event.columns)
    _check_label(event, predict.label)
    for name in predict.known:
        _one_of("predict.known", f"a column of {event.event}", name, event.columns)
        if name == predict.label.column:
            raise ValueError(f"predict.known: {name!r} is the label, which is not known when it happens; leave it out")
        if event.columns[name].kind in UNFEATURED:
            raise ValueError(f"predict.known: {name!r} is {_never(event, name)}; leave it out")


def _never(event: EventTable, column: str) -> str:
    """Why a column of an event is no feature as it is, and what is instead."""
    if event.columns[column].kind == "time":
        return "a time, which grows with the calendar; features.declared knows calendar and age"
    noun = next((noun for noun, name in event.of.items() if name == column), None)
    if noun is None:
        return "an id, which a model would learn by heart"
    return f"the id of {with_article(noun)}, which a model would learn by heart: its past becomes features instead"


def _check_label(event: EventTable, label: ColumnLabel) -> None:
    """A limit needs numbers; and what the source's column says beside the label is not known before it is written."""
    column = event.columns[label.column]
    if label.limit is not None and column.kind not in ("number", "integer"):
        raise ValueError(
            f"predict.label.positive: a limit is for numbers, and {label.column!r} is of kind {column.kind}; list it "
            f"as a number under columns, or write its values"
        )
    if event.known_at or event.arrives_within:
        return
    others = {name: each.name or name for name, each in event.columns.items() if name != label.column}
    again = next((name for name, source in others.items() if source == (column.name or label.column)), None)
    if again:
        raise ValueError(
            f"predict.label.column: {again!r} reads the same column of the source, and would give the outcome away "
            f"before it is known; leave it out, or say when rows are complete, by arrives_within or known_at"
        )


def _check_internal_names(schema: Schema) -> None:
    """No column is called as one that computing puts beside it, which would take its place."""
    for table, each in schema.tables.items():
        for name, column in each.columns.items():
            if name.lower() in INTERNAL_NAMES:
                raise ValueError(
                    f"tables.{table}.columns: {name!r} is the name of a column that is computed beside these; call "
                    f"it otherwise, as <new name>: {{kind: {column.kind}, name: {column.name or name}}}"
                )


def _check_names(schema: Schema, predict: Predict, features: Features) -> None:
    """No key and no feature is called as another column of tables of features or scores, in whatever case."""
    decision = decision_of(schema, predict)
    for name in features.declared:
        if name in TAKEN or name in {key.lower() for key in decision.keys}:
            raise ValueError(f"features.declared: {_taken(name)}; give it another name")
    if not isinstance(predict, PredictEvent):
        return
    event = schema.event(predict.each)
    ids = [name for name in event.unique_by if name not in event.of.values()]
    named = [("predict.known", name) for name in predict.known] + [(f"the key of {event.event}", n) for n in ids]
    for name in predict.known:
        if name.lower() in features.declared:
            raise ValueError(
                f"predict.known: {name!r} and features.declared.{name.lower()} would be columns of one name; rename "
                f"the feature"
            )
    for place, name in named:
        if name.lower() in TAKEN or (name.lower() in decision.ids and name not in event.of.values()):
            column, table = event.columns[name], schema.table_of(event.event)
            raise ValueError(
                f"{place}: {_taken(name)}; call this one otherwise under tables.{table}.columns, as "
                f"<new name>: {{kind: {column.kind}, name: {column.name or name}}}, and here by its new name"
            )


def _taken(name: str) -> str:
    return f"tables of features and scores have a column {name.lower()!r} of their own"


def _check_condition(schema: Schema, entity: str, place: str, condition: Condition) -> None:
    _one_of(f"{place}.count", "an event", condition.count, schema.events)
    event = schema.event(condition.count)
    _one_of(f"{place}.count", f"an event of {entity}", entity, event.of, given=condition.count)
    _check_where(schema, f"{place}.where", event, condition.where)


def _check_where(schema: Schema, place: str, event: EventTable, where: Where) -> None:
    """A condition is on a column of the event, or on `entity.column` of an entity that it names."""
    tables = {noun: table for noun in event.of if (table := schema.entity(noun)) is not None}
    known = [*event.columns, *(f"{noun}.{column}" for noun, table in tables.items() for column in table.columns)]
    for path in where:
        _one_of(place, f"a column of {event.event} or of an entity that it names", path, known)


def _check_declaration(
    schema: Schema, nouns: tuple[str, ...], place: str, declared: Declaration, predict: Predict
) -> None:
    operator, operand = declared.operator, declared.operand
    if operator == "calendar":
        return
    if operator == "age":
        _check_age(schema, nouns, place, operand)
        return
    _one_of(f"{place}.by", "an entity", str(declared.by), schema.entities)
    if (operator == "rate" or declared.labelled) and not isinstance(predict, PredictEvent):
        raise ValueError(f"{place}: the outcome of a decision is only known per event; count the events instead")
    event = schema.event(predict.each) if operator == "rate" else _event_of(schema, place, operand)
    if declared.labelled and event.event != predict.each:
        raise ValueError(f"{place}.labelled: only {predict.each} has an outcome, not {event.event}; leave it out")
    _one_of(f"{place}.by", f"an entity of {event.event}", str(declared.by), event.of)
    _check_by(schema, nouns, f"{place}.by", str(declared.by), predict)
    if declared.column is not None:
        _one_of(f"{place}.{operator}", f"a column of {event.event}", declared.column, event.columns)
        _refuse_label(place, declared.column, event, predict)
        numeric = event.columns[declared.column].kind in NUMBERS
        if operator in ("sum", "mean", "min", "max") and not numeric:
            raise ValueError(f"{place}.{operator}: {declared.column!r} is no number; its kind is not number or flag")
        if operator == "last" and event.columns[declared.column].kind in UNFEATURED:
            raise ValueError(f"{place}.last: {declared.column!r} is {_never(event, declared.column)}")
    _check_where(schema, f"{place}.where", event, declared.where)
    for column in declared.where:
        _refuse_label(f"{place}.where", column, event, predict)
    if declared.split is not None:
        _check_split(schema, place, declared.split, event, predict)


def _check_by(schema: Schema, nouns: tuple[str, ...], place: str, by: str, predict: Predict) -> None:
    """A feature is by an entity of the decision, or by one that an event of the decision's entity names."""
    if by in nouns:
        return
    named = [] if isinstance(predict, PredictEvent) else [each.of for each in schema.event_tables.values()]
    if not any({by, predict.each} <= of.keys() for of in named):
        raise ValueError(f"{place}: {by!r} is not an entity of the decision; there is {', '.join(nouns)}")


def _refuse_label(place: str, column: str, event: EventTable, predict: Predict) -> None:
    if isinstance(predict.label, ColumnLabel) and event.event == predict.each and column == predict.label.column:
        raise ValueError(
            f"{place}: {column!r} is the label, which is known only {duration(predict.label.window)} "
            "later; write "
            f"rate: label, or labelled: positive"
        )


def _check_age(schema: Schema, nouns: tuple[str, ...], place: str, operand: str) -> None:
    noun, _, column = operand.partition(".")
    _one_of(f"{place}.age", "an entity of a decision", noun, nouns)
    table = schema.entity(noun)
    if table is None or (not column and table.known_from is None):
        raise ValueError(f"{place}.age: {noun} has no known_from, so it has no age; write age: {noun}.<time column>")
    if column:
        _one_of(f"{place}.age", f"a time of {noun}", column, table.of_kind("time"))


def _check_split(schema: Schema, place: str, split: str, event: EventTable, predict: Predict) -> None:
    """A split is by a category or flag of the event, or by `entity.column` of an entity that it names."""
    _refuse_label(f"{place}.split", split, event, predict)
    tables = {noun: table for noun in event.of if (table := schema.entity(noun)) is not None}
    named = (f"{noun}.{column}" for noun, table in tables.items() for column in table.of_kind("category", "flag"))
    known = [*event.of_kind("category", "flag"), *named]
    _one_of(f"{place}.split", f"a category of {event.event} or of an entity that it names", split, known)


def _event_of(schema: Schema, place: str, operand: str) -> EventTable:
    noun = operand.partition(".")[0]
    _one_of(place, "an event", noun, schema.events)
    return schema.event(noun)


def _one_of(place: str, what: str, name: str, known: Iterable[str], given: str | None = None) -> None:
    known = list(known)
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(known[:20]) or 'none'}"
    raise ValueError(f"{place}: {given or name!r} is not {what}; {hint}")
