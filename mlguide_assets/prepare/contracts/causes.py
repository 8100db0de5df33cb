"""Why rows break a rule, and what to do in the source: by the cause that a broken value shows, not by the rule.

Plain text in, plain text out: nothing here reads a table.
"""

from collections.abc import Mapping
from typing import Any

from mlguide_assets.define.contracts import (
    NEVER_SET,
    DecisionKey,
    Filled,
    LabelKnown,
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
from mlguide_assets.define.rules import key_of, no_outcome
from mlguide_assets.define.schema import EntityTable, EventTable
from mlguide_assets.prepare.contracts.unreadable_values import cause_of_value
from mlguide_assets.prepare.sources.names import UNREADABLE


def cause_of(rule: Rule, of: EntityTable | EventTable, row: Mapping[str, Any], *, all_rows: bool) -> str:
    """What is wrong, and how to fix it in the source.

    Args:
        of: the table of the rule.
        row: ids and what the rule looks at, of a row that breaks it.
        all_rows: whether every row does: then the fault is one of format, or of meaning.
    """
    match rule:
        case WellTyped():
            return cause_of_value(of, str(row.get(UNREADABLE) or ""))
        case Present(column=column) | Filled(column=column):
            if all_rows:
                return f"{column} is empty in every row; check what writes it"
            if isinstance(of, EntityTable) and of.history and of.history.from_ == column:
                return f"{column} is empty there, or infinite; write 1900-01-01 where a row holds since ever"
            return f"{column} is empty there; fill it in"
        case DecisionKey():
            return _cause_of_one_decision_in_several_rows(rule)
        case Unique():
            return _cause_of_equal_keys(rule, of, all_rows=all_rows)
        case NewestKnown():
            return _cause_of_no_order(rule)
        case NotOverlapping():
            return _cause_of_overlap(of, row)
        case Range(column=column, min=low, max=high):
            return f"{column} must be {_between(low, high)}; check its unit, and leave it empty where it is not known"
        case LabelKnown():
            return _cause_of_unknown_label(rule, str(row.get(rule.column)), all_rows=all_rows)
        case OneOf():
            return _cause_of_unknown_value(rule, row.get(rule.column))
        case References(column=column, target=target):
            if all_rows:
                return f"no {column} is an id of {target}: one of the two tables was renumbered; give both the same ids"
            return f"{target} has no such id, or that row was set aside; add the missing rows"
        case NotBefore(column=column, target=target, target_column=time):
            if all_rows:
                return f"{time} of {target} is later than any {column}, as if it were the time of an export; correct it"
            return f"{column} lies before {time} of its row in {target}; correct the one that is wrong"
        case NotAfter(column=column):
            if all_rows:
                return f"every {column} lies in the future; check its format, and the clock of this machine"
            return f"{column} lies in the future; correct it, or wait until it has come"
        case NotEarlier(column=column, floor=floor):
            unset = ", as a time that was never set does" if floor == NEVER_SET else ""
            remedies = "correct it, leave it empty where it may be, or set floor for this rule"
            return f"{column} lies before {floor}{unset}; {remedies}"
        case SetAside():
            return "other rules set aside more than a few rows"


def _cause_of_one_decision_in_several_rows(rule: DecisionKey) -> str:
    return (
        f"several rows have the same {' and '.join(rule.columns)}, so none of them can be predicted by itself; name "
        f"the columns that distinguish them, as tables: {{{rule.table}: {{key: [{', '.join(rule.columns)}, …]}}}}, "
        f"or keep one of each"
    )


def _cause_of_equal_keys(rule: Unique, of: EntityTable | EventTable, *, all_rows: bool) -> str:
    key = " and ".join(rule.columns)
    if all_rows or rule.columns != key_of(of):
        return f"several rows have the same {key}; keep one of each"
    return (
        f"several rows have the same {key}; keep one of each. Of corrections the newest can be kept: by "
        f"tables.{rule.table}.known_at, the column that says when a row was written, else by their order"
    )


def _cause_of_no_order(rule: NewestKnown) -> str:
    return (
        f"rows of one key contradict each other, and no column says which is newer: the order of rows is known "
        f"within one file only; name the column that says when a row was written, as "
        f"tables: {{{rule.table}: {{known_at: <column>}}}}, in the problem file, or remove the older ones"
    )


def _cause_of_unknown_label(rule: LabelKnown, value: str, *, all_rows: bool) -> str:
    if rule.by_limit:
        return f"{value!r} is no number; correct it, or leave it empty where it is not known yet"
    if all_rows:
        known = ", ".join(map(repr, (*rule.positives, *rule.negatives)))
        return f"{value!r} is not one of {known}; write predict.label.positive and negative as the source does"
    return f"{value!r} {no_outcome(value, rule)}; correct it, or leave it empty where it is not known yet"


def _cause_of_unknown_value(rule: OneOf, value: Any) -> str:
    known = ", ".join(map(repr, rule.values))
    return (
        f"{value!r} is not one of {known}; add it to the values of this rule, correct it, or leave it empty where it "
        f"is not known"
    )


def _cause_of_overlap(table: EntityTable | EventTable, row: Mapping[str, Any]) -> str:
    assert isinstance(table, EntityTable)
    assert table.history is not None
    ended = row.get(table.history.to)
    valid = f"{row.get(table.history.from_)} {f'to {ended}' if ended else 'on'}"
    return (
        f"the row of {table.key} {row.get(table.key)} that is valid from {valid} has not ended when its next one "
        f"begins; from then on the next one counts; let {table.history.to} be where the next one begins"
    )


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at least {low:g}" if high is None else f"at most {high:g}"
    return f"between {low:g} and {high:g}"
