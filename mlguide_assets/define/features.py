"""Declarations of features: what a problem file says under `features`.

A declaration has one operator (`count`, `mean`, `last`, ...) and says of which entity (`by`), since when (`within`)
and which events (`where`). Compiling it to tables is the work of prepare/features.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from mlguide_assets.define.prediction import Where
from mlguide_assets.define.schema import Noun, Strict
from mlguide_assets.define.values import CanonicalText, Duration, slug

Operator = Literal[
    "count", "sum", "mean", "min", "max", "last", "distinct", "rate", "share", "since_last", "age", "calendar"
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
CalendarPart = Literal["hour", "day_of_week", "day_of_month", "month", "day_of_year"]

_OF_COLUMN = ("sum", "mean", "min", "max", "last", "distinct")
_WINDOWED = (*_OF_COLUMN, "count", "rate", "share")


class Declaration(Strict):
    """One feature, or with `split` one per value.

    Attributes:
        count: the event, of which earlier ones are counted.
        sum: `event.column`, a number; so `mean`, `min`, `max`.
        last: `event.column`: its value in the newest earlier event; ties: see prepare/features.
        distinct: `event.column`: how many different values.
        rate: `label`: share of positive among the matured decisions.
        share: the event: share of events under `where` among all of them.
        since_last: the event: days since the newest earlier one.
        age: the entity: days since its `known_from`, or `entity.column`: since that time.
        calendar: what the instant says, UTC.
        labelled: only decisions whose outcome is known by then: all, the positive or the negative.
        as_of: `day`: as it was known at the start of the day, UTC.
        split: `column` of the event, or `entity.column` of an entity that it names; one feature per value, whose
            name takes the place of `*`.
    """

    count: Noun | None = None
    sum: str | None = None
    mean: str | None = None
    min: str | None = None
    max: str | None = None
    last: str | None = None
    distinct: str | None = None
    rate: Literal["label"] | None = None
    share: Noun | None = None
    since_last: Noun | None = None
    age: str | None = None
    calendar: CalendarPart | None = None
    by: Noun | None = None
    within: Duration | None = None
    where: Where = Field(default_factory=dict)
    split: str | None = None
    values: tuple[CanonicalText, ...] = Field(
        default=(), description="Of split; default: those of the contract, or the most frequent."
    )
    labelled: Literal["known", "positive", "negative"] | None = None
    as_of: Literal["day"] | None = None
    nth: Annotated[int, Field(ge=1, le=10)] = Field(default=1, description="Of last: 2 is the one before the last.")
    description: str = ""

    @model_validator(mode="after")
    def _has_one_operator(self) -> "Declaration":
        given = [name for name in OPERATORS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"write one of {', '.join(OPERATORS)}; here {' and '.join(given) or 'none'} is given")
        operator = given[0]
        if operator in (*_WINDOWED, "since_last") and self.by is None:
            raise ValueError(f"{operator} needs by: the entity whose past it is")
        if operator not in _WINDOWED and self.within is not None:
            raise ValueError(f"{operator} has no within")
        if operator in _OF_COLUMN and not re.fullmatch(r"[a-z][a-z0-9_]*\..+", self.operand):
            raise ValueError(f"{operator}: {self.operand!r} must be event.column, such as order.amount")
        if self.within is not None and self.within <= timedelta(0):
            raise ValueError("within: write a time longer than zero, such as 30d")
        if operator == "share" and not (self.where or self.split):
            raise ValueError("share needs where or split: which of the events")
        if self.nth > 1 and operator != "last":
            raise ValueError(f"nth is of last, not of {operator}")
        return self

    # Asked for with every prediction.
    @cached_property
    def operator(self) -> Operator:
        return next(name for name in OPERATORS if getattr(self, name) is not None)

    @cached_property
    def operand(self) -> str:
        """What the operator is given: an event, `event.column`, an entity, or a part of the calendar."""
        return str(getattr(self, self.operator))

    @property
    def number_of_features(self) -> int:
        """How many features it declares: with `split`, one per value."""
        return len(self.values) if self.split else 1

    @property
    def column(self) -> str | None:
        """The column of the event that is aggregated."""
        return self.operand.partition(".")[2] if self.operator in _OF_COLUMN else None


class Automatic(Strict):
    """How many features are declared by the machine, and over which windows."""

    windows: tuple[Any, ...] = ("7d", "30d", "90d", "all")
    max: int = Field(default=200, ge=1, le=2000, description="Features that are kept at most.")
    parents: tuple[Noun, ...] = Field(default=(), description="Entities of the newest event whose past counts too.")

    @property
    def spans(self) -> tuple[timedelta | None, ...]:
        """The windows; None is all of the past."""
        from pydantic import TypeAdapter

        adapter: TypeAdapter[timedelta] = TypeAdapter(Duration)
        return tuple(None if each == "all" else adapter.validate_python(each) for each in self.windows)

    @model_validator(mode="after")
    def _windows_are_durations(self) -> "Automatic":
        if not self.spans:
            raise ValueError("windows: write at least one, such as [7d, 30d, all]")
        return self


class Features(Strict):
    """The features of a problem, besides the columns of its entities and what is known of the event itself."""

    automatic: Automatic | Literal[False] = False
    declared: dict[str, Declaration] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _stars_are_splits(self) -> "Features":
        for name, declaration in self.declared.items():
            if (declaration.split is not None) != ("*" in name):
                raise ValueError(
                    f"declared.{name}: a name with * and split: belong together; the value takes the place of *"
                )
            named = re.fullmatch(r"[^\W\d_][\w*]{0,79}|\*\w{0,79}", name) and name == name.lower()
            if not named or name.count("*") > 1:
                raise ValueError(f"declared.{name}: write a name of lower-case letters, digits and _")
        return self


def split_names(name: str, values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The name of each feature of a declaration with `split`, and its value; numbered where values look alike.

    >>> list(split_names("share_*", ("x,y", "x;y")))
    [('share_x_y', 'x,y'), ('share_x_y_2', 'x;y')]
    """
    seen: set[str] = set()
    for value in values:
        own = free = slug(value)
        number = 1
        while free in seen:
            number += 1
            free = f"{own}_{number}"
        seen.add(free)
        yield name.replace("*", free), value
