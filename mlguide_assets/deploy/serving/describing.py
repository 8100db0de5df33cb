"""What the API is about, in the words of the problem: for the playground, and for the description of the API."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.features import Features
from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.serving.examples import example_columns, values_of
from mlguide_assets.deploy.serving.listing import List
from mlguide_assets.deploy.serving.messages import MOST_DAYS
from mlguide_assets.deploy.serving.phrases import in_words, outcome_in_words, what_is_counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import Feature, UnresolvedFeatureError, features_of
from mlguide_assets.prepare.features.state_columns import time_names
from mlguide_assets.prepare.features.wording import CALENDAR
from mlguide_assets.prepare.hosts.shared_files import fetch_folder
from mlguide_assets.settings import Home
from mlguide_assets.train.files import PROBLEM


class ColumnWords(BaseModel):
    """A column of the list of an entity; `kind` is text, fact, time or count."""

    name: str
    label: str
    kind: Literal["text", "fact", "time", "count"]


class EntityWords(BaseModel):
    """An entity of a decision.

    `id` is its column of ids, `ids` the field of several, `text` whether these are texts (null: not known yet). Its
    list has the path `/<plural>`. `known` says whether only those that a table names are answered.
    """

    noun: str
    plural: str
    id: str
    ids: str
    text: bool | None
    known: bool
    columns: list[ColumnWords]


class FieldWords(BaseModel):
    """A column of an event that is known when it happens."""

    name: str
    kind: str
    description: str
    values: list[str]
    example: float | str | bool


class SettableWords(BaseModel):
    """A feature of the instant that can be set by hand.

    `part` is that of the calendar; else the feature is days since `since`, a time of the entity `noun` in its list.
    `scale` is where most values end.
    """

    name: str
    label: str
    least: float
    most: float
    scale: float
    part: str | None
    noun: str | None
    since: str | None


class ProblemWords(BaseModel):
    """What is decided, about what, and how it is called.

    `shape` is choice, event or entity; `flat` says whether the fields of one event may be a body by themselves.
    `served` names all problems of this server, each below `/problems/<name>/`; this one is there `served_as`.
    """

    name: str
    served_as: str
    served: list[str]
    statement: str
    shape: Literal["choice", "event", "entity"]
    noun: str
    plural: str
    entities: list[EntityWords]
    time: str
    flat: bool
    known: list[FieldWords]
    settable: list[SettableWords]
    outcome: str
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
        trained = load_problem(str(fetch_folder(home.bundles(problem.key) / version) / PROBLEM)) if version else None
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


def words_of(
    problem: Problem,
    lists: Sequence[List],
    texts: Mapping[str, bool | None],
    *,
    flat: bool,
    usual: Mapping[str, Any],
    served_as: str,
    served: Sequence[str],
) -> ProblemWords:
    """The words of a problem.

    Args:
        problem: with its features decided.
        lists: of its entities.
        texts: noun → whether its ids are texts; None: not known yet.
        flat: whether the fields of one event may be a body by themselves.
        usual: column of the event → the value that is suggested, see `usual_values`.
        served_as: the name of the problem among `served`, all those of the server.
    """
    decision, label = problem.decision, problem.label
    return ProblemWords(
        name=problem.name,
        served_as=served_as,
        served=list(served),
        statement=problem.statement,
        shape="choice" if decision.choose else "event" if decision.is_event else "entity",
        noun=decision.noun,
        plural=decision.plural,
        entities=[_entity(problem, each, texts[each.noun]) for each in lists],
        time=decision.time,
        flat=flat,
        known=_known(problem, usual),
        settable=_settable(problem, settable_features(problem)),
        outcome=outcome_in_words(problem),
        positive=label.positive,
        negative=label.negative,
        act=decision.actions[0],
        leave=decision.actions[1],
    )


def _entity(problem: Problem, list_: List, text: bool | None) -> EntityWords:
    noun, table = list_.noun, problem.schema.entity(list_.noun)
    texts = table.of_kind("text") if table else []
    kinds: dict[str, Literal["text", "fact", "time", "count"]] = {
        name: "time" if name in list_.times else "count" if name in list_.counts else "fact" for name in list_.columns
    }
    kinds |= dict.fromkeys([name for name in texts if name in kinds], "text")
    labels = {each.name: what_is_counted(each, problem) for each in features_of(problem) if each.name in list_.counts}
    return EntityWords(
        noun=noun,
        plural=list_.table,
        id=id_column(noun),
        ids=f"{noun}_ids",
        text=text,
        known=table is not None or noun == problem.decision.noun,
        columns=[
            ColumnWords(name=name, label=labels.get(name) or in_words(name), kind=kind) for name, kind in kinds.items()
        ],
    )


def _known(problem: Problem, usual: Mapping[str, Any]) -> list[FieldWords]:
    if problem.decision.choose or not isinstance(problem.predict, PredictEvent):
        return []
    columns, values = problem.schema.event(problem.predict.each).columns, values_of(problem)
    return [
        FieldWords(
            name=name,
            kind=columns[name].kind,
            description=columns[name].description,
            values=values.get(name, []),
            example=value,
        )
        for name, value in example_columns(problem, usual).items()
    ]


def _settable(problem: Problem, features: Sequence[Feature]) -> list[SettableWords]:
    times, found = time_names(problem), []
    for feature in features:
        assert feature.declaration is not None
        part = feature.declaration.calendar
        calendar = CALENDAR[part] if part else None
        days = 365 if feature.declaration.operator == "since_last" else 3650
        # What follows a semicolon is for the data dictionary: when it is null.
        label = (calendar.meaning if calendar else feature.description).partition(";")[0].rstrip(".")
        found.append(
            SettableWords(
                name=feature.name,
                label=label,
                least=calendar.first if calendar else 0,
                most=calendar.last if calendar else MOST_DAYS,
                scale=calendar.last if calendar else days,
                part=part,
                noun=feature.noun,
                since=times.get(feature.name),
            )
        )
    return found
