"""The contract in force: what every table must keep, and what the problem file adds or replaces."""

import json
from collections.abc import Iterator
from datetime import date

from mlguide_assets.define.contracts import (
    NEVER_SET,
    DecisionKey,
    Filled,
    LabelKnown,
    NewestKnown,
    NotAfter,
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
from mlguide_assets.define.prediction import ColumnLabel, Predict, PredictEvent
from mlguide_assets.define.schema import EntityTable, EventTable, Schema

MAX_SET_ASIDE = 0.2
"""The share of a table's rows that may be quarantined where the problem file does not say."""


def check_rules(contracts: tuple[Rule, ...], schema: Schema, predict: Predict) -> None:
    """Refuse rules that the tables cannot have, a rule that is stated twice, and one that lets through what is no
    outcome.

    Raises:
        ValueError: names the place in the file.
    """
    names: set[str] = set()
    for place, rule in enumerate(contracts):
        try:
            rule.check(schema)
        except ValueError as error:
            raise ValueError(f"contracts.{place}: {error}") from error
        if rule.name in names:
            raise ValueError(f"contracts.{place}: {rule.name} is stated twice; keep one")
        names.add(rule.name)
        if isinstance(rule, OneOf | Range) and isinstance(predict, PredictEvent):
            label = predict.label
            if (rule.table, rule.column) == (schema.table_of(predict.each), label.column):
                _check_rule_of_label(f"contracts.{place}", rule, label)


def _check_rule_of_label(place: str, rule: OneOf | Range, label: ColumnLabel) -> None:
    """Nothing passes but the two outcomes: all else would count as not known yet."""
    if isinstance(rule, Range):
        raise ValueError(
            f"{place}: {rule.column!r} is the label, of which only the outcome is kept, so it has no range; leave the "
            f"rule out"
        )
    if rule.action == "warn":
        raise ValueError(
            f"{place}.action: {rule.column!r} is the label, and a value that is no outcome would count as not known "
            f"yet; write block or quarantine"
        )
    other = next((value for value in rule.values if value not in (*label.positives, *label.negatives)), None)
    if other is not None:
        raise ValueError(f"{place}.values: {other!r} of the label {rule.column!r} {no_outcome(other, label)}")


def no_outcome(value: str, label: ColumnLabel | LabelKnown) -> str:
    """What to write of a value that is neither outcome, as the rest of a sentence that begins with it."""
    negative, positive = (
        json.dumps([*texts, value], ensure_ascii=False) for texts in (label.negatives, label.positives)
    )
    return (
        f"is neither the positive nor the negative outcome; say which it means: negative: {negative} or positive: "
        f"{positive} under predict.label"
    )


def rules_in_force(
    schema: Schema, predict: Predict, history_start: date, contracts: tuple[Rule, ...]
) -> tuple[Rule, ...]:
    """All rules, in the order in which tables are checked. A label may be empty: its outcome is not known yet."""
    deciding = schema.table_of(predict.each) if isinstance(predict, PredictEvent) else None
    everywhere = [
        rule
        for name, table in schema.ordered.items()
        for rule in _of_any_table(name, table, history_start, is_predicted=name == deciding)
    ]
    if isinstance(predict, PredictEvent):
        labelled, label = str(schema.table_of(predict.each)), predict.label
        everywhere.append(
            LabelKnown(
                rule="one_of",
                table=labelled,
                column=label.column,
                action="block",
                values=(label.positive, label.negative),
                positives=label.positives,
                negatives=label.negatives,
                by_limit=label.limit is not None,
            )
        )
    everywhere += _parents_of_times(schema)
    rules = {rule.name: rule for rule in (*everywhere, *contracts)}
    for name, table in schema.ordered.items():
        key = key_of(table)
        unique = rules.get(Unique(rule="unique", table=name, columns=key, action="block").name)
        if unique is not None and unique.action == "quarantine":
            newest = NewestKnown(rule="newest_known", table=name, key=key, action="block")
            rules[newest.name] = newest
    order = list(schema.ordered)
    return tuple(sorted(rules.values(), key=lambda rule: order.index(rule.table)))


def key_of(table: EntityTable | EventTable) -> tuple[str, ...]:
    """The columns that make a row of a source table unique."""
    if isinstance(table, EventTable):
        return table.unique_by
    return (table.key, *([table.history.from_] if table.history else []))


def _of_any_table(
    name: str, table: EntityTable | EventTable, history_start: date, *, is_predicted: bool
) -> Iterator[Rule]:
    key = key_of(table)
    # Where the file states no key of an event, two equal rows may be two events; of the one that is predicted each
    # row needs a name, to be scored by.
    stated = isinstance(table, EntityTable) or bool(table.key)
    needed = dict.fromkeys(key, "block" if stated else "quarantine")
    if isinstance(table, EventTable):
        own_time = [table.own_time] if table.own_time else []
        needed = dict.fromkeys([*table.of.values(), *own_time], "quarantine") | needed
    yield WellTyped(rule="well_typed", table=name, action="block")
    for column, action in needed.items():
        yield Present.model_validate({"rule": "present", "table": name, "column": column, "action": action})
    for column in table.columns:
        if column not in needed:
            yield Filled(rule="filled", table=name, column=column, action="warn")
    if stated or is_predicted:
        yield (Unique if stated else DecisionKey)(rule="unique", table=name, columns=key, action="block")
    if isinstance(table, EntityTable) and table.history:
        yield NotOverlapping(rule="not_overlapping", table=name, action="warn")
    yield SetAside(rule="set_aside", table=name, max_share=MAX_SET_ASIDE, action="block")
    floor = min(NEVER_SET, history_start)
    for column in _times_that_passed(table):
        yield NotAfter(rule="not_after", table=name, column=column, action="quarantine")
        # The first row of a history often holds since ever, written as 1900-01-01.
        if not (isinstance(table, EntityTable) and table.history and table.history.from_ == column):
            yield NotEarlier(rule="not_earlier", table=name, column=column, floor=floor, action="quarantine")


def _times_that_passed(table: EntityTable | EventTable) -> list[str]:
    """Times of what has happened. Others, such as the day on which a contract ends, may lie in the future."""
    if isinstance(table, EventTable):
        named = [table.own_time, table.known_at]
    else:
        named = [table.known_from, table.known_at, table.history.from_ if table.history else None]
    return list(dict.fromkeys(name for name in named if name))


def _parents_of_times(schema: Schema) -> Iterator[Rule]:
    """An event whose time is that of an entity needs the row of that entity."""
    for name, table in schema.event_tables.items():
        if table.own_time is None:
            noun = table.at.partition(".")[0]
            target = str(schema.table_of(noun))
            yield References(rule="references", table=name, column=table.of[noun], target=target, action="quarantine")
