"""Which features have a direction, as numbers have: there can be more of them. How they are raised is in `train/`."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlguide_assets.define.conditions import kind_of
from mlguide_assets.define.contracts import OneOf
from mlguide_assets.define.decision import decision_of
from mlguide_assets.define.entity_features import entity_features
from mlguide_assets.define.features import Declaration, Features, split_names
from mlguide_assets.define.prediction import Predict, PredictEvent
from mlguide_assets.define.schema import NUMBERS, Schema


def movable_features(schema: Schema, predict: Predict, features: Features, contracts: Sequence[Any]) -> list[str]:
    """The features whose direction can be tested: those that a change of the source raises."""
    declared = [
        name
        for written, each in features.declared.items()
        if why_without_direction(each, schema) is None
        for name in _names(written, each, schema, predict, contracts)
    ]
    return [*declared, *(name for name in _columns(schema, predict, features) if name not in features.declared)]


def why_without_direction(declaration: Declaration, schema: Schema) -> str | None:
    """Why there is no more and less of a declared feature, as a part of a sentence; None where there is."""
    if declaration.operator == "calendar":
        return f"{declaration.operand} comes again with every turn of the calendar, and is not raised by anything"
    if declaration.operator == "last":
        noun, _, column = declaration.operand.partition(".")
        event = schema.event(noun)
        if kind_of(event, column, schema) not in NUMBERS:
            return f"the values of {declaration.operand} are no numbers, and have no order"
    return None


def _names(
    written: str, declaration: Declaration, schema: Schema, predict: Predict, contracts: Sequence[Any]
) -> Iterator[str]:
    """What the features of a declaration are called, as far as the problem file says the values of a `split`."""
    if declaration.split is None:
        yield written
        return
    values = declaration.values or stated_values(declaration, schema, predict, contracts) or ()
    yield from (name for name, _ in split_names(written, values))


def stated_values(
    declaration: Declaration, schema: Schema, predict: Predict, contracts: Sequence[Any]
) -> tuple[str, ...] | None:
    """The values that the contract allows the column of a `split`; None where it says nothing."""
    noun, _, column = str(declaration.split).rpartition(".")
    event = predict.each if declaration.operator == "rate" else declaration.operand.partition(".")[0]
    place = (schema.table_of(noun or event), column)
    stated = (each.values for each in contracts if isinstance(each, OneOf) and (each.table, each.column) == place)
    values = next(stated, None)
    return None if values is None else tuple(values)


def _columns(schema: Schema, predict: Predict, features: Features) -> Iterator[str]:
    """Columns of numbers that are features as they are."""
    if isinstance(predict, PredictEvent):
        known = schema.event(predict.each).of_kind(*NUMBERS)
        yield from (name for name in predict.known if name in known)
    names = entity_features(schema, predict, features.declared)
    for noun in decision_of(schema, predict).nouns:
        table = schema.entity(noun)
        yield from (names[noun, column] for column in (table.of_kind(*NUMBERS) if table else ()))
