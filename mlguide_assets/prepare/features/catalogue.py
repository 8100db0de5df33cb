"""Every feature of a problem, once: its name, kind, origin and meaning. Nothing here reads data.

Declarations with `split` are written out, one per value; `compiling.py` turns each into columns.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mlguide_assets.define.conditions import kind_of
from mlguide_assets.define.decision import decision_of
from mlguide_assets.define.directions import stated_values
from mlguide_assets.define.entity_features import UNFEATURED, entity_features
from mlguide_assets.define.features import Declaration, Features, split_names
from mlguide_assets.define.prediction import Predict, PredictEvent
from mlguide_assets.define.schema import ColumnKind, Schema, TableName
from mlguide_assets.english import plural
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.wording import CALENDAR, comparison_in_words, nth_newest, span_in_words

Kind = Literal["number", "category", "text"]
Origin = Literal["column", "known", "history", "request"]
_KINDS: dict[ColumnKind, Kind] = {
    "number": "number",
    "integer": "number",
    "flag": "number",
    "category": "category",
    "text": "text",
}
_AT_REQUEST = ("since_last", "age", "calendar")


class Declared(Protocol):
    """What the compiler reads of a problem."""

    @property
    def schema(self) -> Schema: ...

    @property
    def predict(self) -> Predict: ...

    @property
    def features(self) -> Features: ...

    @property
    def contracts(self) -> Sequence[Any]: ...


class UnresolvedFeatureError(InputError):
    """A declaration that cannot be compiled: what is missing, and what to write."""


@dataclass(frozen=True)
class Feature:
    """One column of the features.

    Attributes:
        kind: `text` is carried along and never given to a model: a subject is as good as an id.
        origin: a column of an entity; a column of the event that is `known` when it happens; the `history` of an
            entity; or what follows from the instant, at `request` time.
        noun: the entity whose column or history it is; None for `known` and the calendar.
        column: of the entity or the event, where it is one.
        declaration: what the problem file says; of `split`, without it.
        split: `column` or `entity.column` of the counted event, and the value it must have.
    """

    name: str
    kind: Kind
    origin: Origin
    description: str
    noun: str | None = None
    column: str | None = None
    declaration: Declaration | None = None
    split: tuple[str, str] | None = None

    @property
    def for_models(self) -> bool:
        return self.kind != "text"


def features_of(problem: Declared) -> tuple[Feature, ...]:
    """All features of a problem, in the order of their columns.

    Raises:
        UnresolvedFeatureError: two have one name, or the values of a `split` are not known yet.

    >>> from mlguide_assets.define.loading import load_problem
    >>> [(feature.name, feature.origin) for feature in features_of(load_problem("fraud"))][:2]
    [('TX_AMOUNT', 'known'), ('customer_payments_1d', 'history')]
    """
    features = (*_entity_columns(problem), *_known_columns(problem), *_declared(problem))
    times = Counter(feature.name.lower() for feature in features)
    twice = [feature.name for feature in features if times[feature.name.lower()] > 1]
    if twice:
        raise UnresolvedFeatureError(
            f"features: two are called {' and '.join(map(repr, twice[:2]))}, whatever the case; rename one under "
            f"features.declared, or its column under tables, as <new name>: {{kind: …, name: {twice[0]}}}"
        )
    return features


def nouns_of(problem: Declared) -> tuple[str, ...]:
    """The entities that a decision refers to: the one that it is made for first."""
    return decision_of(problem.schema, problem.predict).nouns


def parents_of(problem: Declared) -> tuple[str, ...]:
    """The entities that are known only from the newest event of the decision's entity, where a feature is by them."""
    own = nouns_of(problem)
    asked = [each.by for each in problem.features.declared.values() if each.by and each.by not in own]
    return tuple(noun for noun in problem.schema.entities if noun in asked)


def parent_events(problem: Declared, noun: str) -> tuple[str, str, list[str]]:
    """How a parent is found: the entity of the decision, and the events that name both.

    Returns:
        noun of the entity, noun of the parent, events in the order of the file.
    """
    child = problem.predict.each
    events = [table.event for table in problem.schema.event_tables.values() if {child, noun} <= table.of.keys()]
    return child, noun, events


def time_column(problem: Declared) -> str:
    """The name of the decision's time."""
    return decision_of(problem.schema, problem.predict).time


def _entity_columns(problem: Declared) -> Iterator[Feature]:
    names = entity_features(problem.schema, problem.predict, problem.features.declared)
    for noun in nouns_of(problem):
        table = problem.schema.entity(noun)
        for name, column in table.columns.items() if table else ():
            if column.kind not in UNFEATURED:
                text = column.description or f"{name} of the {noun}."
                yield Feature(names[noun, name], _KINDS[column.kind], "column", text, noun, name)


def _known_columns(problem: Declared) -> Iterator[Feature]:
    if not isinstance(problem.predict, PredictEvent):
        return
    event = problem.schema.event(problem.predict.each)
    for name in problem.predict.known:
        column = event.columns[name]
        text = column.description or f"{name} of the {event.event}."
        yield Feature(name, _KINDS[column.kind], "known", text, None, name)


def _declared(problem: Declared) -> Iterator[Feature]:
    for name, declaration in problem.features.declared.items():
        if declaration.split is None:
            yield _feature(name, declaration, None, problem)
            continue
        values = split_values(name, declaration, problem)
        for each, value in split_names(name, values):
            yield _feature(each, declaration, (declaration.split, value), problem)


def event_of(declaration: Declaration, problem: Declared) -> str:
    """The noun of the event that is aggregated."""
    if declaration.operator == "rate":
        return problem.predict.each
    return declaration.operand.partition(".")[0]


def split_values(name: str, declaration: Declaration, problem: Declared) -> tuple[str, ...]:
    """The values that `split` makes features of: its own, or those of the contract.

    Raises:
        UnresolvedFeatureError: neither says them.
    """
    if declaration.values:
        return declaration.values
    values = values_of_contract(declaration, problem)
    if values is not None:
        return values
    table, column = _split_column(declaration, problem)
    raise UnresolvedFeatureError(
        f"features.declared.{name}: the values of {declaration.split} are not known; "
        f"write values: [...] or a contract {{table: {table}, rule: one_of, column: {column}, ...}}"
    )


def values_of_contract(declaration: Declaration, problem: Declared) -> tuple[str, ...] | None:
    """The values that the contract allows the column of a `split`; None where it says nothing."""
    return stated_values(declaration, problem.schema, problem.predict, problem.contracts)


def _split_column(declaration: Declaration, problem: Declared) -> tuple[TableName | None, str]:
    """The table and the column of a `split`."""
    noun, _, column = str(declaration.split).rpartition(".")
    return problem.schema.table_of(noun or event_of(declaration, problem)), column


def _feature(name: str, declaration: Declaration, split: tuple[str, str] | None, problem: Declared) -> Feature:
    kind: Kind = "number"
    if declaration.operator == "last":
        event = problem.schema.event(event_of(declaration, problem))
        kind = _KINDS[kind_of(event, str(declaration.column), problem.schema) or "text"]
    plain = declaration.model_copy(update={"split": None, "values": ()})
    text = declaration.description or in_words(declaration, split, problem)
    noun = declaration.operand.partition(".")[0] if declaration.operator == "age" else declaration.by
    origin: Origin = "request" if declaration.operator in _AT_REQUEST else "history"
    return Feature(name, kind, origin, text, noun, None, plain, split)


def in_words(declaration: Declaration, split: tuple[str, str] | None, problem: Declared) -> str:
    """What a feature says, as a sentence.

    Counted are events strictly before the decision; outcomes once they are final.

    >>> from mlguide_assets.define.loading import load_problem
    >>> in_words(Declaration(count="payment", by="customer", within="7d"), None, load_problem("fraud"))
    'Number of earlier payments of the customer, in the 7 days before.'
    """
    operator = declaration.operator
    if operator == "calendar":
        return CALENDAR[declaration.operand].meaning
    if operator == "age":
        noun, _, since = declaration.operand.partition(".")
        return f"Days since {since or 'the start'} of the {noun}."
    event, whose, column = event_of(declaration, problem), f"of the {declaration.by}", declaration.column
    which, events = _which(declaration, split), plural(event)
    start = {
        "count": f"Number of earlier {events} {whose}{which}",
        "sum": f"Sum of {column} over earlier {events} {whose}{which}",
        "mean": f"Mean {column} of earlier {events} {whose}{which}",
        "min": f"Smallest {column} of earlier {events} {whose}{which}",
        "max": f"Largest {column} of earlier {events} {whose}{which}",
        "last": f"{column} of the {nth_newest(declaration.nth)} earlier {event} {whose}{which}",
        "distinct": f"Number of different values of {column} in earlier {events} {whose}{which}",
        "rate": f"Share of earlier {events} {whose}{which} with the positive outcome, among those known by then",
        "share": f"Share of earlier {events} {whose}{which}, among all of them",
        "since_last": f"Days since the newest earlier {event} {whose}{which}",
    }[operator]
    within = f", in the {span_in_words(declaration.within)} before" if declaration.within else ""
    as_of = ", as known at the start of the day, UTC" if declaration.as_of else ""
    return f"{start}{within}{as_of}."


def _which(declaration: Declaration, split: tuple[str, str] | None) -> str:
    said = [f"{column} {comparison_in_words(each, '= ')}" for column, each in declaration.where.items()]
    if split:
        said.append(f"{split[0]} = {split[1]}")
    if declaration.labelled:
        said.append("a known outcome" if declaration.labelled == "known" else f"a {declaration.labelled} outcome")
    return f" with {' and '.join(said)}" if said else ""
