"""Declarations that `automatic` writes, in the notation of the problem file. Nothing here reads data.

Whatever an entity's past offers is declared: how many events, when the newest was, means, sums, extremes and last
values of numbers, shares of frequent values, and how often the past had the outcome that is predicted. What comes first
is kept first where there are too many; `resolving.py` measures, drops and caps.
"""

import re
import unicodedata
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, count
from typing import Any

from mlguide_assets.define.features import Automatic, Declaration
from mlguide_assets.define.prediction import PredictEntity, PredictEvent
from mlguide_assets.define.schema import NUMBERS, EventTable
from mlguide_assets.prepare.features.catalogue import Declared, nouns_of

LAST = 3
"""So many of the newest values are declared."""
MOST_CATEGORIES = 50
"""A category with more values than this is no feature by itself."""
LONGEST_NAME = 75
SEASONS = timedelta(days=2 * 365)
"""Shorter histories cannot separate a month from its year."""


@dataclass(frozen=True)
class Values:
    """The values of a category in an event's past.

    Attributes:
        frequent: the most frequent ones, most frequent first.
        distinct: how many there are.
    """

    frequent: tuple[str, ...]
    distinct: int


@dataclass(frozen=True)
class Profile:
    """What is known of the columns that features can be made of.

    Attributes:
        categories: by event and path: `column` of the event, or `entity.column` of an entity that it names.
        numbering: events and columns of whole numbers that are nearly all different: they name their rows.
        measured: by event and column: the category of the event that says what a number measures.
    """

    categories: Mapping[tuple[str, str], Values]
    numbering: frozenset[tuple[str, str]] = frozenset()
    measured: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """The events of one kind in the past of one entity.

    Attributes:
        parent: the entity is not the decision's own; it is the one that its newest event names.
    """

    event: EventTable
    by: str
    parent: bool

    @property
    def name(self) -> str:
        return f"{self.by}_{self.event.event}"


Named = tuple[int, str, Declaration]
"""Rank, name, declaration: smaller ranks are kept first."""


def automatic_declarations(
    problem: Declared, automatic: Automatic, profile: Profile, *, history: timedelta
) -> dict[str, Declaration]:
    """All declarations that can be made of a problem's tables, the more promising first.

    Args:
        profile: categories without an entry are left out, and numbers that name their rows.
        history: the length of the time that a model learns from.

    Returns:
        By name; one with `split` has its values.
    """
    spans = dict(zip(map(str, automatic.windows), automatic.spans, strict=True))
    found: list[Named] = [*_of_the_instant(problem, history)]
    for past in pasts_of(problem, automatic):
        found += _of_past(past, problem, profile, spans)
    found.sort(key=lambda each: each[0])
    named: dict[str, Declaration] = {}
    for _, name, declaration in found:
        named[_free(name, named)] = declaration
    return named


def _free(name: str, taken: Container[str]) -> str:
    """The name, or where it is taken (by a column that differs in letters that names do not have) with a number."""
    return next(each for each in chain([name], (f"{name}_{number}" for number in count(2))) if each not in taken)


def pasts_of(problem: Declared, automatic: Automatic) -> Iterator[Past]:
    """The pasts that are looked at: of the decision's entities, then of their parents."""
    own = nouns_of(problem)
    parents = [noun for noun in automatic.parents if noun not in own]
    for noun in (*own, *parents):
        for event in problem.schema.event_tables.values():
            if noun in event.of:
                yield Past(event, noun, noun in parents)


def category_paths(problem: Declared, event: EventTable, by: str | None = None) -> list[str]:
    """The categories of an event and of the entities that it names, but not of the entity whose past it is."""
    paths = [name for name in event.of_kind("category") if not is_label(problem, event, name)]
    for noun in event.of:
        table = problem.schema.entity(noun)
        if table is not None and noun != by:
            paths += [f"{noun}.{name}" for name in table.of_kind("category")]
    return paths


def _of_the_instant(problem: Declared, history: timedelta) -> Iterator[Named]:
    """Ages of the decision's entities, and the calendar as far as it varies and has been seen before."""
    for noun in nouns_of(problem):
        table = problem.schema.entity(noun)
        if table is None:
            continue
        if table.known_from:
            yield 0, f"{noun}_age_days", Declaration(age=noun)
        fixed = table.columns if table.static is True else table.static
        for name in table.of_kind("time"):
            if name in fixed and name != table.known_from:
                yield 0, _name(noun, "days since", name), Declaration(age=f"{noun}.{name}")
    every = problem.predict.every if isinstance(problem.predict, PredictEntity) else timedelta()
    if every < timedelta(days=1):
        yield 1, "hour", Declaration(calendar="hour")
    if every < timedelta(days=7):
        yield 1, "day_of_week", Declaration(calendar="day_of_week")
    if history >= SEASONS:
        yield 1, "month", Declaration(calendar="month")


def _of_past(past: Past, problem: Declared, profile: Profile, spans: Mapping[str, timedelta | None]) -> Iterator[Named]:
    later = 2 if past.parent else 0
    event, name, by = past.event.event, past.name, past.by
    yield 1 + later, f"{name}_days_since_last", Declaration(since_last=event, by=by)
    for window, span in spans.items():
        yield 1 + later, f"{name}_count_{window}", Declaration(count=event, by=by, within=span)
        for title, declared in _outcome(past, problem):
            yield 1 + later, f"{name}_{title}_{window}", Declaration(**declared, by=by, within=span)
    for column in past.event.of_kind(*NUMBERS):
        if not is_label(problem, past.event, column) and (event, column) not in profile.numbering:
            yield from _of_number(past, column, spans, later)
            yield from _of_measure(past, column, profile, spans, later)
    yield from _of_categories(past, problem, profile, spans, later)


def _outcome(past: Past, problem: Declared) -> Iterator[tuple[str, dict[str, Any]]]:
    """How often the past had what is predicted: the outcome itself, or the events that the label counts."""
    predict = problem.predict
    if isinstance(predict, PredictEvent):
        if past.event.event == predict.each:
            yield "rate", {"rate": "label"}
        return
    label = predict.label
    if past.event.event == label.count and label.where:
        yield "share_like_label", {"share": label.count, "where": label.where}


def _of_number(past: Past, column: str, spans: Mapping[str, timedelta | None], later: int) -> Iterator[Named]:
    operand, by = f"{past.event.event}.{column}", past.by
    longest = list(spans.items())[-2:]
    for place in range(1, LAST + 1):
        title = "last" if place == 1 else f"last_{place}"
        rank = 2 if place == 1 else 5
        yield rank + later, _name(past.name, column, title), Declaration(last=operand, by=by, nth=place)
    for window, span in spans.items():
        yield 2 + later, _name(past.name, column, f"mean_{window}"), Declaration(mean=operand, by=by, within=span)
        yield 5 + later, _name(past.name, column, f"sum_{window}"), Declaration(sum=operand, by=by, within=span)
    for window, span in longest:
        yield 8 + later, _name(past.name, column, f"min_{window}"), Declaration(min=operand, by=by, within=span)
        yield 8 + later, _name(past.name, column, f"max_{window}"), Declaration(max=operand, by=by, within=span)


def _of_measure(
    past: Past, column: str, profile: Profile, spans: Mapping[str, timedelta | None], later: int
) -> Iterator[Named]:
    """A number that measures something else in each kind of row, as a laboratory's values do, for each kind alone."""
    event, by = past.event.event, past.by
    path = profile.measured.get((event, column))
    if path is None:
        return
    apart = {"by": by, "split": path, "values": profile.categories[event, path].frequent}
    yield 3 + later, _name(past.name, column, "*_last"), Declaration(last=f"{event}.{column}", **apart)
    for window, span in spans.items():
        declared = Declaration(mean=f"{event}.{column}", within=span, **apart)
        yield 3 + later, _name(past.name, column, f"*_mean_{window}"), declared


def _of_categories(
    past: Past, problem: Declared, profile: Profile, spans: Mapping[str, timedelta | None], later: int
) -> Iterator[Named]:
    event, by = past.event.event, past.by
    own = past.event.of_kind("category")
    others = [column for noun, column in past.event.of.items() if noun != by]
    paths = [path for path in category_paths(problem, past.event, by) if (event, path) in profile.categories]
    for column in [*others, *(path for path in paths if path in own)]:
        for window, span in spans.items():
            declared = Declaration(distinct=f"{event}.{column}", by=by, within=span)
            yield 3 + later, _name(past.name, column, f"distinct_{window}"), declared
    for path in paths:
        values = profile.categories[event, path]
        rank = (6 if path in own else 7) + later
        if path in own and 1 < values.distinct <= MOST_CATEGORIES:
            yield rank - 1, _name(past.name, path, "last"), Declaration(last=f"{event}.{path}", by=by)
        for window, span in spans.items():
            if values.frequent and values.distinct > 1:
                declared = Declaration(share=event, by=by, within=span, split=path, values=values.frequent)
                yield rank, _name(past.name, path, f"*_share_{window}"), declared


def is_label(problem: Declared, event: EventTable, column: str) -> bool:
    """Whether a column of an event is the outcome, which the tables hold in words, whatever its kind."""
    predict = problem.predict
    return isinstance(predict, PredictEvent) and (event.event, column) == (predict.each, predict.label.column)


def _name(*parts: str) -> str:
    """The parts in the letters that names of features may have; too long a name loses letters in its middle.

    Args:
        parts: the last one may begin with a star, in whose place comes a value; in a column's name it is no letter.
    """
    plain = [re.sub(r"[^\w]+", "_", _without_accents(part).lower()).strip("_") for part in parts]
    if parts[-1].startswith("*_"):
        plain[-1] = f"*_{plain[-1]}"
    start = "_".join(plain[:-1])
    return f"{start[: LONGEST_NAME - len(plain[-1])]}_{plain[-1]}"


def _without_accents(text: str) -> str:
    """Latin letters without accents, and without those that have no plain form; those of other scripts as they are.

    >>> _without_accents("Café"), _without_accents("цена"), _without_accents("가격 (원)")
    ('Cafe', 'цена', '가격 (원)')
    """
    return "".join(
        unicodedata.normalize("NFKD", each).encode("ascii", "ignore").decode()
        if unicodedata.name(each, "LATIN").startswith("LATIN")
        else each
        for each in unicodedata.normalize("NFKC", text)
    )
