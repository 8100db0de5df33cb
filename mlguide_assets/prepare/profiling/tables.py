"""The tables of a drafted problem file: entities and events, each line with its evidence."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from mlguide_assets.define.rules import MAX_SET_ASIDE
from mlguide_assets.english import agreeing, counted
from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, file_name, ids_of, time_of
from mlguide_assets.prepare.profiling.drafting import (
    DraftTable,
    Line,
    columns_of,
    kind_of,
    looks_unchanging,
    share_of,
)
from mlguide_assets.prepare.profiling.event_times import (
    comes_later,
    counts_on,
    is_of_now,
    when_it_began,
    when_it_was_written,
)
from mlguide_assets.prepare.profiling.keys import composite_key
from mlguide_assets.prepare.profiling.nouns import is_id_name, is_person, names_outcome, noun_of_id
from mlguide_assets.prepare.profiling.references import Reference, spelled_otherwise
from mlguide_assets.prepare.profiling.roles import MOST_CODES, Source, lends_its_time
from mlguide_assets.prepare.sources.spellings import are_whole_numbers, read_numbers, without_null_words

MOST_BEFORE = 0.01
"""Of the events of an entity, those that may be earlier than the time from which it exists."""
HEADER = "header"
ROWS_OF_UNIT = 5
"""Values that come again so often, on average, may have a past."""
MOSTLY_NAMED, HALF_NAMED = 0.95, 0.5
"""Of the rows of an event, those that have the id of a thing, or of a person: the others would be set aside."""
FEWEST_UNITS = 30
"""Ids that an entity has, at least, so that intervals can be about it; as `evaluation.min_positives` has them."""
MOST_OF_KEY = 20
"""Columns that may complete a key are looked for among so many."""


def draft_tables(source: Source) -> list[DraftTable]:
    """Entities first, then events, largest last."""
    entities = [_entity(source, name) for name in source.entities]
    entities += [_entity(source, name, noun) for name, noun in _more_roles(source)]
    headers = [_header(source, name) for name in source.events if source.to(name) and _lends_its_time(source, name)]
    return [*entities, *headers, *(_event(source, name) for name in source.events)]


def _more_roles(source: Source) -> list[tuple[str, str]]:
    """Tables that an event refers to more than once, such as by sender and by receiver, and what else they are called.

    Each is a table of its own in the file: its columns become features in both roles, and who is forgotten is in both.
    """
    found: dict[tuple[str, str], None] = {}
    for name in source.events:
        target_of = {each.column: each.target for each in source.of(name)}
        for noun, column, _ in _entities_of(source, name):
            target = target_of.get(column, "")
            if source.roles.get(target) == "entity" and noun != source.nouns[target]:
                found[target, noun] = None
    return list(found)


def _from(source: Source, name: str) -> list[Line]:
    from_ = source.profiles[name].table.from_
    return [Line("from", from_)] if source.names[name] != from_ else []


def _entity(source: Source, name: str, role: str = "") -> DraftTable:
    """One row of a table.

    Args:
        role: what else its rows are called; default: what they are.
    """
    profile, noun, key = source.profiles[name], role or source.nouns[name], str(source.key(name))
    history = source.histories.get(name)
    where = profile.table.of_rows
    unique = f"{profile.columns[key].distinct:,} ids in {where}" if history else f"unique in {where}"
    others = [each for each in profile.unique if each != key and profile.columns[each].kind in ("id", "text")]
    also = f"; so {'is' if len(others) == 1 else 'are'} {', '.join(others[:3])}" if others and not history else ""
    again = (
        [Line("from", profile.table.from_, "the same rows once more, in another role")] if role else _from(source, name)
    )
    lines = [*again, Line("entity", noun), Line("key", file_name(key), unique + also)]
    used = {key: ""}
    began = when_it_began(profile)
    if history:
        lines.append(Line("history", {"from": file_name(history.from_), "to": file_name(history.to)}, history.evidence))
        used |= {history.from_: "", history.to: ""}
    elif began is not None:
        lines.append(_known_from(source, name, key, began))
        used |= {began.name: ""} if lines[-1].active else {}
    columns, left_out = _columns(source, name, used)
    if not history:
        columns, now = _without_those_of_now(columns)
        left_out += now
        lines.append(_static([line.key for line in columns]))
    own = f"{source.names[name]}_{role}" if role else source.names[name]
    contracts = () if role else _contracts(source, name, [*used])
    return DraftTable(
        own, profile, "entity", noun, tuple(lines), tuple(columns), tuple(left_out), at=began, contracts=contracts
    )


def _without_those_of_now(columns: list[Line]) -> tuple[list[Line], list[tuple[str, str]]]:
    """The columns of an entity without a history that may hold what was so at any decision; and the others.

    Whoever cancels next year has the status of it in a table of today. Times are seen once they have come.
    """
    now = [line for line in columns if kind_of(line) != "time" and is_of_now(line.key)]
    left_out = [(line.key, "? as it is now, not as it was: give its history") for line in now]
    return [line for line in columns if line not in now], left_out


def _static(names: list[str]) -> Line:
    unchanging = looks_unchanging(names)
    if unchanging:
        return Line("static", unchanging, "? by their names; add the others that never change, or write true for all")
    return Line("static", True, "? if no column ever changes; else list those that do not", active=False)


def _known_from(source: Source, name: str, key: str, began: ColumnProfile) -> Line:
    """The time from which an entity exists, if its events keep to it."""
    events = before = 0
    entities = source.rows(name)
    starts = entities.select(entity=ids_of(entities, key), began=time_of(entities, began))
    for reference in source.to(name):
        at = source.when(reference.table)
        if at is None or source.roles[reference.table] != "event":
            continue
        rows = source.rows(reference.table)
        pairs = rows.select(entity=ids_of(rows, reference.column), at=time_of(rows, at)).join(starts, "entity")
        found = pairs.aggregate(all=pairs.count(), before=(pairs["at"] < pairs.began).sum()).to_pyarrow().to_pylist()[0]
        events, before = events + int(found["all"]), before + int(found["before"] or 0)
    if not events:
        return Line("known_from", file_name(began.name), "? by its name; no event speaks of it", active=False)
    if before > MOST_BEFORE * events:
        evidence = f"? but {share_of(before, events)} of {counted(events, 'event')} {agreeing(before, 'is')} earlier"
        return Line("known_from", file_name(began.name), evidence, active=False)
    later = f"{events - before:,} of {counted(events, 'event')}" if before else f"all {counted(events, 'event')}"
    return Line("known_from", file_name(began.name), f"{later} {agreeing(events - before, 'is')} not before it")


def _columns(source: Source, name: str, used: dict[str, str]) -> tuple[list[Line], list[tuple[str, str]]]:
    """The columns that are read, ids of other tables as categories where these are no entities, and the others."""
    lines, left_out = columns_of(source.profiles[name], used, _parts(source, name, used))
    codes = [_code(source, each) for each in source.of(name) if _is_category(source, each) and each.column not in used]
    codes += [
        _kind(source, name, each)
        for each in source.profiles[name].columns.values()
        if each.name not in used and source.is_kind(name, each)
    ]
    names = {line.key for line in codes}
    others = [line for line in lines if line.key not in names]
    return [*others, *codes], [(column, why) for column, why in left_out if file_name(column) not in names]


def _is_category(source: Source, reference: Reference) -> bool:
    few = source.profiles[reference.table].columns[reference.column].distinct <= MOST_CODES
    return few and source.roles[reference.target] in ("code", "unused")


def _kind(source: Source, name: str, column: ColumnProfile) -> Line:
    evidence = f"{column.distinct:,} values: the kind of each row, by its name"
    if source.is_group(name, column):
        evidence = f"? {column.distinct:,} ids, each in many rows: if their pasts matter, in 'of'"
    return Line(file_name(column.name), "category", evidence)


def _code(source: Source, reference: Reference) -> Line:
    meaning = "what each means" if source.roles[reference.target] == "code" else "more of each"
    return Line(file_name(reference.column), "category", f"{reference.values:,} ids; {reference.target} says {meaning}")


def _header(source: Source, name: str) -> DraftTable:
    """An event whose rows others refer to, once more as an entity: they take their time from it.

    One with a row for each of its rows, which says how it ended, also takes from it what was known when it happened.
    """
    profile, key, noun = source.profiles[name], str(source.key(name)), f"{source.nouns[name]}_{HEADER}"
    at = source.when(name)
    assert at is not None
    lines = [
        Line("from", profile.table.from_, "the same rows once more: others take their time from them"),
        Line("entity", noun),
        Line("key", file_name(key), f"unique in {profile.table.of_rows}"),
        Line("known_from", file_name(at.name)),
    ]
    ids = dict.fromkeys([each.column for each in source.of(name)] + list(source.ids_alone[name]), "an id")
    columns, _ = columns_of(profile, {key: "", at.name: ""}, ids)
    if any(each.column in source.profiles[each.table].unique for each in source.to(name)):
        lines.append(Line("static", True, "? if all that is read of it was known when it happened"))
        columns = [line for line in columns if not (names_outcome(line.key) or comes_later(line.key))]
    else:
        columns = [line for line in columns if line.key in (file_name(key), file_name(at.name))]
    return DraftTable(f"{source.names[name]}_{HEADER}", profile, "entity", noun, tuple(lines), tuple(columns), at=at)


def _lends_its_time(source: Source, name: str) -> bool:
    return any(source.roles[each.table] == "event" for each in source.to(name))


def _event(source: Source, name: str) -> DraftTable:
    profile, noun = source.profiles[name], source.nouns[name]
    of = _entities_of(source, name)
    ids = {column: remark for _, column, remark in of}
    at = source.when(name)
    lines = [*_from(source, name), Line("event", noun), _at(source, name, at, of)]
    named = [Line(noun, file_name(column), evidence) for noun, column, evidence in of]
    lines.append(Line("of", [*named, *_perhaps_entities(source, name, at, of)]))
    key = _key(source, name, at, [column for _, column, _ in of])
    lines.append(key)
    used = dict.fromkeys([*ids, *_ids_of_key(profile, key)], "")
    if at is not None:
        used[at.name] = ""
        if written := when_it_was_written(profile, at, source.rows(name)):
            lines.append(Line("known_at", file_name(written[0].name), written[1]))
            used[written[0].name] = ""
    lines += _zone(profile)
    columns, left_out = _columns(source, name, used)
    growing = counts_on(line.key for line in columns if kind_of(line) == "number")
    columns = [line for line in columns if line.key not in growing]
    left_out += [(each, f"? counts on after the {noun}: as it is now, not as it was then") for each in growing]
    concerns = {each: file_name(column) for each, column, _ in of}
    key_columns = _source_names(profile, key.value if key.active else [])
    contracts = (*_contracts(source, name, [*used], of), *rules_of_empty_keys(source.names[name], profile, key_columns))
    return DraftTable(
        source.names[name],
        profile,
        "event",
        noun,
        tuple(lines),
        tuple(columns),
        tuple(left_out),
        concerns,
        at,
        contracts,
    )


def _contracts(source: Source, name: str, used: list[str], of: Iterable[tuple[str, str, str]] = ()) -> tuple[str, ...]:
    """Rules that set rows aside, where else they would block.

    Args:
        used: the columns that the table's lines name.
        of: what an event concerns, as of `_entities_of`.
    """
    return (*_rule_of_empty_ids(source, name, of), *_rule_of_texts(source, name, used))


def _rule_of_empty_ids(source: Source, name: str, of: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """A rule that lets many rows be set aside, where many do not say whom they are about."""
    columns = source.profiles[name].columns
    for noun, column, _ in of:
        empty = columns[column].rows - columns[column].filled
        if empty > MAX_SET_ASIDE * columns[column].rows:
            share = min(1.0, math.ceil(10 * empty / columns[column].rows + 1) / 10)
            rule = f"{{table: {source.names[name]}, rule: set_aside, max_share: {share}, action: block}}"
            yield f"{rule}  # {share_of(empty, columns[column].rows)} of the rows name no {noun}"


def _rule_of_texts(source: Source, name: str, used: list[str]) -> Iterator[str]:
    """A rule that sets aside what a few rows have instead of a time or of a whole number, such as the word for a total.

    Args:
        used: the columns that the table's lines name.
    """
    profile, rows = source.profiles[name], source.rows(name)
    ids = [each for each in used if profile.columns[each].kind != "time" and rows[each].type().is_string()]
    if any(column.wrong for column in profile.times) or any(_has_few_texts(rows[each]) for each in ids):
        yield f"{{table: {source.names[name]}, rule: well_typed, action: quarantine}}"


def _has_few_texts(ids: Any) -> bool:
    """Whether ids are read as whole numbers, and some are none."""
    given = without_null_words(ids, in_text=False)
    if not are_whole_numbers(given):
        return False
    wrong = (given.notnull() & read_numbers(given).isnull()).sum()
    return bool(wrong.as_table().to_pyarrow().to_pylist()[0].popitem()[1])


def _entities_of(source: Source, name: str) -> list[tuple[str, str, str]]:
    """Noun, column and evidence of each entity that an event concerns.

    The first is the unit, about which intervals are: no look-up table of a few ids, such as currencies, and a person
    where there is one.
    """
    found: list[tuple[str, str, str]] = []
    nouns: set[str] = set()

    def add(noun: str, column: str, evidence: str) -> None:
        while noun in nouns or noun in {source.nouns[each] for each in source.events}:
            noun = noun_of_id(column) if noun_of_id(column) not in nouns | {noun} else f"{noun}_2"
        nouns.add(noun)
        found.append((noun, column, evidence))

    for each in source.of(name):
        if source.roles[each.target] == "entity":
            add(source.nouns[each.target], each.column, each.evidence)
        elif source.roles[each.target] == "event" and _lends_its_time(source, each.target):
            add(f"{source.nouns[each.target]}_{HEADER}", each.column, each.evidence)
    for column, noun in source.ids_alone[name].items():
        add(noun, column, _unexplained(source, name, column))
    if not found:
        add(str(source.subject(name)), str(source.key(name)), "each row is about a thing of its own")
    columns = source.profiles[name].columns
    found.sort(key=lambda each: (columns[each[1]].distinct < FEWEST_UNITS, not is_person(each[0])))
    named = [each for each in found if _is_mostly_named(source, name, each[0], columns[each[1]])]
    return named or [max(found, key=lambda each: columns[each[1]].filled)]


def _unexplained(source: Source, name: str, column: str) -> str:
    """Of ids without a table, how many there are, and whether a table has them in another spelling."""
    ids = f"{int(source.rows(name)[column].nunique().execute()):,} ids, which no table is known to explain"
    other = spelled_otherwise(source.profiles, source.connection, name, column)
    if other is None:
        return ids
    place = f"{other.target}.{other.key}"
    return f"? {ids}: {place} has {other.found:,} of them in another spelling, such as without zeros; write them alike"


def _is_mostly_named(source: Source, name: str, noun: str, column: ColumnProfile) -> bool:
    """Whether an event has one of these in nearly all rows, unlike an auction its winner; or takes its time from it."""
    if source.when(name) is None:
        return True
    return column.filled >= (HALF_NAMED if is_person(noun) else MOSTLY_NAMED) * column.rows


def _perhaps_entities(
    source: Source, name: str, at: ColumnProfile | None, of: list[tuple[str, str, str]]
) -> Iterator[Line]:
    """Categories whose values come again and again, such as the operator of an aircraft: each may have a past."""
    taken = {noun for noun, _, _ in of} | set(source.nouns.values())
    others = [
        each for each in source.profiles[name].columns.values() if each.name not in {column for _, column, _ in of}
    ]
    for column in others:
        often = FEWEST_UNITS <= column.distinct <= column.filled / ROWS_OF_UNIT
        noun = noun_of_id(column.name)
        if column.kind == "category" and column.usable and often and at is not None and noun and noun not in taken:
            taken.add(noun)
            evidence = f"? {column.distinct:,} values: if each is one and the same thing, its past may say something"
            yield Line(noun, file_name(column.name), evidence, active=False)


def _at(source: Source, name: str, at: ColumnProfile | None, of: list[tuple[str, str, str]]) -> Line:
    profile = source.profiles[name]
    if at is not None:
        others = [column.name for column in profile.times if column is not at]
        doubt = f"? or {', '.join(others)}" if others else ""
        return Line("at", file_name(at.name), doubt)
    for reference in source.of(name):
        time = source.when(reference.target)
        if time is not None and lends_its_time(source, reference):
            noun = next(noun for noun, column, _ in of if column == reference.column)
            own = f"? {profile.times[0].name} was foreseen" if profile.times else "no time of its own"
            return Line("at", f"{noun}.{file_name(time.name)}", f"{own}: that of its {noun}")
    raise AssertionError(f"{name} has no time")


def _key(source: Source, name: str, at: ColumnProfile | None, of: list[str]) -> Line:
    """What makes a row unique; a comment where `of` and `at` do, or where nothing does."""
    profile, rows = source.profiles[name], source.rows(name)
    where = profile.table.of_rows
    if (key := source.key(name)) is not None:
        return Line("key", [file_name(key)], f"unique in {where}")
    columns, excess, first = key_of_columns(profile, rows, at, of)
    if excess:
        return Line("key", [], f"? {excess:,} of {where} cannot be distinguished from others", active=False)
    if columns == first:
        return Line("key", [file_name(each) for each in columns], f"unique in {where}", active=False)
    return Line("key", [file_name(each) for each in columns], f"together unique in {where}")


def key_of_columns(
    profile: TableProfile, rows: Any, at: ColumnProfile | None, of: list[str], never: Collection[str] = ()
) -> tuple[list[str], int, list[str]]:
    """The columns that distinguish most rows of an event, how many rows they do not, and those that any event has.

    Args:
        of: the columns of what an event concerns.
        never: columns that must not be among them, such as the outcome.
    """
    first = [*of, *([at.name] if at else [])]
    others = [
        column.name
        for column in profile.columns.values()
        if column.kind in ("id", "category", "number") and column.filled == column.rows
        if column.name not in first and column.name not in never
    ]
    others.sort(key=lambda each: (not is_id_name(each), list(profile.columns).index(each)))
    columns, excess = composite_key(rows, first, others[:MOST_OF_KEY])
    return columns, excess, first


def rules_of_empty_keys(name: str, profile: TableProfile, key: list[str]) -> Iterator[str]:
    """Rules that set rows aside that lack a part of the key that the file states."""
    for column in key:
        if profile.columns[column].filled < profile.columns[column].rows:
            yield f"{{table: {name}, rule: present, column: {file_name(column)}, action: quarantine}}"


def _ids_of_key(profile: TableProfile, key: Line) -> list[str]:
    """The columns of a key that only identify. Of several, some, such as the page of a click, say more."""
    names = _source_names(profile, key.value if key.active else [])
    if len(names) == 1:
        return names
    return [name for name in names if profile.columns[name].kind == "id" or not profile.columns[name].usable]


def _source_names(profile: TableProfile, names: Any) -> list[str]:
    back = {file_name(name): name for name in profile.columns}
    return [back[name] for name in names]


def _zone(profile: TableProfile) -> list[Line]:
    naive = [column for column in profile.times if not column.zoned and _has_time_of_day(column)]
    if not naive:
        return []
    return [Line("timezone", "UTC", "? times carry no zone: if they are local, such as Europe/Berlin", active=False)]


def _has_time_of_day(column: ColumnProfile) -> bool:
    return any(getattr(value, "hour", 0) or getattr(value, "minute", 0) for value in (column.lowest, column.highest))


def _parts(source: Source, name: str, used: dict[str, str]) -> dict[str, str]:
    """Ids that say nothing of the event, and why. In a table of entities, any that is not named elsewhere."""
    profile = source.profiles[name]
    of_event = source.roles[name] == "event"
    of_entities = {each.column for each in source.of(name) if source.roles[each.target] == "entity"}
    of_things = {*source.ids_alone[name], *of_entities}

    def why(column: ColumnProfile) -> str:
        if column.name in of_things:
            return f"an id, empty in {share_of(column.rows - column.filled, column.rows)} of the rows"
        return "an id with one time each: a part of the event, not an entity"

    return {
        column.name: why(column) if of_event else "an id"
        for column in profile.columns.values()
        if (column.kind == "id" or (of_event and column.name in of_things))
        and column.name not in used
        and column.name not in profile.unique
    }
