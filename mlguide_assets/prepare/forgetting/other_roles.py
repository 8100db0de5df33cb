"""Other roles that an entity may be in: the senders and receivers of a problem file, whose users have a table."""

from collections.abc import Iterable

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.forgetting.forget_list import Entity, Key, entities_of
from mlguide_assets.prepare.lake.lake import Lake


def possible_roles(lake: Lake, problem: Problem, forgotten: Iterable[Entity], key: Key) -> list[str]:
    """The entities of a problem that have this id, too, and may be the same: one of the two has a table, the other has
    none, and all its ids are in that table.

    A problem file does not say so, and ids alone do not prove it: a person decides.

    Args:
        forgotten: the entity as this problem knows it, under all nouns that are known to be the same.
    """
    forgotten = list(forgotten)
    nouns, has_table = {each.noun for each in forgotten}, any(each.table for each in forgotten)
    others = [each for each in entities_of(problem) if each.noun not in nouns and bool(each.table) != has_table]
    own = _ids(lake, forgotten)
    return [
        each.noun for each in others if own is not None and _may_be_same(own, _ids(lake, [each]), has_table, str(key))
    ]


def _may_be_same(own: ibis.Table, other: ibis.Table | None, has_table: bool, key: str) -> bool:
    if other is None or not other.filter(other.id == key).count().execute():
        return False
    named, declared = (other, own) if has_table else (own, other)
    return not named.anti_join(declared, "id").count().execute()


def _ids(lake: Lake, entities: Iterable[Entity]) -> ibis.Table | None:
    """The ids of entities as texts: those of their tables, or of entities without one those that events name."""
    places = [place for each in entities for place in (each.places[:1] if each.table else each.places)]
    found = [lake.read(table).select(id=ibis._[name].cast("string")) for table, name in places if lake.exists(table)]
    if not found:
        return None
    ids = ibis.union(*found) if len(found) > 1 else found[0]
    return ids.filter(ids.id.notnull())
