"""What each operator is made of: measures over the events of an entity, each in a frame before the instant.

A *measure* reduces events (how many, their sum, ...), can be merged from what parts of the past gave, and so may be
taken over single events or over events that were reduced before. A *part* is a measure in a *frame*. A feature is
arithmetic on parts: a mean is a sum by a count.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import ibis

from mlguide_assets.define.decision import final_after
from mlguide_assets.define.features import Declaration
from mlguide_assets.define.prediction import Comparison, PredictEvent
from mlguide_assets.prepare.features.catalogue import Declared, Feature, event_of
from mlguide_assets.prepare.features.events import AT, micros

DAY = micros(timedelta(days=1))

How = Literal["count", "sum", "min", "max", "newest", "distinct", "last"]


@dataclass(frozen=True)
class Selection:
    """Which of the events of an entity are looked at.

    Attributes:
        where: columns and what they must be, `split` among them.
        present: a column that must not be empty.
        labelled: only those whose outcome is known, or which one it must be.
    """

    where: tuple[tuple[str, Comparison], ...] = ()
    present: str | None = None
    labelled: Literal["known", "positive", "negative"] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        return (*(path for path, _ in self.where), *([self.present] if self.present else []))


@dataclass(frozen=True)
class Frame:
    """The events that count at an instant t: t - reach <= at <= t - delay, in microseconds; reach None: all before."""

    reach: int | None
    delay: int

    @property
    def edges(self) -> tuple[int, ...]:
        """How far before t something enters or leaves the frame: events between two edges are all in or all out."""
        return (self.delay - 1, *([] if self.reach is None else [self.reach]))


@dataclass(frozen=True)
class Measure:
    """How the selected events are reduced. `column` is what is added up, compared or looked at."""

    how: How
    column: str | None
    selection: Selection


@dataclass(frozen=True)
class Stream:
    """The past of one kind of entity in one kind of event.

    Attributes:
        by: the noun of the entity.
        event: the noun of the event.
        by_day: looked at from the start of the instant's day.
    """

    by: str
    event: str
    by_day: bool


@dataclass(frozen=True)
class Part:
    """A measure of a stream in a frame; of `last`, which of the newest."""

    stream: Stream
    measure: Measure
    frame: Frame
    nth: int = 1

    @property
    def whole(self) -> "Part":
        """The same without a limit to the past."""
        return replace(self, frame=replace(self.frame, reach=None))


def parts_of(feature: Feature, problem: Declared) -> dict[str, Part]:
    """What a feature of origin `history`, or days since the last, is made of, by its role in `finished`."""
    declaration = feature.declaration
    assert declaration is not None
    stream = Stream(str(feature.noun), event_of(declaration, problem), declaration.as_of == "day")
    frame = _frame(declaration, stream, problem)
    where = tuple(declaration.where.items())
    if feature.split:
        where = (*where, (feature.split[0], Comparison(one_of=(feature.split[1],))))
    chosen = Selection(where, None, declaration.labelled)

    def part(how: How, column: str | None = None, selection: Selection = chosen, nth: int = 1) -> Part:
        return Part(stream, Measure(how, column, selection), frame, nth)

    column = declaration.column
    match declaration.operator:
        case "count":
            return {"count": part("count")}
        case "share":
            return {"some": part("count"), "all": part("count", None, Selection((), None, declaration.labelled))}
        case "rate":
            known, positive = replace(chosen, labelled="known"), replace(chosen, labelled="positive")
            return {"some": part("count", None, positive), "all": part("count", None, known)}
        case "mean":
            return {"sum": part("sum", column), "count": part("count", None, replace(chosen, present=column))}
        case "since_last":
            return {"newest": part("newest")}
        case "last":
            return {"last": part("last", column, nth=declaration.nth)}
        case "sum" | "min" | "max" | "distinct" as how:
            return {how: part(how, column)}
    raise AssertionError(declaration.operator)


def _frame(declaration: Declaration, stream: Stream, problem: Declared) -> Frame:
    """An outcome counts once it is final, and `within` reaches back from there."""
    delay, matured = 1, 0
    late = problem.schema.event(stream.event).arrives_within
    if late:
        delay = micros(late) + 1
    if declaration.labelled or declaration.operator == "rate":
        assert isinstance(problem.predict, PredictEvent)
        matured = micros(final_after(problem.schema, problem.predict))
        delay = max(delay, matured)
    reach = None if declaration.within is None else micros(declaration.within) + matured
    return Frame(reach, delay)


def finished(declaration: Declaration, parts: dict[str, Any]) -> Any:
    """A feature from the values of its parts; an entity without history has counts and sums of 0 and nulls else."""
    match declaration.operator:
        case "count" | "distinct" as role:
            return parts[role].fill_null(0).cast("int64")
        case "sum":
            return parts["sum"].fill_null(0.0).cast("float64")
        case "mean":
            return parts["sum"] / parts["count"].nullif(0)
        case "rate" | "share":
            return parts["some"].fill_null(0).cast("float64") / parts["all"].cast("float64").nullif(0)
        case role:
            return parts[role]


def reduced(measure: Measure, rows: ibis.Table, chosen: ibis.Value | None, value: ibis.Value) -> ibis.Value:
    """A measure over single events.

    Args:
        rows: the events.
        chosen: whether each is selected; None: all are.
        value: the column of the measure; None for those that have none.
    """

    def of(value: ibis.Value) -> ibis.Value:
        # Nothing where it is not selected, rather than a filter: over windows, DuckDB looks at all rows of each frame
        # again where there is one, which for an entity of a million events takes twenty times as long.
        return value if chosen is None else ibis.ifelse(chosen, value, ibis.null(value.type()))

    match measure.how:
        case "count":
            return rows.count() if chosen is None else of(ibis.literal(1)).count()
        case "newest":
            return of(rows[AT]).max()
        case "sum":
            return of(value.cast("float64")).sum()
        case "min":
            return of(value).min()
        case "max":
            return of(value).max()
    raise AssertionError(measure.how)


def merged(measure: Measure, value: ibis.Value) -> ibis.Value:
    """A measure over events that were reduced before. Whole numbers are added as float64, exact to 2^53: DuckDB sums
    integers into 128 bits, which neither Parquet nor Ibis has.
    """
    match measure.how:
        case "count" | "distinct":
            return value.cast("float64").sum()
        case "sum":
            return value.sum()
        case "min":
            return value.min()
        case "max" | "newest":
            return value.max()
    raise AssertionError(measure.how)
