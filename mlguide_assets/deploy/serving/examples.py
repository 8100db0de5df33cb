"""Requests to try the API with: about ids that there are, and an event that might happen."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from mlguide_assets.define.contracts import OneOf
from mlguide_assets.define.decision import id_column
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import ColumnKind
from mlguide_assets.deploy.online_store.store import Id, Publication
from mlguide_assets.deploy.serving.instants import now_of
from mlguide_assets.deploy.serving.request import PredictionRequest
from mlguide_assets.english import plural

_VALUES: dict[ColumnKind, Any] = {"number": 12.5, "integer": 3, "flag": False, "category": "a", "text": "a text"}
_ANYBODY: tuple[Id, ...] = (1, 5, 100)
"""Ids where none are known, or to be shown."""


def ids_of(problem: Problem, publication: Publication | None) -> dict[str, tuple[Id, ...]]:
    """Noun of each entity of a decision → some ids; none where nothing is published."""
    decision = problem.decision
    if publication is None:
        return dict.fromkeys(decision.nouns, ())
    found = {noun: publication.examples.get(plural(noun), ()) for noun in decision.stored}
    return {**found, decision.choose: publication.candidates} if decision.choose else found


def instant_of(problem: Problem, publication: Publication | None) -> datetime | None:
    """The instant that a request must name, since what is published is too old for now; None where it need not."""
    if publication is None:
        return None
    age = now_of(problem, publication.as_of) - publication.as_of
    return publication.as_of if age > problem.serving.refuse_after else None


def request_examples(
    problem: Problem,
    ids: Mapping[str, tuple[Id, ...]],
    at: datetime | None = None,
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, list[dict[str, Any]]]:
    """Path → bodies that it answers.

    Args:
        ids: noun → some ids, see `ids_of`.
        at: the instant to name, see `instant_of`.
        usual: column of the event → a usual value, see `usual_values`.
    """
    decision = problem.decision
    some = {noun: known or _ANYBODY for noun, known in ids.items()}
    if decision.is_event and not decision.choose:
        first, second = (example_event(problem, some, place, at, usual) for place in (0, 1))
        return {"/predict": [first, {decision.plural: [first, second], "explain": True}]}
    units, instant = list(some[decision.unit][:3]), {"as_of": at.isoformat()} if at else {}
    about = f"{decision.unit}_ids"
    if not decision.choose:
        return {"/predict": [{about: units, **instant}, {about: units[:1], **instant, "explain": True}]}
    among = {f"{decision.choose}_ids": list(some[decision.choose][:3])}
    # Without them, the last decision is scored as of its own instant.
    first = {about: units, **(among if at else {}), **instant, "probability": True}
    return {
        "/predict": [first, {about: units[:2], **among, **instant, "explain": True}],
        "/recommend": [{about: units, **instant}, {about: units[:1], **among, **instant}],
    }


def example_event(
    problem: Problem,
    ids: Mapping[str, tuple[Id, ...]],
    place: int = 0,
    at: datetime | None = None,
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """An event that might happen.

    Args:
        place: of the ids that it has; another one is another event.
        at: when; None: now.
        usual: as of `request_examples`.
    """
    entities = {id_column(noun): ids[noun][place % len(ids[noun])] for noun in problem.decision.nouns}
    return entities | example_columns(problem, usual) | ({problem.decision.time: f"{at.isoformat()}Z"} if at else {})


def example_columns(problem: Problem, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an event that are known when it happens, with values that there might be.

    Args:
        usual: as of `request_examples`.
    """
    assert isinstance(problem.predict, PredictEvent)
    columns, stated = problem.schema.event(problem.predict.each).columns, _counted_values(problem) | values_of(problem)
    there_might_be = {name: (stated.get(name) or [_VALUES[columns[name].kind]])[0] for name in problem.predict.known}
    return {**there_might_be, **usual}


def values_of(problem: Problem) -> dict[str, list[str]]:
    """Column of the event that is predicted → the values that the contract allows, where it lists them."""
    table = problem.schema.table_of(problem.predict.each)
    return {
        str(rule.column): list(rule.values)
        for rule in problem.contracts
        if isinstance(rule, OneOf) and rule.table == table
    }


def _counted_values(problem: Problem) -> dict[str, list[str]]:
    """Column of the event that is predicted → values by which a feature counts."""
    declared = problem.features.declared.values()
    return {each.split: list(each.values) for each in declared if each.split and each.values}


def trial(problem: Problem, publication: Publication) -> PredictionRequest | None:
    """A request that must be answered while all is well; None where nothing is published that it could be about."""
    decision, ids = problem.decision, ids_of(problem, publication)
    if not all(ids.values()):
        return None
    if decision.is_event and not decision.choose:
        return PredictionRequest(events=[example_event(problem, ids)])
    return PredictionRequest(
        units=ids[decision.unit][:1], candidates=ids[decision.choose][:1] if decision.choose else None
    )
