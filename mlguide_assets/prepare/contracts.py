"""Judging tables by the contract, and parting what keeps it from what does not.

A blocked table stops the ingest before anything is written; a quarantined row is kept with its
reasons; a warning is counted and let through. Nothing is dropped silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add, and_, or_
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.contracts import (
    Action,
    NotBefore,
    OneOf,
    Present,
    Range,
    References,
    Rule,
    Unique,
    WellTyped,
)
from mlguide_assets.define.tables import KEYS, TABLES, TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.conforming import UNREADABLE


@dataclass(frozen=True)
class RuleResult:
    """What one rule found: `violations` of `rows` rows, and one example of a row that breaks it."""

    rule: str
    table: TableName
    action: Action
    rows: int
    violations: int
    example: str | None

    @property
    def passed(self) -> bool:
        return self.violations == 0


@dataclass(frozen=True)
class Judged:
    """The outcome for all tables: what goes on, what is set aside, and why."""

    results: tuple[RuleResult, ...]
    accepted: Mapping[TableName, ibis.Table]
    quarantined: ibis.Table

    def blocking(self) -> list[RuleResult]:
        return [result for result in self.results if result.action == "block" and not result.passed]


def judge(tables: Mapping[TableName, ibis.Table], rules: tuple[Rule, ...], connection: Any, *, scratch: Path) -> Judged:
    """Apply every rule to the conformed tables of a source.

    References are judged against the accepted rows of their target, so a send to a quarantined user
    is quarantined too.

    Args:
        scratch: a folder for the marked rows, which are read several times; it must outlive the result.
    """
    accepted: dict[TableName, ibis.Table] = {}
    set_aside: list[ibis.Table] = []
    results: list[RuleResult] = []
    for table in TABLES:
        own = [rule for rule in rules if rule.table == table]
        path = str(scratch / f"{table}.marked.parquet")
        connection.to_parquet(_mark(tables[table], own, accepted), path)
        marked = connection.read_parquet(path)
        results += _count(marked, table, own)
        removed = [rule for rule in own if rule.action == "quarantine"]
        bad = reduce(or_, (marked[rule.fact] for rule in removed), ibis.literal(False))
        # In the order of their keys, time first, so that equal content is an equal snapshot.
        ordered = marked.order_by(sorted(KEYS[table], key="delivered_at".__ne__))
        accepted[table] = ordered.filter(~bad).select(*TABLES[table].columns)
        set_aside.append(_set_aside(ordered.filter(bad), table, removed))
    return Judged(tuple(results), accepted, ibis.union(*set_aside).order_by("table", "reasons", "row"))


def refuse_blocked(judged: Judged, place: str) -> None:
    """Raise for the first broken rule that blocks, and say how many more there are."""
    blocking = judged.blocking()
    if not blocking:
        return
    first, *others = blocking
    more = f" {len(others)} more blocking rule(s) are broken: {', '.join(r.rule for r in others)}." if others else ""
    raise InputError(
        f"{first.table} from {place} breaks {first.rule} in {first.violations:,} of {first.rows:,} rows, "
        f"for example {first.example}: mend the source, or say 'quarantine' for this rule under contracts in the "
        f"problem file.{more}"
    )


def results_table(results: tuple[RuleResult, ...]) -> pa.Table:
    """The results as a table, one row per rule."""
    columns = {
        "rule": [r.rule for r in results],
        "violations": [r.violations for r in results],
        "rows": [r.rows for r in results],
        "action": [r.action for r in results],
        "example": pa.array([r.example for r in results], pa.string()),
    }
    return pa.table(columns)


def _mark(table: ibis.Table, rules: list[Rule], accepted: Mapping[TableName, ibis.Table]) -> ibis.Table:
    """Add a boolean column per rule: this row breaks it."""
    for target in {rule.target for rule in rules if isinstance(rule, (References, NotBefore))}:
        table = _join_target(table, rules, target, accepted[target])
    return table.mutate(**{rule.fact: _broken(table, rule).fill_null(False) for rule in rules})


def _join_target(table: ibis.Table, rules: list[Rule], target: TableName, rows: ibis.Table) -> ibis.Table:
    """Bring the id and the times of the referred row to each row, prefixed with the target's name."""
    speaking = [rule for rule in rules if isinstance(rule, (References, NotBefore)) and rule.target == target]
    keys = {rule.column if isinstance(rule, References) else rule.key for rule in speaking}
    times = {rule.target_column for rule in speaking if isinstance(rule, NotBefore)}
    for key in sorted(keys):
        # A duplicate id is the target's own violation; here it must not multiply rows.
        wanted = rows.group_by("id").aggregate(**{_at(key, target, time): rows[time].min() for time in sorted(times)})
        renamed = wanted.rename({_at(key, target, "id"): "id"})
        table = table.left_join(renamed, table[key] == renamed[_at(key, target, "id")])
    return table


def _at(key: str, target: TableName, column: str) -> str:
    return f"{key}:{target}.{column}"


def _broken(table: ibis.Table, rule: Rule) -> ibis.Value:
    match rule:
        case WellTyped():
            return table[UNREADABLE].notnull()
        case Present(column=column):
            return table[column].isnull()
        case Unique(columns=columns):
            # By all other columns, so that it is always the same one of the duplicates that is kept.
            others = [name for name in TABLES[rule.table].columns if name not in columns]
            given = reduce(and_, (table[name].notnull() for name in columns))
            return given & (ibis.row_number().over(group_by=list(columns), order_by=others) > 0)
        case Range(column=column, min=low, max=high):
            value = table[column]
            below = value < low if low is not None else ibis.literal(False)
            return below | (value > high if high is not None else ibis.literal(False))
        case OneOf(column=column, values=values):
            return table[column].notin(values)
        case References(column=column, target=target):
            return table[column].notnull() & table[_at(column, target, "id")].isnull()
        case NotBefore(column=column, key=key, target=target, target_column=time):
            return table[column] < table[_at(key, target, time)]


def _count(marked: ibis.Table, table: TableName, rules: list[Rule]) -> list[RuleResult]:
    sums = {rule.fact: marked[rule.fact].sum().fill_null(0) for rule in rules}
    # A label for the row count that no rule can have: facts hold no dots.
    counts = marked.aggregate(**sums, **{".rows": marked.count()}).to_pyarrow().to_pylist()[0]
    return [
        RuleResult(
            rule=rule.name,
            table=table,
            action=rule.action,
            rows=int(counts[".rows"]),
            violations=int(counts[rule.fact]),
            example=_example(marked, table, rule) if counts[rule.fact] else None,
        )
        for rule in rules
    ]


def _example(marked: ibis.Table, table: TableName, rule: Rule) -> str:
    shown = [UNREADABLE] if isinstance(rule, WellTyped) else list(rule.columns_used)
    if isinstance(rule, NotBefore):
        shown.append(_at(rule.key, rule.target, rule.target_column))
    columns = [name for name in TABLES[table].columns if name.endswith("id") and name not in shown]
    row = marked.filter(marked[rule.fact]).order_by(columns + shown).limit(1).select(*columns, *shown)
    values = row.to_pyarrow().to_pylist()[0]
    return ", ".join(f"{name.partition(':')[2] or name} {value}" for name, value in values.items())


def _set_aside(rows: ibis.Table, table: TableName, rules: list[Rule]) -> ibis.Table:
    """The common shape of quarantined rows: table, reasons, and the row as text."""
    reasons = [ibis.ifelse(rows[rule.fact], f"{rule.name} ", "") for rule in rules]
    columns = [
        ibis.ifelse(rows[name].isnull(), "", ibis.literal(f"{name}=") + rows[name].cast("string") + "; ")
        # What does not read as its type has become null there: keep it as it was written.
        for name in (*TABLES[table].columns, UNREADABLE)
    ]
    return rows.select(
        table=ibis.literal(table),
        reasons=reduce(add, reasons, ibis.literal("")).strip(),
        row=reduce(add, columns).strip(),
    )
