"""What is predicted: one decision for every event of a kind, or one for every entity at regular cut-offs.

The names of tables and columns are checked against the schema in `problem.py`, where both meet.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, FiniteFloat, PlainSerializer, Tag, model_validator

from mlguide_assets.define.schema import Noun, Strict
from mlguide_assets.define.values import Duration, Texts, as_texts

Value = str | int | float | bool


class Comparison(Strict):
    """What the value of a column must be."""

    one_of: tuple[str, ...] = Field(default=(), description="One of these, as text.")
    not_: tuple[str, ...] = Field(default=(), alias="not", description="None of these, and not empty.")
    at_least: float | None = None
    at_most: float | None = None

    model_config = Strict.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _says_something(self) -> "Comparison":
        if not (self.one_of or self.not_) and self.at_least is None and self.at_most is None:
            raise ValueError("a condition is empty: write a value, a list of values, not:, at_least: or at_most:")
        return self


def _comparison(value: Any) -> Any:
    if isinstance(value, Mapping):
        lists = {key: as_texts(value[key]) for key in ("not", "not_", "one_of") if key in value}
        return {**value, **lists}
    return value if isinstance(value, Comparison) else {"one_of": as_texts(value)}


Where = dict[str, Annotated[Comparison, BeforeValidator(_comparison)]]
"""Column of an event: what its value must be. All conditions must hold."""


class Condition(Strict):
    """A number of events of an entity, and how many there must be."""

    count: Noun = Field(description="The event that is counted.")
    within: Duration | None = Field(default=None, description="So far from the cut-off; default: ever.")
    where: Where = Field(default_factory=dict)
    at_least: Annotated[int, Field(ge=1)] | None = None
    at_most: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> "Condition":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("write at_least or at_most, one of them")
        if self.within is not None and self.within <= timedelta(0):
            raise ValueError("within: write a time longer than zero, such as 30d")
        return self


class Limit(Strict):
    """Which numbers are the positive outcome: those from a limit on, or those up to one."""

    at_least: FiniteFloat | None = None
    at_most: FiniteFloat | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Limit":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("write at_least or at_most, one of them")
        return self

    @property
    def in_words(self) -> tuple[str, str]:
        """What the positive and the negative outcome are called.

        >>> Limit(at_least=15).in_words
        ('at least 15', 'less than 15')
        """
        if self.at_least is not None:
            return f"at least {self.at_least:.15g}", f"less than {self.at_least:.15g}"
        return f"at most {self.at_most:.15g}", f"more than {self.at_most:.15g}"


def _texts_or_limit(given: Any) -> str:
    return "Limit" if isinstance(given, Mapping | Limit) else "Texts"


def _one_or_all(texts: tuple[str, ...]) -> str | list[str]:
    """A text or a list of texts, as a file writes it."""
    return texts[0] if len(texts) == 1 else list(texts)


OneOrMore = Annotated[Texts, PlainSerializer(_one_or_all), Field(min_length=1)]
"""A text, or a list of them."""

Outcome = Annotated[Annotated[OneOrMore, Tag("Texts")] | Annotated[Limit, Tag("Limit")], Discriminator(_texts_or_limit)]
"""A text, a list of them, or a limit of numbers."""


class ColumnLabel(Strict):
    """The outcome is a column of the event; it is known so long after the event.

    What a column of texts has besides its two outcomes is no outcome, and refused: only an empty one is not known yet.
    Of a column of numbers, the positive outcome may be a limit; every other number is the negative one.
    """

    column: str
    positive_: Outcome = Field(
        alias="positive",
        description="How the source writes the positive outcome; a list where it has several values that count as "
        "such. All but the first are read as the first. Of numbers: at_least or at_most.",
    )
    negative_: Annotated[OneOrMore | None, BeforeValidator(as_texts)] = Field(
        default=None, alias="negative", description="The same of the negative outcome; left out with a limit."
    )
    window: Duration = Field(description="An outcome is final this long after the event, unknown before.")
    ends_unit: bool = Field(
        default=False,
        description="A positive outcome ends the unit: no action reaches it afterwards, as after an unsubscribe. "
        "Such units are in no experiment that starts later.",
    )

    model_config = Strict.model_config | {"populate_by_name": True}

    @property
    def limit(self) -> Limit | None:
        """From where on a number is the positive outcome; None where outcomes are texts."""
        return self.positive_ if isinstance(self.positive_, Limit) else None

    @property
    def positives(self) -> tuple[str, ...]:
        """Everything that means the positive outcome; what it is called comes first."""
        return self.positive_ if not isinstance(self.positive_, Limit) else self.positive_.in_words[:1]

    @property
    def negatives(self) -> tuple[str, ...]:
        """Everything that means the negative outcome; what it is called comes first."""
        return self.positive_.in_words[1:] if isinstance(self.positive_, Limit) else self.negative_ or ()

    @property
    def positive(self) -> str:
        """What the positive outcome is called in every table after the source's, and in answers."""
        return self.positives[0]

    @property
    def negative(self) -> str:
        return self.negatives[0]

    @model_validator(mode="after")
    def _outcomes_differ(self) -> "ColumnLabel":
        if self.limit and self.negative_:
            raise ValueError("negative: beside a limit, every other number is the negative outcome; leave it out")
        if not self.negatives:
            raise ValueError("negative: this key is missing; add it")
        both = [value for value in self.positives if value in self.negatives]
        if both:
            raise ValueError(f"positive and negative must be two different values, and {both[0]!r} is both")
        if self.window <= timedelta(0):
            raise ValueError("window: write a time longer than zero, such as 7d")
        return self


class AggregateLabel(Condition):
    """The outcome is positive where the entity's future has so many events."""

    within: Duration = Field(description="The outcome is final so long after the cut-off, unknown before.")

    @property
    def window(self) -> timedelta:
        return self.within

    @property
    def column(self) -> str:
        """The column of features and scores that holds the outcome."""
        return "label"

    @property
    def positive(self) -> str:
        """What the positive outcome is called in answers."""
        return "yes"

    @property
    def negative(self) -> str:
        return "no"


class PredictEvent(Strict):
    """One decision for every event of a kind."""

    each: Noun = Field(description="The event.")
    choose: Noun | None = Field(default=None, description="The entity among whose candidates a decision chooses.")
    known: tuple[str, ...] = Field(
        default=(), description="Columns of the event that are known when it happens; none where a decision chooses."
    )
    label: ColumnLabel


class PredictEntity(Strict):
    """One decision for every entity at regular cut-offs; the label is an aggregate of its future."""

    each: Noun = Field(description="The entity.")
    every: Duration = Field(description="Time between two cut-offs.")
    anchor: date | None = Field(default=None, description="One of the cut-offs; default: history_start.")
    where: Condition | None = Field(default=None, description="Who is predicted, by what is past at the cut-off.")
    label: AggregateLabel
    having: Condition | None = Field(
        default=None, description="Looks ahead: rows without it are no cases at all. Benchmarks need it."
    )

    @model_validator(mode="after")
    def _cut_offs_are_apart(self) -> "PredictEntity":
        if self.every < timedelta(hours=1):
            raise ValueError("every must be 1h or longer")
        if self.having is not None and self.having.within is None:
            raise ValueError("having needs within: how far ahead of the cut-off it looks")
        return self


def _shape(predict: Any) -> str:
    given = predict if isinstance(predict, Mapping) else vars(predict)
    return "PredictEntity" if "every" in given else "PredictEvent"


Predict = Annotated[
    Annotated[PredictEvent, Tag("PredictEvent")] | Annotated[PredictEntity, Tag("PredictEntity")],
    Discriminator(_shape),
]
