"""Which entities of the problems of one home are the same things, so that who is forgotten in one is in all of them.

They are where they have a column of the source in common: the same column of the same table of the same source, the key
of their own table or one that names them; or where each has one in common with a third. What they are called decides
nothing: `account` of a shop and `account` of a forum may have the same ids, and be different people.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mlguide_assets.define.loading import broken_problems, problems_of_home, readable_problems
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import SourceTable
from mlguide_assets.define.sources import DatabaseSource, FilesSource, Source
from mlguide_assets.prepare.forgetting.forget_list import Entity, ForgetList, Listed, entities_of, entity_of
from mlguide_assets.settings import Home

_LOGIN = re.compile(r"(?<=://)[^@/?#]*@")


@dataclass(frozen=True)
class SameEntity:
    """An entity as one problem knows it."""

    problem: Problem
    entity: Entity


@dataclass(frozen=True)
class Column:
    """Where ids of an entity stand in a source."""

    source: str
    table: str
    name: str


def same_entities(problem: Problem, noun: str, problems: Iterable[Problem]) -> list[SameEntity]:
    """An entity of a problem, and what is the same in this and other problems, that of this problem first.

    Raises:
        InputError: the problem has no such entity.
    """
    found = [SameEntity(problem, entity_of(problem, noun))]
    columns = columns_of(*_as_pair(found[0]))
    others = [SameEntity(each, entity) for each in problems for entity in entities_of(each)]
    others = [each for each in others if _as_key(each) != _as_key(found[0])]
    while shared := [each for each in others if columns & columns_of(*_as_pair(each))]:
        found += shared
        columns |= frozenset[Column]().union(*(columns_of(*_as_pair(each)) for each in shared))
        others = [each for each in others if each not in shared]
    return found


def namesakes(same: Iterable[SameEntity], problems: Iterable[Problem]) -> list[SameEntity]:
    """Entities that are only called the same, in problems that do not have the one that is meant."""
    same = list(same)
    nouns, having = {each.entity.noun for each in same}, {each.problem.key for each in same}
    return [
        SameEntity(problem, entity)
        for problem in problems
        if problem.key not in having
        for entity in entities_of(problem)
        if entity.noun in nouns
    ]


def neighbours(home: Home) -> Iterable[Problem]:
    """The problems of a home, one of which may have forgotten entities of another.

    Raises:
        InputError: the file of one is broken, and there are lists of the forgotten: whom they are about, it might say.
    """
    found = readable_problems(home)
    known = (*found, *broken_problems(home))
    lists = any(ForgetList.load(home.forgotten(key)).entries for key in known)
    return (problems_of_home(home) if lists else found).values()


def listed_elsewhere(
    problem: Problem, problems: Iterable[Problem], place: Callable[[str], Path]
) -> dict[str, list[Listed]]:
    """By the entities of a problem: the lists of others that have forgotten them, also from before there was this one.

    Args:
        place: of the list of a problem, by its key.
    """
    others = [each for each in problems if each.key != problem.key]
    lists = {each.key: ForgetList.load(place(each.key)) for each in others}
    lists = {key: each for key, each in lists.items() if each.entries}
    if not lists:
        return {}
    return {
        noun: [
            Listed(lists[each.problem.key], each.entity)
            for each in same_entities(problem, noun, [problem, *others])
            if each.problem.key in lists
        ]
        for noun in problem.schema.entities
    }


def columns_of(problem: Problem, entity: Entity) -> frozenset[Column]:
    """The columns of the source that hold the ids of an entity.

    >>> from mlguide_assets.define.loading import load_problem
    >>> problem = load_problem("planeswalker")
    >>> sorted((column.table, column.name) for column in columns_of(problem, entity_of(problem, "user")))
    [('user_emails', 'user_id'), ('user_profiles', 'id')]
    """
    source = _address(problem.source)
    return frozenset(_column(source, name, problem.tables[name], key) for name, key in entity.places)


def _column(source: str, name: str, table: SourceTable, key: str) -> Column:
    listed = table.columns.get(key)
    return Column(source, table.from_ or name, listed.name if listed and listed.name else key)


def _address(source: Source) -> str:
    """What is equal for sources that have the same rows, whoever logs in there."""
    match source:
        case DatabaseSource(uri=uri):
            return _LOGIN.sub("", uri)
        case FilesSource(uri=uri):
            return _LOGIN.sub("", uri).rstrip("/") if "://" in uri else str(Path(uri).expanduser().resolve())
        case _:
            return source.model_dump_json(exclude={"timeout", "live", "faults"})


def _as_pair(same: SameEntity) -> tuple[Problem, Entity]:
    return same.problem, same.entity


def _as_key(same: SameEntity) -> tuple[str, str]:
    return same.problem.key, same.entity.noun
