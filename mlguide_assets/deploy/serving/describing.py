"""What the API is about, in the words of the problem: for the playground, and for the description of the API."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from mlguide_assets.define.decision import id_column, plural
from mlguide_assets.define.features import Features
from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.serving.examples import values_of
from mlguide_assets.deploy.serving.messages import MOST_DAYS, calendar_range
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import Feature, UnresolvedFeatureError, features_of
from mlguide_assets.prepare.features.state_columns import time_names
from mlguide_assets.settings import Home
from mlguide_assets.train.files import PROBLEM


class EntityWords(BaseModel):
    """An entity of a decision.

    `id` is its column of ids, `ids` the field of several, `list` the path that lists them. `known` says whether only
    those that a table names are answered.
    """

    noun: str
    plural: str
    id: str
    ids: str
    list: str
    known: bool


class FieldWords(BaseModel):
    """A column of an event that is known when it happens."""

    name: str
    kind: str
    description: str
    values: list[str]


class SettableWords(BaseModel):
    """A feature of the instant that can be set by hand.

    `part` is that of the calendar; else the feature is days since `since`, a time of the entity `noun` in its list.
    """

    name: str
    label: str
    least: float
    most: float
    part: str | None
    noun: str | None
    since: str | None


class ProblemWords(BaseModel):
    """What is decided, about what, and how it is called."""

    name: str
    statement: str
    shape: Literal["choice", "event", "entity"]
    noun: str
    plural: str
    entities: list[EntityWords]
    time: str
    keys: list[str]
    known: list[FieldWords]
    settable: list[SettableWords]
    positive: str
    negative: str
    act: str
    leave: str


def decided_problem(home: Home, problem: Problem) -> tuple[Problem, bool]:
    """The problem with its features, and whether these are all: the data decide some, which the champion then has.

    Before there is a champion that was trained for the same decision, those that the file declares.
    """
    if not problem.features.automatic and _has_features(problem):
        return problem, True
    try:
        version = pointed_version(home.bundles(problem.key))
        trained = load_problem(str(home.bundles(problem.key) / version / PROBLEM)) if version else None
    except InputError:
        trained = None
    if trained is not None and (trained.tables, trained.predict) == (problem.tables, problem.predict):
        return trained, True
    return problem if _has_features(problem) else problem.model_copy(update={"features": Features()}), False


def _has_features(problem: Problem) -> bool:
    try:
        features_of(problem)
    except UnresolvedFeatureError:
        return False
    return True


def settable_features(problem: Problem) -> list[Feature]:
    """The features that follow from the instant, which a request may set by hand."""
    return [feature for feature in features_of(problem) if feature.origin == "request"]


def words_of(problem: Problem) -> ProblemWords:
    """The words of a problem.

    Args:
        problem: with its features decided.
    """
    decision, label = problem.decision, problem.label
    return ProblemWords(
        name=problem.name,
        statement=problem.statement,
        shape="choice" if decision.choose else "event" if decision.is_event else "entity",
        noun=decision.noun,
        plural=decision.plural,
        entities=[_entity(problem, noun) for noun in decision.nouns],
        time=decision.time,
        keys=list(decision.own_keys),
        known=_known(problem),
        settable=_settable(problem, settable_features(problem)),
        positive=label.positive,
        negative=label.negative,
        act=decision.actions[0],
        leave=decision.actions[1],
    )


def _entity(problem: Problem, noun: str) -> EntityWords:
    return EntityWords(
        noun=noun,
        plural=plural(noun),
        id=id_column(noun),
        ids=f"{noun}_ids",
        list=plural(noun),
        known=problem.schema.entity(noun) is not None or noun == problem.decision.noun,
    )


def _known(problem: Problem) -> list[FieldWords]:
    if problem.decision.choose or not isinstance(problem.predict, PredictEvent):
        return []
    columns, values = problem.schema.event(problem.predict.each).columns, values_of(problem)
    return [
        FieldWords(
            name=name, kind=columns[name].kind, description=columns[name].description, values=values.get(name, [])
        )
        for name in problem.predict.known
    ]


_PARTS = {
    "hour": "Hour of the day, UTC",
    "day_of_week": "Day of the week",
    "day_of_month": "Day of the month",
    "month": "Month",
    "day_of_year": "Day of the year",
}


def _settable(problem: Problem, features: Sequence[Feature]) -> list[SettableWords]:
    times, found = time_names(problem), []
    for feature in features:
        assert feature.declaration is not None
        part = feature.declaration.operand if feature.declaration.operator == "calendar" else None
        least, most = calendar_range(part) if part else (0, MOST_DAYS)
        # What follows a semicolon is for the data dictionary: when it is null.
        label = _PARTS[part] if part else feature.description.partition(";")[0].rstrip(".")
        found.append(
            SettableWords(
                name=feature.name,
                label=label,
                least=least,
                most=most,
                part=part,
                noun=feature.noun,
                since=times.get(feature.name),
            )
        )
    return found
