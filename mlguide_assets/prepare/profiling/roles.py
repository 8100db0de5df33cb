"""Which tables are entities, which are events, and which a problem file cannot use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import ibis

from mlguide_assets.define.decision import may_be_own
from mlguide_assets.define.values import asset_name
from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, file_name, profile_table
from mlguide_assets.prepare.profiling.copies import copies
from mlguide_assets.prepare.profiling.event_times import (
    MOST_PER_ID,
    is_foreseen,
    one_time_per_id,
    parts_of_dates,
    when_it_happened,
    why_no_time,
)
from mlguide_assets.prepare.profiling.keys import HistoryOf, best_key, find_history
from mlguide_assets.prepare.profiling.kinds import FEWEST_IDS, names_ids
from mlguide_assets.prepare.profiling.listing import Listing
from mlguide_assets.prepare.profiling.nouns import (
    is_id_name,
    is_nameless,
    is_person,
    is_thing,
    names_outcome,
    noun_of_id,
    noun_of_table,
    shared_prefix,
    words,
)
from mlguide_assets.prepare.profiling.references import REPEATED, Reference, find_references, partial_reference

MOST_CODES = 1000
MOST_GROUPS, ROWS_OF_GROUP = 9, 1_000
"""At most this many ids, with at least this many rows each, are the kind of a row: as entities they would be most of
the table, whose past says little."""
Role = Literal["entity", "event", "code", "unused"]


@dataclass(frozen=True)
class Source:
    """All tables of a source, with what is known of each and of how they belong together.

    Attributes:
        reasons: why tables are not used.
        timed: the rows of events with their times, as far as they were asked for.
        spans: the first and the last time of events, as far as they were asked for.
    """

    profiles: Mapping[str, TableProfile]
    connection: Any
    histories: Mapping[str, HistoryOf]
    references: list[Reference]
    reasons: dict[str, str] = field(default_factory=dict)
    timed: dict[str, ibis.Table] = field(default_factory=dict)
    spans: dict[str, tuple[datetime | None, datetime | None]] = field(default_factory=dict)

    def rows(self, table: str) -> ibis.Table:
        return self._rows[table]

    @cached_property
    def _rows(self) -> dict[str, ibis.Table]:
        """Of a table of hundreds of columns, to ask for its schema takes longer than most questions about its rows."""
        return {name: self.connection.table(profile.table.view) for name, profile in self.profiles.items()}

    def key(self, table: str) -> str | None:
        return self.histories[table].key if table in self.histories else best_key(self.profiles[table])

    def of(self, table: str) -> list[Reference]:
        """What a table refers to."""
        return [each for each in self.references if each.table == table]

    def when(self, table: str) -> ColumnProfile | None:
        """The time at which rows happened; no deadline, where they can take the time of what they refer to."""
        at = when_it_happened(self.profiles[table])
        if at is not None and is_foreseen(at.name) and any(lends_its_time(self, each) for each in self.of(table)):
            return None
        return at

    def to(self, table: str) -> list[Reference]:
        """What refers to a table."""
        return [each for each in self.references if each.target == table]

    @cached_property
    def names(self) -> dict[str, str]:
        """Table → its name in the file, with its schema where another has the same."""
        chosen: dict[str, str] = {}
        for name in self.profiles:
            own, full = (_table_name(file_name(each)) for each in (name.rpartition(".")[2], name))
            taken = {each.lower() for each in chosen.values()}
            chosen[name] = _free(full if own.lower() in taken else own, taken, "_2")
        return chosen

    @cached_property
    def roles(self) -> dict[str, Role]:
        roles = {name: _role(self, name) for name in self.profiles}
        for name in [name for name, role in roles.items() if role == "entity"]:
            referring = [each.table for each in self.to(name)]
            if not any(roles[table] == "event" for table in referring):
                roles[name] = "unused"
                others = ", ".join(dict.fromkeys(referring))
                only = f", only {others}: add its ids to an event, or its columns there" if referring else ""
                self.reasons[name] = f"no event refers to it{only}"
        return roles

    @cached_property
    def nouns(self) -> dict[str, str]:
        """The noun of each entity and of each event, all different."""
        alone = {noun for name in self.events for noun in self.ids_alone[name].values()}
        chosen: dict[str, str] = {}
        for name in self.entities:
            chosen[name] = self._free_noun(name, self._noun_of_entity(name), set(chosen.values()), "_record")
        for name in self.events:
            taken = {*chosen.values(), *alone, self.subject(name) or ""}
            chosen[name] = self._free_noun(name, self._noun_of_table(name), taken, "_event")
        return chosen

    def _free_noun(self, name: str, noun: str, taken: set[str], ending: str) -> str:
        """The noun; where it is taken, that of the table's name in the file, which may have its schema."""
        return _free(noun_of_table(self.names[name]) if noun in taken else noun, taken, ending)

    def subject(self, name: str) -> str | None:
        """The noun of what each row of an event is about, where it refers to nothing else: a thing of its own."""
        key = self.key(name)
        if key is None or self.ids_alone[name] or any(self.roles[each.target] != "code" for each in self.of(name)):
            return None
        return ("" if is_nameless(key) else noun_of_id(key)) or self._noun_of_table(name)

    def _noun_of_table(self, name: str) -> str:
        return noun_of_table(name, self._prefix)

    @cached_property
    def _prefix(self) -> tuple[str, ...]:
        columns = [name for profile in self.profiles.values() for name in profile.columns]
        return shared_prefix(self.profiles, {noun_of_id(name) for name in columns if is_id_name(name)})

    def _noun_of_entity(self, name: str) -> str:
        key = str(self.key(name))
        own = noun_of_id(key) if name in self.histories or is_id_name(key) or is_thing(key) else ""
        called = [noun_of_id(each.column) for each in self.to(name) if is_id_name(each.column) and not each.short]
        return (
            own
            or min(filter(None, called), key=lambda noun: (len(noun), noun), default="")
            or self._noun_of_table(name)
        )

    @property
    def entities(self) -> list[str]:
        return [name for name, role in self.roles.items() if role == "entity"]

    @property
    def events(self) -> list[str]:
        return [name for name, role in self.roles.items() if role == "event"]

    @cached_property
    def ids_alone(self) -> dict[str, dict[str, str]]:
        """Per table: columns of ids that no table explains → their nouns, entities that are known by their ids."""
        return {name: self._ids_alone(name) for name in self.profiles}

    def _ids_alone(self, table: str) -> dict[str, str]:
        profile = self.profiles[table]
        at = self.when(table)
        referring = {each.column for each in self.of(table)}
        found: dict[str, str] = {}
        for column in profile.columns.values():
            if column.name in referring or column.name in profile.unique or not _is_entity_id(column):
                continue
            if self.is_kind(table, column):
                continue
            if at is None or not one_time_per_id(profile, column.name, at, self.rows(table)):
                found[column.name] = noun_of_id(column.name) or self._noun_of_table(table)
        return found

    def is_kind(self, table: str, column: ColumnProfile) -> bool:
        """Whether a column has a few ids of kinds of rows: of what each row is, as `errorID` of errors, or of what very
        many rows are, as the two vendors of a million trips.
        """
        others = {*self.profiles[table].unique, *(each.column for each in self.of(table))}
        if not 1 < column.distinct < FEWEST_IDS or column.name in others or not is_id_name(column.name):
            return False
        return noun_of_id(column.name) == self._noun_of_table(table) or self.is_group(table, column)

    def is_group(self, table: str, column: ColumnProfile) -> bool:
        """Whether ids are those of a few large groups, beside ids of things that the rows are about."""
        few = column.distinct <= MOST_GROUPS and column.filled >= ROWS_OF_GROUP * column.distinct
        if not few or is_person(noun_of_id(column.name)):
            return False
        columns = self.profiles[table].columns
        about = {each.column for each in self.of(table)} | {
            each.name for each in columns.values() if _is_entity_id(each)
        }
        return any(columns[name].distinct >= FEWEST_IDS for name in about.difference(self.profiles[table].unique))


def _table_name(name: str) -> str:
    """What the file calls a table of this name: as no asset of its problem is called."""
    given = asset_name(name)
    return f"source_{given}" if may_be_own(given) else given


def _free(noun: str, taken: set[str], ending: str) -> str:
    """The noun, or another that is made of it, where it is taken."""
    while noun.lower() in taken:
        noun += ending
    return noun


def look_at(listing: Listing, connection: Any) -> Source:
    """Profile all tables and find how they belong together."""
    twice = copies(listing.tables, connection)
    profiles = {table.name: profile_table(table, connection) for table in listing.tables if table.name not in twice}
    rows = {name: connection.table(profile.table.view) for name, profile in profiles.items()}
    histories = {name: found for name in profiles if (found := find_history(profiles[name], rows[name]))}
    references = find_references(profiles, connection, {name: each.key for name, each in histories.items()})
    asked = {each.target for each in references}
    if not asked >= histories.keys():
        # Spans of somebody to which nothing refers, such as those of patients under a treatment, are events themselves.
        histories = {name: each for name, each in histories.items() if name in asked}
        references = find_references(profiles, connection, {name: each.key for name, each in histories.items()})
    return Source(profiles, connection, histories, references, twice)


def _is_entity_id(column: ColumnProfile) -> bool:
    """Whether a column holds ids of things of which several rows of the table speak."""
    if column.filled == 0 or column.distinct < 2 or column.distinct > REPEATED * column.filled:
        return False
    if is_nameless(column.name):
        return False
    named = names_ids(column.name, column.distinct, column.filled) or column.kind == "id"
    # A number of two words, such as `total_item`, may count things rather than name one.
    plainly = len(words(column.name)) == 1 or column.kind in ("category", "text")
    thing = plainly and is_thing(column.name) and column.distinct >= FEWEST_IDS
    return column.kind in ("id", "number", "category", "text") and (named or thing)


def _role(source: Source, name: str) -> Role:
    profile, key, referred = source.profiles[name], source.key(name), source.to(name)
    own = [each for each in source.of(name) if each.column != key]
    about = [each for each in own if not _is_code(source.profiles[each.target])]
    alone = bool(about) or bool(source.ids_alone[name])
    time = source.when(name)
    if name in source.histories:
        return "entity"
    if key and referred:
        if _is_code(profile):
            return "code"
        about_person = any(map(_is_of_person, own))
        about_person = about_person or any(map(is_person, source.ids_alone[name].values()))
        return "event" if time and about_person and not is_person(noun_of_table(name)) else "entity"
    if time is not None and (alone or key):
        return "event"
    timed = [each for each in source.of(name) if lends_its_time(source, each)]
    if time is None and any(each in own or _has_outcome(profile) for each in timed):
        return "event"
    source.reasons[name] = _why_unused(source, profile, time, key, alone)
    return "unused"


def _is_code(profile: TableProfile) -> bool:
    """A list of codes and what they mean: nothing of it can be learned that the code itself does not say.

    A list of people, such as customers with their email addresses, is none: each has a past.
    """
    others = len(profile.columns) - 1
    if is_person(noun_of_table(profile.name)):
        return False
    return profile.table.rows <= MOST_CODES and others == len(profile.unique) - 1 <= 1 and not profile.times


def lends_its_time(source: Source, reference: Reference) -> bool:
    """Whether rows without a time of their own may take that of what they refer to, as results that of their race.

    Not where several rows of one person, or of one year each, would all have happened when that person began; nor where
    the only one, such as who has left, would be known before all that the person does.
    """
    profile = source.profiles[reference.table]
    if when_it_happened(source.profiles[reference.target]) is None:
        return False
    if reference.column in profile.unique:
        return not (_is_of_person(reference) and _lives_on(source, reference))
    if _is_of_person(reference):
        return False
    rows = source.rows(reference.table)
    return all(
        _is_one_per_id(rows, reference.column, part, profile.columns[reference.column].distinct)
        for part in parts_of_dates(profile).values()
    )


def _lives_on(source: Source, reference: Reference) -> bool:
    """Whether other tables say at which times something was done by what a column refers to."""
    return any(
        each.table != reference.table
        and each.column not in source.profiles[each.table].unique
        and when_it_happened(source.profiles[each.table]) is not None
        for each in source.to(reference.target)
    )


def _is_of_person(reference: Reference) -> bool:
    """Whether a column, such as `customer_id`, `cust_no` or `buyer`, holds ids of somebody."""
    return is_person(noun_of_id(reference.column)) or is_person(noun_of_table(reference.target))


def _is_one_per_id(rows: ibis.Table, ids: str, column: str, number: int) -> bool:
    pairs = rows.filter(rows[ids].notnull()).select(ids, column).distinct().count().execute()
    return int(pairs) <= MOST_PER_ID * number


def _has_outcome(profile: TableProfile) -> bool:
    return any(names_outcome(column.name) and column.two_values for column in profile.columns.values())


def _why_unused(
    source: Source, profile: TableProfile, time: ColumnProfile | None, key: str | None, refers: bool
) -> str:
    if time is None:
        return f"{why_no_time(profile)}{'' if refers else _why_no_entity(source, profile.table.name, key)}"
    return "no column holds ids: add whose each row is, such as customer_id, or number the rows if each stands alone"


def _why_no_entity(source: Source, name: str, key: str | None) -> str:
    if key is None:
        return ", and no column identifies a row"
    partial = partial_reference(source.profiles, source.connection, name, key)
    if partial is None:
        return ", and no other table refers to it"
    place = f"{file_name(partial.table)}.{file_name(partial.column)}"
    return (
        f", and of {partial.values:,} ids in {place} it has {partial.found:,}: which of them have a row may be known "
        f"only later; if not, add it, with entity: {noun_of_id(key)} and key: {file_name(key)}"
    )
