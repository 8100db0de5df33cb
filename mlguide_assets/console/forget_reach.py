"""Which problems of a home `mlguide forget` reaches, and why it leaves the others as they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from mlguide_assets.define.loading import problems_of_home
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.values import without_spaces
from mlguide_assets.deploy.forgetting import Target
from mlguide_assets.english import with_article
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import Entity, Key
from mlguide_assets.prepare.forgetting.other_roles import possible_roles
from mlguide_assets.prepare.forgetting.same_entities import SameEntity, namesakes, same_entities
from mlguide_assets.prepare.forgetting.similar_ids import ids_around, other_spellings
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


@dataclass(frozen=True)
class Reach:
    """What is forgotten, and where.

    Attributes:
        targets: the entity in each problem that has it, that of the problem that was named first.
        namesakes: what is only called the same, in other problems: it may be another thing that has the same id.
        roles: entities of the first problem that may be the same in another role; see `possible_roles`.
        spellings: ids of the first problem that may be the same, written otherwise; see `other_spellings`.
        untouched: keys of the problems that are left as they are, those of the namesakes among them.
    """

    targets: tuple[Target, ...]
    namesakes: tuple[SameEntity, ...]
    roles: tuple[str, ...]
    spellings: tuple[str, ...]
    untouched: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is forgotten, in words: `user 7`."""
        erasure = self.targets[0].erasure
        return f"{erasure.entity.noun} {erasure.key}"

    @property
    def problems(self) -> tuple[str, ...]:
        """The keys of the problems that are reached."""
        return tuple(dict.fromkeys(each.problem.key for each in self.targets))


def find_reach(home: Home, problem: Problem, noun: str, given: str) -> Reach:
    """The problems of a home that have an entity of one of them.

    Args:
        given: the id, as on the command line.

    Raises:
        InputError: the problem has no such entity, or what is given is no id of it.
    """
    problems: Mapping[str, Problem] = {**problems_of_home(home), problem.key: problem}
    named, *others = same_entities(problem, noun, problems.values())
    keys = [(named, _key(_lake(home, named), named.entity, given))]
    for each in others:
        key = _same_key(_lake(home, each), each.entity, keys[0][1])
        keys += [(each, key)] if key is not None else []
    around = frozenset[str]().union(*(ids_around(_lake(home, each), each.entity, key) for each, key in keys))
    targets = tuple(Target(each.problem, Erasure(each.entity, key, around)) for each, key in keys)
    reached = {each.problem.key for each in targets}
    own = [each.entity for each in (named, *others) if each.problem.key == problem.key]
    return Reach(
        targets,
        tuple(namesakes([named, *others], problems.values())),
        tuple(possible_roles(_lake(home, named), problem, own, keys[0][1])),
        other_spellings(_lake(home, named), named.entity, keys[0][1]),
        tuple(key for key in problems if key not in reached),
    )


def _lake(home: Home, same: SameEntity) -> Lake:
    return Lake(home.lake(same.problem.key))


def _key(lake: Lake, entity: Entity, given: str) -> Key:
    """An id as the tables have it."""
    if not without_spaces(given):
        raise InputError(
            f"--{entity.noun} is the id of one {entity.noun}; given: {given!r}, which is none: name the {entity.noun} "
            f"to forget."
        )
    given = without_spaces(given)
    if not _has_numbers(lake, entity):
        return given
    # Not all that Python takes for a number: 1_0 is no way to write 10. Nor does any table hold more than 64 bits.
    if not re.fullmatch("-?0{0,99}[0-9]{1,19}", given) or int(given) not in _INT64:
        raise InputError(f"--{entity.noun} is the id of {with_article(entity.noun)}, a whole number; given: {given!r}.")
    return int(given)


_INT64 = range(-(2**63), 2**63)


def _same_key(lake: Lake, entity: Entity, key: Key) -> Key | None:
    """An id of one problem as the tables of another have it; None where all their ids are numbers, and it is none."""
    if not _has_numbers(lake, entity):
        return str(key)
    # 007 is another text than 7.
    if not re.fullmatch("-?(0|[1-9][0-9]{0,18})", str(key)):
        return None
    number = int(key)
    return number if number in _INT64 else None


def _has_numbers(lake: Lake, entity: Entity) -> bool:
    """Whether the ids in the tables are whole numbers."""
    kinds = [lake.read(name).schema()[key].to_pyarrow() for name, key in entity.places if lake.exists(name)]
    return any(pa.types.is_integer(kind) for kind in kinds)
