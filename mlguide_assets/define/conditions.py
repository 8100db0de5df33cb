"""Whether the values that a problem file compares columns with can be values of these columns.

That there are rows with such values is not known here: prepare/profiling/conditions.py asks the data.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mlguide_assets.define.contracts import OneOf, Rule
from mlguide_assets.define.features import Features
from mlguide_assets.define.prediction import Comparison, Predict, PredictEntity, PredictEvent, Where
from mlguide_assets.define.schema import ColumnKind, EventTable, Schema
from mlguide_assets.define.values import as_flag, as_instant


@dataclass(frozen=True)
class Asked:
    """A column that is compared with values.

    Attributes:
        place: where the file says so.
        event: the noun of the event whose rows are compared.
        path: a column of the event, or `entity.column` of an entity that it names.
    """

    place: str
    event: str
    path: str
    comparison: Comparison


def comparisons_of(predict: Predict, features: Features) -> Iterator[Asked]:
    """Every condition of a problem, in the order of its file."""
    if isinstance(predict, PredictEntity):
        for key, condition in (("where", predict.where), ("label", predict.label), ("having", predict.having)):
            if condition is not None:
                yield from _of_where(f"predict.{key}", condition.count, condition.where)
    for name, declared in features.declared.items():
        place = f"features.declared.{name}"
        event = predict.each if declared.operator == "rate" else declared.operand.partition(".")[0]
        yield from _of_where(place, event, declared.where)
        if declared.split is not None and declared.values:
            yield Asked(f"{place}.values", event, declared.split, Comparison(one_of=declared.values))


def _of_where(place: str, event: str, where: Where) -> Iterator[Asked]:
    for path, comparison in where.items():
        yield Asked(f"{place}.where.{path if path.isidentifier() else repr(path)}", event, path, comparison)


def kind_of(event: EventTable, path: str, schema: Schema) -> ColumnKind | None:
    """The kind of a column of an event, or of `entity.column` of an entity that it names; None where there is none."""
    if path in event.columns:
        return event.columns[path].kind
    noun, _, column = path.partition(".")
    table = schema.entity(noun) if noun in event.of else None
    return table.columns[column].kind if table is not None and column in table.columns else None


def check_comparisons(schema: Schema, predict: Predict, features: Features, contracts: tuple[Rule, ...]) -> None:
    """Refuse a value that a column of its kind cannot have. All columns are known to the schema.

    Raises:
        ValueError: names the place in the file, the kind of the column and what can be written.
    """
    for asked in comparisons_of(predict, features):
        kind = kind_of(schema.event(asked.event), asked.path, schema)
        if kind is not None and (fault := fault_of(asked.path, kind, asked.comparison)):
            raise ValueError(f"{asked.place}: {fault}")
    for place, rule in enumerate(contracts):
        if isinstance(rule, OneOf) and not _is_of_label(rule, schema, predict):
            kind = schema.tables[rule.table].columns[rule.column].kind
            if fault := fault_of(rule.column, kind, Comparison(one_of=rule.values)):
                raise ValueError(f"contracts.{place}.values: {fault}")


def _is_of_label(rule: OneOf, schema: Schema, predict: Predict) -> bool:
    """Whether a rule is of the column of the outcome, which holds texts whatever its kind."""
    if not isinstance(predict, PredictEvent):
        return False
    return (rule.table, rule.column) == (schema.table_of(predict.each), predict.label.column)


def fault_of(path: str, kind: ColumnKind, asked: Comparison) -> str | None:
    """Why a column of a kind cannot be compared so, and what to write; None where it can.

    >>> fault_of("gift", "flag", Comparison(one_of=("maybe",)))
    "'gift' is a flag, and 'maybe' is none; write true or false"
    """
    if kind == "time":
        return f"{path!r} is a time, and conditions compare no times; leave it out: within says which span counts"
    if kind in _KINDS or (asked.at_least is None and asked.at_most is None):
        return fault_of_values(path, kind, (*asked.one_of, *asked.not_))
    return (
        f"{path!r} is of kind {kind}, which has no order: at_least and at_most are for numbers; write the values that "
        f"it must have, or list it as a number under columns"
    )


def fault_of_values(path: str, kind: ColumnKind, texts: Iterable[str]) -> str | None:
    """Which of some values a column of a kind can never have, and what to write; None where it can have all.

    >>> fault_of_values("age", "integer", ["18", "18.5"])
    "'age' is a whole number, and '18.5' is none; write one, such as 2"
    """
    what, is_one, such = _KINDS.get(kind, ("a text", lambda _: True, ""))
    wrong = next((text for text in texts if not is_one(text)), None)
    return None if wrong is None else f"{path!r} is {what}, and {wrong!r} is none; write {such}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _is_whole(text: str) -> bool:
    return _is_number(text) and float(text).is_integer()


_KINDS: dict[ColumnKind, tuple[str, Callable[[str], bool], str]] = {
    "number": ("a number", _is_number, "one, such as 2 or 0.5"),
    "integer": ("a whole number", _is_whole, "one, such as 2"),
    "flag": ("a flag", lambda text: as_flag(text) is not None, "true or false"),
    "time": ("a time", lambda text: as_instant(text) is not None, "a day or an instant in UTC, such as 2024-05-31"),
}
"""Kinds of columns that cannot have every text as a value: what they hold, whether a text is one, and what to write."""
