"""A prediction request in the terms of any problem, and what was looked up for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from mlguide_assets.define.decision import Decision
from mlguide_assets.deploy.online_store.store import Id
from mlguide_assets.deploy.serving.features import Features

Endpoint = Literal["predict", "recommend"]


@dataclass(frozen=True)
class PredictionRequest:
    """A request, in the terms of any problem.

    Attributes:
        units: ids of the entities to predict; none where `events` are.
        candidates: ids of what may be chosen; None: those that are the newest, or the last decision.
        events: events that no policy chose, as `messages.py` describes them; their times are `datetime`s.
        as_of: when it is decided; None: now. Events have times of their own.
        what_if: features of the instant, set by hand.
    """

    endpoint: Endpoint = "predict"
    units: Sequence[Id] = ()
    candidates: Sequence[Id] | None = None
    events: Sequence[Mapping[str, Any]] = ()
    probability: bool = True
    explain: bool = False
    as_of: datetime | None = None
    what_if: Mapping[str, float] | None = None
    on_unknown: Literal["list", "base_rate"] = "list"


class RefusedError(Exception):
    """A request is refused: the HTTP status, and the reason in one sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Slot(NamedTuple):
    """One place of the answer.

    Args:
        ids: of its entities, in the order of `Decision.nouns`; None for what was to be chosen and is not known.
        row: of the features; None where there are none.
        instant: of an event that no policy chose.
        keys: other key columns of such an event, where they were given.
    """

    ids: tuple[Id | None, ...]
    row: int | None
    instant: datetime | None = None
    keys: Mapping[str, Any] = {}

    @property
    def unit(self) -> Id:
        """The entity that the decision is about."""
        assert self.ids[0] is not None
        return self.ids[0]

    @property
    def chosen(self) -> Id | None:
        """The candidate that a decision may choose."""
        return self.ids[-1]


@dataclass
class ResolvedRequest:
    """A request after the look-up: the places of its answer in order, and the features that they need.

    Args:
        decision: what it is about.
        candidates: how many places each unit has.
        unknown: noun → ids that the store does not know.
        left_out: ids of units that it knows, and that no batch scores, such as those that `predict.where` leaves out.
    """

    decision: Decision
    slots: list[Slot]
    features: Features
    candidates: int
    unknown: dict[str, list[Id]]
    degraded: list[str] = field(default_factory=list)
    left_out: list[Id] = field(default_factory=list)
