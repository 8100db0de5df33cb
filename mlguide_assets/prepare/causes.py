"""Why rows break a rule, and what to do in the source: by the cause that a broken value shows, not by the rule.

Plain text in, plain text out: nothing here reads a table.
"""

import re
from collections.abc import Mapping
from typing import Any

from mlguide_assets.define.contracts import (
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
            return _cause_of_value(of, str(row.get(UNREADABLE) or ""))
        case Present(column=column) | Filled(column=column):
            if all_rows:
                return f"{column} is empty in every row; check what writes it"
            return f"{column} is empty there; fill it in"
        case DecisionKey(columns=columns):
            return (
                f"several rows have the same {' and '.join(columns)}, so none of them can be predicted by itself; name "
                f"the columns that distinguish them, as tables: {{{rule.table}: {{key: [{', '.join(columns)}, …]}}}}, "
                f"or keep one of each"
            )
        case Unique(columns=columns):
            key = " and ".join(columns)
            if all_rows or columns != key_of(of):
                return f"several rows have the same {key}; keep one of each"
            return (
                f"several rows have the same {key}; keep one of each. Of corrections the newest can be kept: by "
                f"tables.{rule.table}.known_at, the column that says when a row was written, else by their order"
            )
        case NewestKnown(table=table):
            return (
                f"rows of one key contradict each other, and no column says which is newer: the order of rows is known "
                f"within one file only; name the column that says when a row was written, as "
                f"tables: {{{table}: {{known_at: <column>}}}}, in the problem file, or remove the older ones"
            )
        case NotOverlapping():
            return _cause_of_overlap(of, row)
        case Range(column=column, min=low, max=high):
            return f"{column} must be {_between(low, high)}; check its unit, and leave it empty where it is not known"
        case LabelKnown(column=column, of_numbers=True):
            return f"{str(row.get(column))!r} is no number; correct it, or leave it empty where it is not known yet"
        case LabelKnown(column=column, positives=positives, negatives=negatives):
            value = str(row.get(column))
            if all_rows:
                known = ", ".join(map(repr, (*positives, *negatives)))
                return f"{value!r} is not one of {known}; write predict.label.positive and negative as the source does"
            return f"{value!r} {no_outcome(value, rule)}; correct it, or leave it empty where it is not known yet"
        case OneOf(column=column, values=values):
            known = ", ".join(map(repr, values))
            return (
                f"{row.get(column)!r} is not one of {known}; add it to the values of this rule, correct it, or leave "
                f"it empty where it is not known"
            )
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
            return (
                f"{column} lies before {floor}; correct it, leave it empty where it may be, or set floor for this rule"
            )
        case SetAside():
            return "other rules set aside more than a few rows"


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


def _cause_of_value(table: EntityTable | EventTable, unreadable: str) -> str:
    """Of the first value of `column=value, column=value` that does not read as its type."""
    column, _, rest = unreadable.partition("=")
    others = "|".join(map(re.escape, table.columns))
    value = re.split(rf", (?:{others})=", rest)[0].strip()
    match table.columns[column].kind:
        case "time":
            return cause_of_time(column, value)
        case "number":
            return cause_of_fraction(column, value)
        case "flag":
            return f"{column} must be a flag, and {value[:40]!r} is none; write true and false, yes and no, or 1 and 0"
        case kind:
            return cause_of_number(column, value, is_id=kind == "id")


def cause_of_fraction(column: str, text: str) -> str:
    """Why a text is not a number, and what to write instead."""
    shown = repr(text[:40])
    if re.fullmatch(r"[+-]?[\d.' ]*,\d+", text):
        return (
            f"{column} must be a number, and {shown} has a comma for its decimal point; state format: decimal_comma "
            f"for the column in the problem file, or write a point"
        )
    if re.fullmatch(r"[+-]?inf(inity)?", text.lower()):
        return f"{column} must be a number, and {shown} is infinite; leave it empty where it is not known"
    return f"{column} must be a number, and {shown} is none; leave it empty where it is not known"


def cause_of_number(column: str, text: str, *, is_id: bool) -> str:
    """Why a text is not a whole number, and what to write instead.

    >>> cause_of_number("age", "1,5", is_id=False)
    "age must be a whole number, and '1,5' has a fraction; round it in the source"
    """
    shown = repr(text[:40])
    must = f"{column} must be a whole number, and {shown}"
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}([.,'\u2019\u00a0 _]\d{3})+", text):
        digits = re.sub(r"[^\d+-]", "", text)
        return f"{must} can be {digits} or a number with a fraction; write digits alone, as in {digits}"
    if re.fullmatch(r"[+-]?\d+(\.0*)?", text):
        return f"{must} is too large, or was a floating-point number that lost digits; write it as a 64-bit integer"
    if re.fullmatch(r"[+-]?\d*[.,]\d+", text):
        return f"{must} has a fraction; round it in the source"
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text):
        return f"{must} was written as a floating-point number, which loses digits; write all digits"
    if re.fullmatch(r"[+-]?inf(inity)?", text.lower()):
        return f"{must} is infinite; leave it empty where it is not known"
    if is_id:
        return (
            f"{column} must be a whole number of at most 64 bits, as nearly all ids of this kind are, and {shown} is "
            f"text; write the ids in one form in the source, alike in all tables"
        )
    if text.lower() in ("true", "false"):
        return f"{must} is a flag; write 1 and 0 if these are meant"
    return f"{must} is not; leave it empty where it is missing or not known, and write digits alone otherwise"


def cause_of_time(column: str, text: str) -> str:
    """Why a text is not a time, and what to write instead."""
    shown = repr(text[:40])
    for digits, unit, format in (
        (10, "seconds", "epoch_s"),
        (13, "milliseconds", "epoch_ms"),
        (16, "microseconds", "epoch_us"),
        (19, "nanoseconds", None),
    ):
        if re.fullmatch(rf"\d{{{digits}}}(\.\d+)?(e[+-]?\d+)?", text):
            advice = f"state format: {format} for the column in the problem file, or " if format else ""
            return (
                f"{column} must be a time, and {shown} looks like {unit} since 1970; {advice}write 2024-01-31 10:00:00 "
                f"(UTC)"
            )
    return f"{column} must be a time, and {shown} is none; write it as 2024-01-31 10:00:00, in UTC or with its offset"
