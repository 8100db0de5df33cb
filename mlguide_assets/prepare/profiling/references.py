"""Which columns hold the ids of another table: by their names, and by their values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis

from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, ids_of
from mlguide_assets.prepare.profiling.keys import best_key
from mlguide_assets.prepare.profiling.nouns import (
    ends_as_id,
    is_id_name,
    is_plain_id,
    is_short_for,
    is_telling_id,
    is_thing,
    noun_of_id,
    noun_of_table,
    singular,
    words,
)

LEAST_FOUND = 0.01
"""Of the values of a column that is called like a reference, those that must be ids of the other table."""
MOSTLY_FOUND = 0.9
"""The same where it is called like the other table's key, and not like that table."""
SURELY_FOUND = 0.99
"""The same for a column whose name does not say so."""
HALF_FOUND = 0.5
"""The same where it has the name of the other table's key, and both hold many ids."""
LEAST_ROLES, NEARLY_ALL = 2, 0.9
"""So many columns of a table, each with this share of the ids of another, are taken for references by values alone."""
REPEATED = 0.8
"""Of the rows of a table, at most this share has an id of its own where several rows speak of one thing."""
LONG_ID, MANY_IDS = 8, 20
"""Ids of so many characters, and so many of them, are not found in another table by chance."""


@dataclass(frozen=True)
class Reference:
    """A column of a table whose values are ids of another table.

    Attributes:
        values: how many different ones there are.
        found: how many of them are in the other table.
        by_values: whether only values say so, and no name.
        short: the word in the column's name that may be short for what the other table holds.
    """

    table: str
    column: str
    target: str
    key: str
    values: int
    found: int
    by_values: bool = False
    short: str = ""

    @property
    def evidence(self) -> str:
        place = f"{self.target}.{self.key}"
        if self.by_values:
            return f"? all {self.values:,} values are in {place}, though no name says so"
        some = "all" if self.found == self.values else f"{self.found:,} of"
        found = f"{some} {self.values:,} values are in {place}"
        return f"? {found}, for which {self.short} may be short" if self.short else found


def find_references(
    profiles: Mapping[str, TableProfile], connection: Any, history_keys: Mapping[str, str]
) -> list[Reference]:
    """At most one reference per column.

    Args:
        history_keys: table → its id, where several rows have the same id.
    """
    found = []
    for profile in profiles.values():
        for column in profile.columns.values():
            if _can_refer(column) and history_keys.get(profile.name) != column.name:
                candidates = [
                    reference
                    for target in profiles.values()
                    if target.name != profile.name
                    for key in _keys(target, history_keys)
                    if (reference := _reference(profile, column, target, key, connection, target.name in history_keys))
                ]
                if candidates:
                    found.append(max(candidates, key=lambda each: (*_closeness(each), each.found)))
    found += _by_values(profiles, connection, history_keys, found)
    found += _by_plain_id(profiles, connection, history_keys, found)
    return [each for each in found if not _mirrored(each, found)]


def partial_reference(profiles: Mapping[str, TableProfile], connection: Any, target: str, key: str) -> Reference | None:
    """The column called like the key of a table that has most of its ids, and too many others to be a reference."""
    found = [
        Reference(profile.name, column.name, target, key, values, inside)
        for profile in profiles.values()
        for column in profile.columns.values()
        if profile.name != target and _can_refer(column) and noun_of_id(key) and words(column.name) == words(key)
        for values, inside in [_inclusion(profile, column.name, profiles[target], key, connection)]
        if inside
    ]
    return max(found, key=lambda each: each.found, default=None)


def spelled_otherwise(
    profiles: Mapping[str, TableProfile], connection: Any, table: str, column: str
) -> Reference | None:
    """The table, called like a column, that has most of its ids, but writes them otherwise: 7, where it holds 007."""
    found = []
    for target in profiles.values():
        key = best_key(target) if target.name != table else None
        if key is None or _needed(column, target.name, key, is_id=False, is_number=False) is None:
            continue
        values, inside = _inclusion(profiles[table], column, target, key, connection, _without_spelling)
        if inside >= max(MOSTLY_FOUND * values, MANY_IDS):
            found.append(Reference(table, column, target.name, key, values, inside))
    return max(found, key=lambda each: each.found, default=None)


def _without_spelling(ids: ibis.Column) -> ibis.Column:
    return ids.lower().re_replace(r"^0+|[-_ ]", "")


def _by_values(
    profiles: Mapping[str, TableProfile], connection: Any, history_keys: Mapping[str, str], named: list[Reference]
) -> list[Reference]:
    """Two or more columns, such as sender and receiver, that hold the ids of one table, whatever they are called.

    Ids that count from 1 are in any longer table by chance. So the key must be one to which nothing refers by name, and
    the columns must have nearly all of its values, and no others.
    """
    targets = [each for each in profiles.values() if each.name not in {reference.target for reference in named}]
    decided = {(each.table, each.column) for each in named}
    found: list[Reference] = []
    for profile in profiles.values():
        columns = [
            each
            for each in profile.columns.values()
            if (profile.name, each.name) not in decided and _may_be_ids(each, profile)
        ]
        for target, key in [(each, key) for each in targets for key in _keys(each, history_keys)]:
            alike = [each for each in columns if target is not profile and _are_as_many(each, target.columns[key])]
            if len(alike) < LEAST_ROLES:
                continue
            counts = {each.name: _inclusion(profile, each.name, target, key, connection) for each in alike}
            whole = {name: values for name, (values, inside) in counts.items() if values == inside}
            if len(whole) >= LEAST_ROLES:
                found += [Reference(profile.name, name, target.name, key, n, n, True) for name, n in whole.items()]
                columns = [each for each in columns if each.name not in whole]
    return found


def _by_plain_id(
    profiles: Mapping[str, TableProfile], connection: Any, history_keys: Mapping[str, str], decided: list[Reference]
) -> list[Reference]:
    """Columns called `id`, which says not whose, with the ids of the one table whose key is called so, too.

    Ids that count from 1 are in any longer table by chance. So a column must repeat nearly all ids of that table, and
    have no others, and no other column of its table may refer to that.
    """
    found = []
    for profile in profiles.values():
        own = [each for each in decided if each.table == profile.name]
        targets = [each for each in profiles.values() if each.name not in {reference.target for reference in own}]
        for column in profile.columns.values():
            if column.name in {each.column for each in own} or not _is_repeated_plain_id(column, profile, history_keys):
                continue
            fitting = [
                Reference(profile.name, column.name, target.name, key, values, inside, True)
                for target in targets
                for key in _keys(target, history_keys)
                if target is not profile and words(key) == words(column.name)
                if _are_as_many(column, target.columns[key])
                for values, inside in [_inclusion(profile, column.name, target, key, connection)]
                if values == inside
            ]
            found += fitting if len(fitting) == 1 else []
    return found


def _is_repeated_plain_id(column: ColumnProfile, profile: TableProfile, history_keys: Mapping[str, str]) -> bool:
    repeated = column.distinct <= REPEATED * column.filled and history_keys.get(profile.name) != column.name
    return repeated and is_plain_id(column.name) and _may_be_ids(column, profile)


def _may_be_ids(column: ColumnProfile, profile: TableProfile) -> bool:
    is_id = column.kind == "id" or is_id_name(column.name)
    return is_id and column.distinct >= MANY_IDS and column.name not in profile.unique


def _are_as_many(column: ColumnProfile, key: ColumnProfile) -> bool:
    """Whether a column has nearly as many values as a key of the same kind, and no more."""
    return column.kind == key.kind and NEARLY_ALL * key.distinct <= column.distinct <= key.distinct / NEARLY_ALL


def _keys(profile: TableProfile, history_keys: Mapping[str, str]) -> list[str]:
    if profile.name in history_keys:
        return [history_keys[profile.name]]
    key = best_key(profile)
    return [key] if key else []


def _can_refer(column: ColumnProfile) -> bool:
    if column.kind in ("time", "flag") or not column.filled or column.distinct < 2:
        return False
    return column.usable or is_id_name(column.name)


def _reference(
    profile: TableProfile, column: ColumnProfile, target: TableProfile, key: str, connection: Any, is_id: bool
) -> Reference | None:
    needed = _needed(column.name, target.name, key, is_id=is_id, is_number=column.kind == "number")
    if needed is None and _are_same_ids(column, target.columns[key]):
        needed = HALF_FOUND
    short = _short_for(column.name, target.name, key) if needed is None else ""
    if short:
        needed = MOSTLY_FOUND
    if needed is None and not _never_found_by_chance(column):
        return None
    if column.name == best_key(profile) and (needed is None or noun_of_id(column.name) == noun_of_table(profile.name)):
        return None
    values, found = _inclusion(profile, column.name, target, key, connection)
    least = SURELY_FOUND if needed is None else needed
    if not values or not found or found < least * values:
        return None
    return Reference(profile.name, column.name, target.name, key, values, found, short=short)


def _short_for(column: str, target: str, key: str) -> str:
    """What the name of an id, such as `cust_no`, has instead of the noun of a table or of its key; '' if it has not."""
    own = noun_of_id(column)
    nouns = (noun_of_table(target), noun_of_id(key))
    return own if ends_as_id(column) and any(is_short_for(own, noun) for noun in nouns) else ""


def _needed(column: str, target: str, key: str, *, is_id: bool, is_number: bool) -> float | None:
    """Of the values of a column, the share that must be ids of a table, by their names; None where none says so.

    `driverId` is called like drivers, `home_team_id` like teams, `machine` like machines, whatever their key is called,
    and `clinic_code` like the key of clinics. `home_team` has the names of teams, where these are the key. `serial`
    says not whose it is, so it refers where the key is called so, too. `subscriber` may also be called like the key of
    another table, such as cancellations, which holds only some of the ids.

    Args:
        is_id: whether the key is one of ids, whatever it is called.
        is_number: whether the column holds numbers, which may count things: `total_item` has no ids of items.
    """
    nouns = {noun_of_table(target), *(singular(word) for word in words(target)[-1:])}
    key_noun, own = noun_of_id(key, nouns), noun_of_id(column, nouns)
    same = words(column) == words(key)
    if not own:
        return MOSTLY_FOUND if same and is_telling_id(column) else None
    if (_ends_in(own, nouns) and (is_id_name(column) or own in nouns or same)) or (same and nouns & set(words(column))):
        return LEAST_FOUND
    if _ends_in(own, nouns) and is_thing(column) and not is_number:
        return MOSTLY_FOUND
    marked = is_id or is_id_name(column) or is_id_name(key) or is_thing(key)
    like_key = bool(key_noun) and _ends_in(own, {key_noun}) and (is_id_name(column) or own == key_noun or same)
    return MOSTLY_FOUND if marked and like_key else None


def _ends_in(own: str, nouns: set[str]) -> bool:
    return any(own == noun or own.endswith(f"_{noun}") for noun in nouns)


def _are_same_ids(column: ColumnProfile, key: ColumnProfile) -> bool:
    """Whether two columns of one telling name hold many ids: that one has half of the other's is not by chance."""
    many = min(column.distinct, key.distinct) >= MANY_IDS
    named = bool(noun_of_id(column.name)) and words(column.name) == words(key.name)
    return many and named and {column.kind, key.kind} <= {"id", "category", "text"}


def _never_found_by_chance(column: ColumnProfile) -> bool:
    """Whether values of this column are found in another table for no other reason than being its ids."""
    return column.kind == "id" and column.distinct >= MANY_IDS and column.typical_length >= LONG_ID


def _inclusion(
    profile: TableProfile,
    column: str,
    target: TableProfile,
    key: str,
    connection: Any,
    spelled: Callable[[ibis.Column], ibis.Column] = lambda ids: ids,
) -> tuple[int, int]:
    """How many different ids a column holds, and how many of them a key has."""
    child, parent = connection.table(profile.table.view), connection.table(target.table.view)
    ids = child.select(id=spelled(ids_of(child, column))).filter(lambda t: t.id.notnull()).distinct()
    keys = parent.select(id=spelled(ids_of(parent, key))).distinct()
    return int(ids.count().execute()), int(ids.semi_join(keys, "id").count().execute())


def _closeness(reference: Reference) -> tuple[bool, bool, bool, bool]:
    """How well the name of the column agrees with that of the other table, and with that of its key; one schema."""
    own = noun_of_id(reference.column)
    schema, other = (name.rpartition(".")[0] for name in (reference.table, reference.target))
    same = words(reference.column) == words(reference.key)
    return not reference.short, own == noun_of_table(reference.target), same, schema == other


def _mirrored(reference: Reference, others: list[Reference]) -> bool:
    """Of two tables whose keys refer to each other, the one that is called like the key is the parent."""
    back = next(
        (each for each in others if (each.table, each.column) == (reference.target, reference.key)
         and (each.target, each.key) == (reference.table, reference.column)), None,
    )  # fmt: skip
    if back is None:
        return False
    own = noun_of_id(reference.column)
    mine, theirs = noun_of_table(reference.table) == own, noun_of_table(reference.target) == own
    return (mine and not theirs) or (mine == theirs and reference.table < reference.target)
