"""What one row of the tables of features, scores and decisions stands for, and how its columns are called."""

from dataclasses import dataclass

from mlguide_assets.define.prediction import Predict, PredictEvent
from mlguide_assets.define.schema import Schema

CUT_OFF = "as_of"
"""The time of a decision about an entity at a cut-off."""

PARENTS_TIME = "at"
"""The time of an event that has none of its own."""


def id_column(noun: str) -> str:
    """How the ids of an entity are called in every table after the source's.

    >>> id_column("user")
    'user_id'
    """
    return f"{noun}_id"


@dataclass(frozen=True)
class Decision:
    """A decision of a problem.

    Attributes:
        noun: what is decided about once: an event (send) or an entity at a cut-off (customer).
        nouns: the entities that it concerns, in the order of the problem file.
        time: the column of its instant.
        keys: the columns that make a row unique.
        choose: the noun among whose candidates a decision chooses, if it chooses.
    """

    noun: str
    nouns: tuple[str, ...]
    time: str
    keys: tuple[str, ...]
    choose: str | None = None

    @property
    def plural(self) -> str:
        """Many of them: `sends`, or `decisions` where they are about an entity at cut-offs."""
        return "decisions" if self.nouns == (self.noun,) else f"{self.noun}s"

    @property
    def in_words(self) -> str:
        """What one row is.

        >>> Decision("send", ("user", "email"), "delivered_at", ("user_id", "email_id", "delivered_at")).in_words
        'a send: its user and email, at delivered_at'
        """
        article = "an" if self.noun[0] in "aeiou" else "a"
        if self.nouns == (self.noun,):
            return f"{article} {self.noun} at a cut-off"
        return f"{article} {self.noun}: its {' and '.join(self.nouns)}, at {self.time}"

    @property
    def ids(self) -> tuple[str, ...]:
        """The id columns of its entities."""
        return tuple(id_column(noun) for noun in self.nouns)

    @property
    def unit(self) -> str:
        """The entity whose decisions depend on each other: intervals and folds are grouped by it."""
        return self.nouns[0]

    @property
    def unit_id(self) -> str:
        return id_column(self.unit)

    @property
    def order(self) -> tuple[str, ...]:
        """The columns by which rows are ordered: time first."""
        return (self.time, *(name for name in self.keys if name != self.time))


def decision_of(schema: Schema, predict: Predict) -> Decision:
    """The decision of what is predicted; all nouns are known to the schema."""
    if not isinstance(predict, PredictEvent):
        return Decision(predict.each, (predict.each,), CUT_OFF, (id_column(predict.each), CUT_OFF))
    event = schema.event(predict.each)
    # Who a choice is made for comes before what is chosen, in whatever order the file names them.
    nouns = tuple(sorted(event.of, key=lambda noun: noun == predict.choose))
    time = event.own_time or PARENTS_TIME
    ids = {event.of[noun]: id_column(noun) for noun in nouns}
    # A key of its own (a payment's number) is one more column; what it shares with `of` has its name there.
    own = [ids.get(name, name) for name in event.key]
    keys = tuple(dict.fromkeys([*ids.values(), time, *own]))
    return Decision(predict.each, nouns, time, keys, predict.choose)
