"""Validates tables against the contract, and separates the rows that keep it from those that do not.

A blocked table stops the ingest before anything is written; a quarantined row is kept with its
reasons; a warning is counted and let through. Nothing is dropped silently.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add, and_, or_
from pathlib import Path

import ibis
import pyarrow as pa

from mlguide_assets.define.contracts import (
    Action,
    Filled,
    NewestKnown,
    NotAfter,
    NotBefore,
    NotEarlier,
    NotOverlapping,
    OneOf,
    Present,
    Range,
    References,
    Rule,
    SetAside,
    Unique,
    WellTyped,
)
from mlguide_assets.define.rules import key_of
from mlguide_assets.define.schema import EntityTable, EventTable, Schema, TableName
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.computing import Engine
from mlguide_assets.prepare.contracts.causes import cause_of
from mlguide_assets.prepare.features.events import is_one_of
from mlguide_assets.prepare.lake.snapshots import UNPARTITIONED
from mlguide_assets.prepare.partitions.calendar import KEY
from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets.prepare.sources.newest import NEWER


@dataclass(frozen=True)
class RuleResult:
    """What one rule found: `violations` of `rows` rows, one example of a row that breaks it, and the cause in words."""

    rule: str
    table: TableName
    action: Action
    rows: int
    violations: int
    example: str | None
    cause: str | None = None

    @property
    def passed(self) -> bool:
        return self.violations == 0


@dataclass(frozen=True)
class Tally:
    """What rules found in some rows of a table: violations, and one example, by the rule's fact.

    Of several examples the one counts that comes first by its values, whatever the order of the rows.
    """

    rows: int
    violations: Mapping[str, int]
    examples: Mapping[str, Mapping[str, int | str | None]]


@dataclass(frozen=True)
class Validated:
    """The outcome for some tables: what goes on, and why; and of tables that lose any, the rows that are set aside."""

    results: tuple[RuleResult, ...]
    accepted: Mapping[TableName, ibis.Table]
    quarantined: Mapping[TableName, ibis.Table]


def validate(
    tables: Mapping[TableName, ibis.Table],
    schema: Schema,
    rules: tuple[Rule, ...],
    engine: Engine,
    *,
    scratch: Path,
    now: datetime,
) -> Validated:
    """Apply every rule to the cast tables of a source, whole.

    References are validated against the accepted rows of their target, so an event of a quarantined entity
    is quarantined too.

    Args:
        scratch: a folder for the marked rows, which are read several times; it must outlive the result.
        now: when the tables were read, UTC.

    Returns:
        Accepted rows come in any order: who writes them brings them into `accepted_order`, and who looks at them does
        not pay for it with every look.
    """
    accepted: dict[TableName, ibis.Table] = {}
    set_aside: dict[TableName, ibis.Table] = {}
    results: list[RuleResult] = []
    for name in (name for name in schema.ordered if name in tables):
        table, own = schema.tables[name], rules_of(name, rules)
        path = scratch / f"{name}.marked.parquet"
        marked = engine.stored(mark(tables[name], table, own, accepted, schema, now=now), path)
        found = tallies(marked.mutate({KEY: ibis.literal(UNPARTITIONED)}), table, own)
        results += results_of(name, table, own, found.values())
        accepted[name] = accepted_rows(marked, table, own)
        if any(sets_aside(tally, own) for tally in found.values()):
            set_aside[name] = rows_set_aside(marked, name, table, own).order_by(SET_ASIDE_ORDER)
    return Validated(tuple(results), accepted, set_aside)


def rules_of(table: TableName, rules: tuple[Rule, ...]) -> list[Rule]:
    return [rule for rule in rules if rule.table == table]


def results_table(results: tuple[RuleResult, ...]) -> pa.Table:
    """The results as a table, one row per rule."""
    columns = {
        "rule": [r.rule for r in results],
        "violations": [r.violations for r in results],
        "rows": [r.rows for r in results],
        "action": [r.action for r in results],
        "example": pa.array([r.example for r in results], pa.string()),
        "cause": pa.array([r.cause for r in results], pa.string()),
    }
    return pa.table(columns)


def mark(
    rows: ibis.Table,
    table: EntityTable | EventTable,
    rules: list[Rule],
    accepted: Mapping[TableName, ibis.Table],
    schema: Schema,
    *,
    now: datetime,
) -> ibis.Table:
    """Add a boolean column per rule: this row breaks it."""
    for target in sorted({rule.target for rule in rules if isinstance(rule, (References, NotBefore))}):
        rows = _join_target(rows, rules, target, accepted[target], schema.entity_tables[target].key)
    validated = [rule for rule in rules if not isinstance(rule, SetAside)]
    broken = {rule.fact: _broken(rows, table, rule, now) for rule in validated}
    if any(isinstance(rule, WellTyped) and rule.action != "warn" for rule in rules):
        # What does not read has become null, and that it does not read is all that there is to say.
        for rule in validated:
            if isinstance(rule, Present | Filled):
                broken[rule.fact] &= ~_does_not_read(rows, rule.column)
    rows = rows.mutate({fact: each.fill_null(False) for fact, each in broken.items()})
    return rows.mutate({rule.fact: _bad(rows, rules) for rule in rules if isinstance(rule, SetAside)})


def _join_target(table: ibis.Table, rules: list[Rule], target: TableName, rows: ibis.Table, id_: str) -> ibis.Table:
    """Bring the id and the times of the referred row to each row, prefixed with the target's name."""
    speaking = [rule for rule in rules if isinstance(rule, (References, NotBefore)) and rule.target == target]
    keys = {rule.column if isinstance(rule, References) else rule.key for rule in speaking}
    times = {rule.target_column for rule in speaking if isinstance(rule, NotBefore)}
    for key in sorted(keys):
        # A duplicate id is the target's own violation; here it must not multiply rows.
        wanted = rows.group_by(id_).aggregate({_at(key, target, each): rows[each].min() for each in sorted(times)})
        renamed = wanted.rename({_at(key, target, _ID): id_})
        table = table.left_join(renamed, table[key] == renamed[_at(key, target, _ID)])
    return table


_ID = "id"


def _at(key: str, target: TableName, column: str) -> str:
    return f"{key}:{target}.{column}"


def _does_not_read(rows: ibis.Table, column: str) -> ibis.Value:
    """Whether a column has a value that does not read as its kind: one of `column=value, column=value`."""
    return (ibis.literal(", ") + rows[UNREADABLE]).contains(f", {column}=").fill_null(False)


def _broken(rows: ibis.Table, table: EntityTable | EventTable, rule: Rule, now: datetime) -> ibis.Value:
    match rule:
        case WellTyped():
            return rows[UNREADABLE].notnull()
        case Present(column=column) | Filled(column=column):
            return rows[column].isnull()
        case NewestKnown(key=key):
            return reduce(and_, (rows[column].notnull() for column in key)) & rows[NEWER].isnull()
        case Unique(columns=columns) if NEWER in rows.columns and set(columns) == set(key_of(table)):
            return reduce(and_, (rows[name].notnull() for name in columns)) & (rows[NEWER] > 0)
        case Unique(columns=columns):
            # By all other columns, so that it is always the same one of the duplicates that is kept.
            others = [name for name in table.columns if name not in columns]
            given = reduce(and_, (rows[name].notnull() for name in columns))
            return given & (ibis.row_number().over(group_by=list(columns), order_by=others) > 0)
        case NotOverlapping():
            return _overlaps(rows, table)
        case Range(column=column, min=low, max=high):
            value = rows[column]
            below = value < low if low is not None else ibis.literal(False)
            return below | (value > high if high is not None else ibis.literal(False))
        case OneOf(column=column, values=values):
            return ~is_one_of(rows[column], _kind_as_read(rows, table, column), values)
        case References(column=column, target=target):
            return rows[column].notnull() & rows[_at(column, target, _ID)].isnull()
        case NotBefore(column=column, key=key, target=target, target_column=earliest):
            return rows[column] < rows[_at(key, target, earliest)]
        case NotAfter(column=column, slack=slack):
            return rows[column] > ibis.timestamp(now + slack)
        case NotEarlier(column=column, floor=floor):
            return rows[column] < ibis.timestamp(midnight(floor))
        case SetAside():
            raise TypeError("rows set aside are counted once all other rules have spoken")


def _overlaps(rows: ibis.Table, table: EntityTable | EventTable) -> ibis.Value:
    """A row of a history is still valid when the next one of its key begins. It is enough to look at the next one:
    where a later one overlaps, the next does."""
    assert isinstance(table, EntityTable)
    assert table.history is not None
    begun, ended = rows[table.history.from_], rows[table.history.to]
    # Of corrections, which begin at one instant, the newest comes last and is the one that is compared.
    newest_last = [ibis.desc(NEWER)] if NEWER in rows.columns else []
    following = begun.lead().over(group_by=table.key, order_by=[begun, *newest_last, ended])
    return rows[table.key].notnull() & (following > begun) & ((ended > following) | ended.isnull())


def _kind_as_read(rows: ibis.Table, table: EntityTable | EventTable, column: str) -> str:
    """The kind of a column; text where it is read as one whatever its kind, as an outcome is."""
    return "text" if rows[column].type().is_string() else table.columns[column].kind


def tallies(marked: ibis.Table, table: EntityTable | EventTable, rules: list[Rule]) -> dict[str, Tally]:
    """Count the violations of each partition of marked rows, by the column `KEY`."""
    sums = {rule.fact: marked[rule.fact].sum().fill_null(0) for rule in rules}
    # A label for the row count that no rule can have: facts hold no dots.
    counted = marked.group_by(KEY).aggregate({**sums, ".rows": marked.count()}).to_pyarrow().to_pylist()
    broken = [rule for rule in rules if any(counts[rule.fact] for counts in counted)]
    examples = {rule.fact: _examples(marked, table, rule) for rule in broken}
    return {
        counts[KEY]: Tally(
            rows=int(counts[".rows"]),
            violations={rule.fact: int(counts[rule.fact]) for rule in broken if counts[rule.fact]},
            examples={fact: by_key[counts[KEY]] for fact, by_key in examples.items() if counts[fact]},
        )
        for counts in counted
    }


def results_of(
    name: TableName, table: EntityTable | EventTable, rules: list[Rule], found: Iterable[Tally]
) -> list[RuleResult]:
    """The results of a table's rules over all its partitions."""
    found = list(found)
    return [_result_of(name, table, rule, found) for rule in rules]


def _result_of(name: TableName, table: EntityTable | EventTable, rule: Rule, found: list[Tally]) -> RuleResult:
    rows = sum(tally.rows for tally in found)
    violations = sum(tally.violations.get(rule.fact, 0) for tally in found)
    if rule.holds(violations, rows):
        return RuleResult(rule.name, name, rule.action, rows, violations=0, example=None)
    examples = [tally.examples[rule.fact] for tally in found if rule.fact in tally.examples]
    first = min(examples, key=lambda row: [(value is None, value) for value in row.values()], default={})
    return RuleResult(
        rule.name,
        name,
        rule.action,
        rows,
        violations,
        example=", ".join(f"{column} {value}" for column, value in first.items()) or None,
        cause=cause_of(rule, table, first, all_rows=violations == rows),
    )


def _examples(
    marked: ibis.Table, table: EntityTable | EventTable, rule: Rule
) -> dict[str, dict[str, int | str | None]]:
    """The first row of each partition that breaks a rule: its ids, and what the rule looks at."""
    shown = [UNREADABLE] if isinstance(rule, WellTyped) else list(rule.columns_used)
    if isinstance(rule, NotOverlapping) and isinstance(table, EntityTable) and table.history:
        shown = [table.key, table.history.from_, table.history.to]
    if isinstance(rule, NotBefore):
        shown.append(_at(rule.key, rule.target, rule.target_column))
    ids = [name for name in table.of_kind("id") if name not in shown]
    broken = marked.filter(marked[rule.fact])
    place = ibis.row_number().over(group_by=KEY, order_by=ids + shown)
    first = broken.mutate(_place=place).filter(lambda rows: rows["_place"] == 0).select(KEY, *ids, *shown)
    return {
        row.pop(KEY): {
            name.partition(":")[2] or name: value if value is None or isinstance(value, int) else str(value)
            for name, value in row.items()
        }
        for row in first.to_pyarrow().to_pylist()
    }


def accepted_rows(
    marked: ibis.Table, table: EntityTable | EventTable, rules: list[Rule], kept: Sequence[str] = ()
) -> ibis.Table:
    """The rows that go on, in any order; `kept` are columns beside those of the table."""
    return marked.filter(~_bad(marked, rules)).select(*table.columns, *kept)


def sets_aside(tally: Tally, rules: list[Rule]) -> bool:
    """Whether any row of those is set aside."""
    return any(tally.violations.get(rule.fact) for rule in rules if rule.action == "quarantine")


def accepted_order(table: EntityTable | EventTable) -> list[str]:
    """The order of keys, time first, so that equal content is an equal snapshot."""
    time = table.own_time if isinstance(table, EventTable) else None
    # Where duplicates may stay, the other columns decide the order.
    return list(dict.fromkeys([*([time] if time else []), *key_of(table), *table.columns]))


def _bad(marked: ibis.Table, rules: list[Rule]) -> ibis.Value:
    """The row breaks a rule that sets it aside."""
    return reduce(or_, (marked[rule.fact] for rule in rules if rule.action == "quarantine"), ibis.literal(False))


SET_ASIDE_ORDER = ("reasons", "row")


def rows_set_aside(
    marked: ibis.Table, name: TableName, table: EntityTable | EventTable, rules: list[Rule], kept: Sequence[str] = ()
) -> ibis.Table:
    """The common shape of quarantined rows: table, reasons, and the row as text; in any order."""
    rows = marked.filter(_bad(marked, rules))
    removing = [rule for rule in rules if rule.action == "quarantine"]
    reasons = [ibis.ifelse(rows[rule.fact], f"{rule.name} ", "") for rule in removing]
    columns = [
        ibis.ifelse(rows[column].isnull(), "", ibis.literal(f"{column}=") + rows[column].cast("string") + "; ")
        # What does not read as its type has become null there: keep it as it was written.
        for column in (*table.columns, UNREADABLE)
    ]
    return rows.select(
        ibis.literal(name).name("table"),
        reduce(add, reasons, ibis.literal("")).strip().name("reasons"),
        reduce(add, columns).strip().name("row"),
        *kept,
    )
