"""Validates an event table by partition: only those whose rows or entities have changed since the last validation.

What the rules found in the others is kept with the table, so that results and quarantined rows are always those of
all rows.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.contracts import NotAfter, NotBefore, References, Rule, Unique
from mlguide_assets.define.schema import EventTable, Schema, TableName
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.computing import Engine
from mlguide_assets.prepare.contracts.validation import (
    SET_ASIDE_ORDER,
    RuleResult,
    Tally,
    accepted_order,
    accepted_rows,
    mark,
    results_of,
    rows_set_aside,
    rules_of,
    sets_aside,
    tallies,
)
from mlguide_assets.prepare.lake.data_files import Partitions, TableLike
from mlguide_assets.prepare.lake.snapshots import DataFile, Snapshot
from mlguide_assets.prepare.partitions.calendar import KEY, Calendar
from mlguide_assets.prepare.partitions.digests import DayOfEvents, Referred, days_of_events, digest, row_hash
from mlguide_assets.prepare.partitions.rebuilding import Plan, fingerprint, plan
from mlguide_assets.prepare.sources.newest import NEWER


@dataclass(frozen=True)
class EventNotes:
    """What an event table remembers of its last writing, for the next one and for what is computed from it.

    Args:
        open_from: see `Calendar`.
        landed: per partition rows of the source, without those of the future, and their digest; both add up.
        tallies: per partition what the rules found.
        references: digests of the entity tables that the events were validated with.
    """

    open_from: str
    landed: Mapping[str, tuple[int, int]]
    tallies: Mapping[str, Mapping[str, Any]]
    references: Mapping[str, str]


@dataclass(frozen=True)
class ValidatedEvents:
    """The outcome for an event table, as partitions of it and of `quarantined_rows`."""

    results: tuple[RuleResult, ...]
    accepted: Partitions
    quarantined: Partitions


def validate_events(
    name: TableName,
    events: ibis.Table,
    accepted: Mapping[TableName, ibis.Table],
    schema: Schema,
    rules: tuple[Rule, ...],
    engine: Engine,
    *,
    final_after: timedelta,
    scratch: Path,
    before: Snapshot | None,
    set_aside_before: Snapshot | None,
    now: datetime,
) -> ValidatedEvents:
    """Validate the changed partitions of an event table with its own time, as `contracts.validate` would the whole.

    Args:
        events: rows of the source, after the cast.
        accepted: the entity tables that they may refer to.
        scratch: a folder for the marked rows; it must outlive the result.
        before: the table as it is in the lake, if it is.
        set_aside_before: `quarantined_rows` as they are.
        now: when the events were read, UTC.
    """
    table, own = schema.event_tables[name], rules_of(name, rules)
    days = days_of_events(events, table, _referred(table, own, accepted, schema))
    calendar = Calendar.of(_newest(days, own, now), final_after)
    bound = _bound_together(events, table, own, calendar)
    landed = _with_doubles(_landed(days, calendar), bound)
    known: Mapping[str, Any] = before.notes.get("tallies", {}) if before else {}
    types = {column: str(type_) for column, type_ in events.schema().items()}
    chosen = _plan(name, types, landed, bound, own, known, before, set_aside_before)

    stale = _of_partitions(events, str(table.own_time), calendar, chosen, days)
    validator = _Validator(name, table, own, accepted, schema, engine, scratch, now)
    rebuilt = validator.partitions(stale, chosen.stale)
    found = {**{key: Tally(**known[key]) for key in chosen.kept}, **rebuilt.tallies}
    ahead = {key: count for key, tally in found.items() if (count := _ahead(tally, own))}
    # Another one as soon as time has brought one of these rows, of which the source says nothing new.
    of_ahead = {key: fingerprint(chosen.inputs[key], count, code_of=__name__) for key, count in ahead.items()}
    inputs = {**chosen.inputs, **of_ahead}
    notes = EventNotes(
        open_from=calendar.open_from.isoformat(),
        landed={key: (rows - ahead.get(key, 0), total) for key, (rows, total) in landed.items()},
        tallies={key: asdict(tally) for key, tally in sorted(found.items())},
        references={each: digest(accepted[each]) for each in map(schema.table_of, table.of) if each is not None},
    )
    set_aside = _of_table(name, set_aside_before)
    kept_aside = {key: set_aside[key] for key in chosen.kept if sets_aside(found[key], own)}
    return ValidatedEvents(
        results=tuple(results_of(name, table, own, found.values())),
        accepted=Partitions(rebuilt.accepted, inputs, kept=chosen.kept, notes=asdict(notes)),
        quarantined=Partitions(
            {_aside(name, key): rows for key, rows in rebuilt.quarantined.items()},
            {_aside(name, key): of_key for key, of_key in inputs.items()},
            kept={_aside(name, key): file for key, file in kept_aside.items()},
        ),
    )


def _referred(
    table: EventTable, rules: list[Rule], accepted: Mapping[TableName, ibis.Table], schema: Schema
) -> list[Referred]:
    """The tables of the entities of an event, and those that its rules look at."""
    columns = {(column, each) for noun, column in table.of.items() if (each := schema.table_of(noun)) is not None}
    columns |= {(rule.column, rule.target) for rule in rules if isinstance(rule, References)}
    columns |= {(rule.key, rule.target) for rule in rules if isinstance(rule, NotBefore)}
    return [Referred(column, accepted[each], schema.entity_tables[each].key) for column, each in sorted(columns)]


def _aside(name: TableName, key: str) -> str:
    """The partition of `quarantined_rows` that holds those of a partition of a table."""
    return f"{name}.{key}"


def _ahead(tally: Tally, rules: list[Rule]) -> int:
    """How many rows are of the future, by all rules that look for them."""
    return sum(tally.violations.get(rule.fact, 0) for rule in rules if isinstance(rule, NotAfter))


def _of_table(name: TableName, set_aside: Snapshot | None) -> dict[str, DataFile]:
    """Partition of a table → the file of its quarantined rows."""
    prefix = _aside(name, "")
    files = set_aside.partitions if set_aside else {}
    return {key.removeprefix(prefix): file for key, file in files.items() if key.startswith(prefix)}


def _newest(days: list[DayOfEvents], rules: list[Rule], now: datetime) -> date:
    """The day that the data have reached, of those that no rule forbids."""
    slack = min((rule.slack for rule in rules if isinstance(rule, NotAfter)), default=timedelta.max)
    latest = now.date() + slack if slack < date.max - now.date() else date.max
    return last_day({each.day: each.rows for each in days if each.day and each.day <= latest}) or date.min


def _landed(days: list[DayOfEvents], calendar: Calendar) -> dict[str, tuple[int, int]]:
    landed: dict[str, tuple[int, int]] = {}
    for each in days:
        rows, total = landed.get(calendar.key(each.day), (0, 0))
        landed[calendar.key(each.day)] = (rows + each.rows, total + each.digest)
    return dict(sorted(landed.items()))


def _with_doubles(landed: Mapping[str, tuple[int, int]], bound: frozenset[str]) -> dict[str, tuple[int, int]]:
    """What has landed, where a partition with doubles in others is another one as soon as one of these is: which row of
    a key is accepted depends on all of them."""
    together = [(key, what) for key, what in landed.items() if key in bound]
    mixed = int(hashlib.sha256(json.dumps(together).encode()).hexdigest()[:16], 16)
    return {key: (rows, total + mixed if key in bound else total) for key, (rows, total) in landed.items()}


def _bound_together(events: ibis.Table, table: EventTable, rules: list[Rule], calendar: Calendar) -> frozenset[str]:
    """The partitions that have doubles in others, so that a rule about them is of all their rows.

    Doubles of what is bound to a time are in one partition, and a row that counts the newer ones speaks for itself.
    """
    across = [rule for rule in rules if isinstance(rule, Unique) and table.own_time not in rule.columns]
    if NEWER in events.columns:
        across = [rule for rule in across if set(rule.columns) != set(table.unique_by)]
    return frozenset(key for rule in across for key in _with_rows_of(rule.columns, events, table, calendar))


def _with_rows_of(columns: Sequence[str], events: ibis.Table, table: EventTable, calendar: Calendar) -> list[str]:
    """The partitions that share a row of one key with another one."""
    given = events.drop_null(columns)
    # By a hash, whose groups are small where keys are long texts; two keys of one hash only bind too much.
    rows = given.select(key=row_hash(*(given[name] for name in columns)), at=given[str(table.own_time)])
    doubled = rows.group_by("key").having(rows.count() > 1).aggregate()
    # Asked first, since there are none in most tables.
    if not doubled.count().to_pyarrow().as_py():
        return []
    rows = rows.semi_join(doubled, "key")
    keyed = rows.select("key", calendar.keys(rows["at"]).name(KEY)).distinct()
    shared = keyed.group_by("key").having(keyed.count() > 1).aggregate()
    return [str(key) for key in keyed.semi_join(shared, "key").select(KEY).distinct().to_pyarrow()[KEY].to_pylist()]


def _plan(
    name: TableName,
    types: Mapping[str, str],
    landed: Mapping[str, tuple[int, int]],
    bound: frozenset[str],
    rules: list[Rule],
    known: Mapping[str, Any],
    before: Snapshot | None,
    set_aside_before: Snapshot | None,
) -> Plan:
    wanted = [rule.model_dump(mode="json") for rule in rules]
    inputs = {key: fingerprint(name, types, wanted, what, code_of=__name__) for key, what in landed.items()}
    set_aside = _of_table(name, set_aside_before)
    # The two tables are written one after the other, and a run may be killed in between.
    torn = {
        key
        for key in inputs
        if key not in known
        # What was in the future may no longer be.
        or _ahead(Tally(**known[key]), rules)
        or (sets_aside(Tally(**known[key]), rules) and (key not in set_aside or set_aside[key].inputs != inputs[key]))
    }
    chosen = plan(inputs, before, never_keep=torn)
    return plan(inputs, before, never_keep=torn | bound) if bound.intersection(chosen.stale) else chosen


def _of_partitions(
    events: ibis.Table, time: str, calendar: Calendar, chosen: Plan, days: list[DayOfEvents]
) -> ibis.Table:
    """The rows of the partitions that are rebuilt, with the column `partition`."""
    stale = [each.day for each in days if calendar.key(each.day) in chosen.inputs.keys() - chosen.kept.keys()]
    first = min((day for day in stale if day is not None), default=date.max)
    # By time first, which costs a tenth of naming the partition of every row.
    if chosen.kept and first > date.min:
        events = events.filter(events[time].isnull() | (events[time] >= midnight(first)))
    events = events.mutate({KEY: calendar.keys(events[time])})
    return events.filter(events[KEY].isin(chosen.stale)) if chosen.kept else events


@dataclass(frozen=True)
class _Rebuilt:
    tallies: Mapping[str, Tally]
    accepted: Mapping[str, TableLike]
    quarantined: Mapping[str, TableLike]


@dataclass(frozen=True)
class _Validator:
    """The rules of a table, and what they are applied with."""

    name: TableName
    table: EventTable
    rules: list[Rule]
    accepted: Mapping[TableName, ibis.Table]
    schema: Schema
    engine: Engine
    scratch: Path
    now: datetime

    def partitions(self, events: ibis.Table, keys: list[str]) -> _Rebuilt:
        """Validate rows with the column `partition`, whose values are the keys."""
        if not keys:
            return _Rebuilt({}, {}, {})
        rows = mark(events, self.table, self.rules, self.accepted, self.schema, now=self.now)
        marked = self.engine.parted(rows, keys, self.scratch / self.name)
        found = tallies(marked.rows, self.table, self.rules)
        aside = [key for key in keys if sets_aside(found[key], self.rules)]

        def accepted(rows: ibis.Table, kept: Sequence[str]) -> ibis.Table:
            return accepted_rows(rows, self.table, self.rules, kept)

        def set_aside(rows: ibis.Table, kept: Sequence[str]) -> ibis.Table:
            return rows_set_aside(rows, self.name, self.table, self.rules, kept)

        return _Rebuilt(
            found,
            marked.each(accepted, accepted_order(self.table), keys),
            marked.each(set_aside, SET_ASIDE_ORDER, aside),
        )
