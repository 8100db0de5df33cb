"""What a feature says of a case, in words that follow from its declaration.

Such as *3 payments of the customer in the 7 days before*. What a feature is in general says
`prepare/features/catalogue.py`.
"""

from collections.abc import Callable
from typing import Any

from mlguide_assets.define.conditions import kind_of
from mlguide_assets.define.features import Declaration
from mlguide_assets.define.prediction import ColumnLabel, PredictEvent
from mlguide_assets.define.schema import ColumnKind
from mlguide_assets.define.values import as_flag
from mlguide_assets.english import counted, plural
from mlguide_assets.prepare.features.catalogue import Declared, Feature, event_of
from mlguide_assets.prepare.features.wording import CALENDAR, comparison_in_words, nth_newest, span_in_words

Phrase = Callable[[Any], str]
"""From the value of a feature, or None where there is none."""

_EXACT = 1e15
"""A float has all digits of smaller numbers."""
_YES_NO: dict[bool | None, str] = {True: "yes", False: "no"}
COUNTED = "number_of_"
"""How names of columns begin that count what follows."""


def phrase_of(feature: Feature, problem: Declared) -> Phrase:
    """How the values of a feature are said.

    Args:
        problem: the one that the feature is of.
    """
    declaration = feature.declaration
    if declaration is None:
        return _of_column(feature, problem)
    if declaration.operator == "calendar":
        return CALENDAR[declaration.operand].phrase
    if declaration.operator == "age":
        return _of_age(declaration)
    return _of_history(feature, declaration, problem)


def in_words(name: str) -> str:
    """A name of a column as people say it.

    >>> in_words("words_in_description"), in_words("TX_AMOUNT")
    ('words in description', 'tx amount')
    """
    spaced = name.replace("_", " ").strip()
    return spaced.lower() if spaced.isupper() else spaced


def number(value: Any) -> str:
    """A number with as many digits as say something; a text as it is.

    >>> number(12.25), number(0.0421), number(1234567.0), number(3), number(3.5e38)
    ('12.2', '0.0421', '1,234,567', '3', '3.5e+38')
    """
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if abs(value) < _EXACT and (value.is_integer() or abs(value) >= 100):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def outcome_in_words(problem: Declared) -> str:
    """What the positive outcome is: the column that holds it, or what happens after a cut-off.

    For *2 orders at most*, such as `at most 2 orders in the 14 days after`.
    """
    label = problem.predict.label
    if isinstance(label, ColumnLabel):
        return in_words(label.column)
    after, events = f"in the {span_in_words(label.within)} after", plural(label.count)
    if label.at_least == 1 or label.at_most == 0:
        return f"{'any' if label.at_least else 'no'} {label.count} {after}"
    return f"at {'least' if label.at_least else 'most'} {label.at_least or label.at_most} {events} {after}"


def what_is_counted(feature: Feature, problem: Declared) -> str:
    """What a feature counts, without whose: `orders in 14 days`."""
    declaration = feature.declaration
    assert declaration is not None
    within = f" in {span_in_words(declaration.within)}" if declaration.within else ""
    return f"{plural(event_of(declaration, problem))}{within}"


def _of_column(feature: Feature, problem: Declared) -> Phrase:
    """A column of an entity or of the event itself: `theme food`, `3 buttons`, `member yes`."""
    name, shown = in_words(feature.name), _shown(_kind(feature, problem))

    def phrase(value: Any) -> str:
        if value is None:
            return f"{name} unknown"
        if feature.name.startswith(COUNTED) and not isinstance(value, str):
            return _many(value, in_words(feature.name.removeprefix(COUNTED)))
        return f"{name} {shown(value)}"

    return phrase


def _many(value: float, things: str) -> str:
    """So many of what a plural names."""
    one = f"{things[:-3]}y" if things.endswith("ies") else things.removesuffix("s")
    return f"{number(value)} {one if value == 1 else things}"


def _kind(feature: Feature, problem: Declared) -> ColumnKind:
    table = problem.schema.entity(feature.noun) if feature.noun else problem.schema.event(problem.predict.each)
    assert table is not None
    return table.columns[str(feature.column)].kind


def _shown(kind: ColumnKind | None) -> Callable[[Any], str]:
    """How a value of a column is said."""
    return (lambda value: _YES_NO[bool(value)]) if kind == "flag" else number


def _of_age(declaration: Declaration) -> Phrase:
    noun, _, column = declaration.operand.partition(".")

    def phrase(value: float | None) -> str:
        if value is None:
            return f"{in_words(column) or 'start'} of the {noun} unknown"
        if column:
            return f"{_days(value)} since {in_words(column)} of the {noun}"
        return f"the {noun} has existed for {_days(value)}"

    return phrase


def _days(value: float) -> str:
    return counted(round(value, 0 if abs(value) >= 10 else 1), "day")


def _of_history(feature: Feature, declaration: Declaration, problem: Declared) -> Phrase:
    event = event_of(declaration, problem)
    conditions = _conditions(feature, declaration, problem)
    which = f" with {' and '.join(conditions)}" if conditions else ""
    within = f" in the {span_in_words(declaration.within)} before" if declaration.within else ""
    known = ", as known at the start of the day" if declaration.as_of else ""
    whose, earlier = f" of the {declaration.by}", "" if within else "earlier "
    rest = f"{whose}{which}{within}{known}"
    events = f"{earlier}{plural(event)}"
    outcome = " with a known outcome" if declaration.operator == "rate" else ""
    none = f"no {earlier}{event}{whose}{which}{outcome}{within}{known}"
    column = in_words(str(declaration.column).rpartition(".")[2])
    match declaration.operator:
        case "count":
            return lambda value: f"{number(value)} {earlier}{event if value == 1 else plural(event)}{rest}"
        case "distinct":
            of = problem.schema.event(event).of.items()
            noun = next((noun for noun, ids in of if ids == declaration.column), None)
            # Columns are named in any language, and in the plural, too.
            things = plural(noun) if noun else f"values of {column}"
            return lambda value: f"{number(value)} different {things} in {events}{rest}"
        case "rate":
            of_these = f"{events}{whose}{which}{within} had {_outcome(problem)}{known}"
            return lambda value: none if value is None else f"{value:.1%} of {of_these}"
        case "share":
            of_these, nothing = f"{events}{whose}{within} had {' and '.join(conditions)}{known}", f"no {earlier}{event}"
            return lambda value: f"{nothing}{whose}{within}{known}" if value is None else f"{value:.1%} of {of_these}"
        case "since_last":
            return lambda value: none if value is None else f"last {event}{whose}{which} {_days(value)} ago{known}"
        case "last":
            nth = nth_newest(declaration.nth)
            shown = _shown(kind_of(problem.schema.event(event), str(declaration.column), problem.schema))
            return lambda value: none if value is None else f"{column} {shown(value)} in the {nth} {event}{rest}"
        case operator:
            said = {"sum": "sum of", "mean": "mean", "min": "smallest", "max": "largest"}[operator]
            return lambda value: none if value is None else f"{said} {column} {number(value)} in {events}{rest}"


def _conditions(feature: Feature, declaration: Declaration, problem: Declared) -> list[str]:
    said = [f"{_last_part(path)} {comparison_in_words(asked)}" for path, asked in declaration.where.items()]
    if feature.split:
        said.append(f"{_last_part(feature.split[0])} {feature.split[1]}")
    if declaration.labelled == "known":
        said.append("a known outcome")
    elif declaration.labelled:
        said.append(_outcome(problem, positive=declaration.labelled == "positive"))
    return said


def _outcome(problem: Declared, *, positive: bool = True) -> str:
    """The outcome as the source writes it: `unsubscribed yes`."""
    assert isinstance(problem.predict, PredictEvent)
    label, event = problem.predict.label, problem.schema.event(problem.predict.each)
    value = label.positive if positive else label.negative
    if event.columns[label.column].kind == "flag":
        value = _YES_NO.get(as_flag(value), value)
    return f"{in_words(label.column)} {value}"


def _last_part(path: str) -> str:
    """`email.theme` → theme."""
    return in_words(path.rpartition(".")[2])
