"""The features of a request: stored states, and what follows from the instant. The definitions are training's own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from mlguide_assets.define.decision import decision_of
from mlguide_assets.define.features import Declaration
from mlguide_assets.deploy.online_store.store import Id, Row, StoreError
from mlguide_assets.prepare.features import request_time
from mlguide_assets.prepare.features.catalogue import Declared, Feature, features_of
from mlguide_assets.prepare.features.state_columns import state_features, time_names

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_WITHOUT_HISTORY = {"count": 0, "distinct": 0, "sum": 0.0}
"""What features of an entity without history are, by operator; all others are null."""

Values = tuple[Any, ...]


class Case(NamedTuple):
    """One case to score.

    Args:
        ids: of its entities, in the order of `Decision.nouns`.
        instant: when it is decided.
        feature_time: the instant whose knowledge the stored features hold.
    """

    ids: tuple[Id, ...]
    instant: datetime
    feature_time: datetime


@dataclass
class Features:
    """The values of features, one row per case, in the order of their names."""

    names: tuple[str, ...]
    cases: list[Case] = field(default_factory=list)
    rows: list[Values] = field(default_factory=list)

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        columns: Iterable[Sequence[Any]] = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.names)
        return dict(zip(self.names, columns, strict=True))

    def row(self, position: int) -> dict[str, Any]:
        return dict(zip(self.names, self.rows[position], strict=True))

    def add(self, case: Case, values: Values) -> None:
        self.cases.append(case)
        self.rows.append(values)

    def extend(self, other: "Features") -> None:
        self.cases += other.cases
        self.rows += other.rows


@dataclass(frozen=True)
class _OfEntity:
    """What the state of an entity gives: columns taken as they are, then ages and gaps, each with its column of time.

    Attributes:
        absent: the same of an entity without history.
    """

    taken: tuple[str, ...]
    since: tuple[tuple[Declaration, str], ...]
    absent: Values


class FeaturePlan:
    """Where each feature of a model comes from, decided once: the state of an entity, the event, or the instant.

    What an entity gives is computed once per entity and instant, however many cases it is in.

    Args:
        problem: the model's, with its features as they were decided for its training.

    Attributes:
        names: of the features that models may use, in the order of their columns.
    """

    def __init__(self, problem: Declared) -> None:
        features = [feature for feature in features_of(problem) if feature.for_models]
        times = time_names(problem)
        self.names = tuple(feature.name for feature in features)
        self._entities: dict[str, _OfEntity] = {}
        order: list[str] = []
        for noun in decision_of(problem.schema, problem.predict).nouns:
            own = {each.name for each in state_features(problem, noun)}
            mine = [feature for feature in features if feature.name in own]
            self._entities[noun], names = _of_entity(mine, times)
            order += names
        self._known = tuple(feature.name for feature in features if feature.origin == "known")
        calendar = [each for each in features if each.origin == "request" and each.noun is None]
        self._calendar = tuple(each.declaration for each in calendar if each.declaration is not None)
        order += [*self._known, *(feature.name for feature in calendar)]
        self._arranged = _arranger([order.index(name) for name in self.names])
        self._places = {name: place for place, name in enumerate(self.names)}
        self._settable = frozenset(each.name for each in features if each.origin == "request")

    @cached_property
    def needs(self) -> tuple[Any, ...]:
        """What is looked up for the model, and computed from it: equal for models that need the same."""
        return self.names, self._entities, self._known, self._calendar

    def of_entity(self, noun: str, row: Row | None, at: int) -> Values:
        """What the state of an entity gives at an instant.

        Args:
            row: as the store has it; None of an entity without history.
            at: microseconds since 1970, UTC.

        Raises:
            StoreError: the store lacks a feature.
        """
        own = self._entities[noun]
        if row is None:
            return own.absent
        try:
            gaps = [_gap(declaration, at, row[column]) for declaration, column in own.since]
            return (*[row[name] for name in own.taken], *gaps)
        except KeyError as error:
            raise _lacks(error.args[0]) from None

    def of_event(self, event: Mapping[str, Any]) -> Values:
        """What is known of an event when it happens; flags are 0 and 1, as models count them."""
        values = [event[name] for name in self._known]
        return tuple([int(value) if value is True or value is False else value for value in values])

    def of_instant(self, at: int) -> Values:
        """What the calendar says."""
        return tuple([request_time.at_request(declaration, at, None) for declaration in self._calendar])

    def values(self, *parts: Values, what_if: Mapping[str, float] | None = None) -> Values:
        """The features of a case.

        Args:
            parts: of each entity, in the order of `Decision.nouns`, of the event, and of the instant.
            what_if: features that are set by hand.
        """
        values = self._arranged([value for part in parts for value in part])
        if not what_if:
            return values
        changed = list(values)
        for name, value in what_if.items():
            changed[self._places[name]] = value
        return tuple(changed)

    def unsettable(self, names: Iterable[str]) -> list[str]:
        """Of some names, those that are no feature of the instant of this model: they cannot be set by hand."""
        return [name for name in names if name not in self._settable]

    def stored(self, row: Row) -> Values:
        """The features of a decision that was made, as they were then.

        Raises:
            StoreError: the store lacks a feature.
        """
        try:
            return tuple([row[name] for name in self.names])
        except KeyError as error:
            raise _lacks(error.args[0]) from None


@lru_cache(maxsize=8)
def need_the_same(one: FeaturePlan, other: FeaturePlan) -> bool:
    """Whether what is looked up for one of two models is what the other needs. Remembered: it is asked per request."""
    return one.needs == other.needs


def microseconds(instant: datetime) -> int:
    """Since 1970, UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def _of_entity(features: Sequence[Feature], times: Mapping[str, str]) -> tuple[_OfEntity, list[str]]:
    """How the state of an entity is read, and the names of what it gives, in order."""
    taken = [feature for feature in features if feature.origin != "request"]
    since = [feature for feature in features if feature.origin == "request"]
    absent = tuple(_WITHOUT_HISTORY.get(each.declaration.operator) if each.declaration else None for each in taken)
    own = _OfEntity(
        tuple(feature.name for feature in taken),
        tuple((feature.declaration, times[feature.name]) for feature in since if feature.declaration is not None),
        absent + (None,) * len(since),
    )
    return own, [feature.name for feature in (*taken, *since)]


def _gap(declaration: Declaration, at: int, since: str | None) -> Any:
    if since is None:
        return None
    return request_time.at_request(declaration, at, microseconds(datetime.fromisoformat(since)))


def _arranger(order: Sequence[int]) -> Callable[[Sequence[Any]], Values]:
    """Puts values in an order; `itemgetter` of one place gives no tuple."""
    if len(order) == 1:
        return lambda values: (values[order[0]],)
    return itemgetter(*order)


def _lacks(name: str) -> StoreError:
    return StoreError(
        f"The online store has no feature {name!r}, which the model was trained with: 'mlguide run' publishes those "
        f"of the problem, or 'mlguide promote' a model that was trained for it."
    )
