"""Are the rows of an experiment what the design says they are? Checked in one pass, before anything is computed."""

import difflib
from collections.abc import Sequence
from typing import Any

import ibis

from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.analysis.design import Design
from mlguide_assets.experiment.spelled_names import alike

MOST_ARMS = 100
LARGEST = 1e75
"""The third power of larger values, summed over many units, may be more than a number can be."""
_BEYOND = f"infinite or beyond {LARGEST:g}"
_LEAVE_OUT = "no mean can be computed; correct these values, or leave the units out"


def check_rows(rows: ibis.Table, design: Design) -> list[str]:
    """Refuse rows that cannot be analysed, and return the arms: the control first, then the others by name.

    Raises:
        InputError: a column is missing or of another type, a value is missing or impossible, or there are not two arms.
    """
    _check_columns(rows, design)
    planned = [name for name, weight in design.weights.items() if weight]
    arms = find_arms(rows, design.variant, design.control, planned)
    _check_values(rows, design)
    return arms


def _check_columns(rows: ibis.Table, design: Design) -> None:
    numbers = [*(each.column for each in design.measured), *design.covariates]
    flags = [name for name in (design.closed, design.trigger) if name]
    times = [name for name in (design.exposed_at, design.outcome_at) if name]
    for name in (design.unit, design.variant, *numbers, *flags, *times, *design.segments):
        if name not in rows.columns:
            raise InputError(f"The units have no column {name!r}; they have {_listed(rows.columns)}.")
    measured = [each.column for each in design.measured]
    if twice := _first_repeated(measured):
        raise InputError(f"Column {twice!r} is measured twice: name it once, as metric or as guardrail.")
    if twice := _first_repeated(design.covariates):
        raise InputError(f"Covariate {twice!r} is named twice: name it once.")
    if twice := _first_repeated((design.unit, design.variant, *design.segments)):
        raise InputError(f"Column {twice!r} is named twice among unit, variant and segments: name another for each.")
    if both := next((name for name in measured if name in design.covariates), None):
        raise InputError(f"Column {both!r} cannot be an outcome and a covariate: a covariate is known before exposure.")
    for name in numbers:
        type_ = rows[name].type()
        if not (type_.is_numeric() or type_.is_boolean()):
            raise InputError(f"Column {name!r} must hold numbers; it is of type {type_}.")
    for name in flags:
        if not rows[name].type().is_boolean():
            raise InputError(f"Column {name!r} must hold true or false; it is of type {rows[name].type()}.")
    for name in times:
        if not rows[name].type().is_temporal():
            raise InputError(f"Column {name!r} must hold times; it is of type {rows[name].type()}.")


def _first_repeated(names: Sequence[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def find_arms(rows: ibis.Table, variant: str, control: str, planned: Sequence[str] = ()) -> list[str]:
    """All arms: the control first, then the others by name. One that was planned and has no unit is an arm, too.

    Raises:
        InputError: the control is none of them, or the only one, or there are too many for a column of variants, or
            two differ in nothing but how they are written.
    """
    table = rows.select(arm=rows[variant].cast("string")).distinct().limit(MOST_ARMS + 2)
    found = sorted(arm for arm in table.to_pyarrow()["arm"].to_pylist() if arm is not None)
    if not found and not planned:
        if count := int(rows.count().execute()):
            raise InputError(_empty(variant, "variant", count))
        raise InputError("The data have no rows.")
    if len(found) > MOST_ARMS:
        raise InputError(
            f"Column {variant!r} has more than {MOST_ARMS} values: name the column that holds the variant."
        )
    if not planned:
        _refuse_spellings(found, variant)
    if control not in (*found, *planned):
        lower = {name.lower(): name for name in found}
        close = difflib.get_close_matches(control.lower(), lower, n=1)
        hint = f"did you mean {lower[close[0]]!r}?" if close else f"it has {_listed(found)}."
        raise InputError(f"Column {variant!r} has no variant {control!r}; {hint}")
    others = sorted({*found, *planned} - {control})
    if not others:
        raise InputError(f"Column {variant!r} has only the control {control!r}: there is nothing to compare it with.")
    return [control, *others]


def _refuse_spellings(found: Sequence[str], variant: str) -> None:
    """A verdict on half of an arm's units, while the others count as another arm, would look like any other."""
    if same := alike(found):
        raise InputError(
            f"Column {variant!r} has the variants {_listed(same)}, which differ only in how they are written, such as "
            f"in case, spaces, zeros or the encoding of accents: write them alike if they are one, or give them other "
            f"names."
        )


def _check_values(rows: ibis.Table, design: Design) -> None:
    counts: dict[str, Any] = {
        "unit": rows[design.unit].isnull().sum(),
        "variant": rows[design.variant].isnull().sum(),
    }
    closed = rows[design.closed].fill_null(False) if design.closed else ibis.literal(True)
    for place, metric in enumerate(design.measured):
        column = rows[metric.column]
        counts[f"missing_{place}"] = (_missing(column) & closed).sum()
        if metric.kind == "binary" and not column.type().is_boolean():
            counts[f"strange_{place}"] = (~column.isin([0, 1]) & ~_missing(column)).sum()
        elif column.type().is_floating():
            counts[f"strange_{place}"] = _too_large(column)
    for place, name in enumerate(design.covariates):
        if rows[name].type().is_floating():
            counts[f"covariate_{place}"] = _too_large(rows[name])
    found = rows.agg(counts).to_pyarrow().to_pylist()[0]
    for role, name in (("unit", design.unit), ("variant", design.variant)):
        if found[role]:
            raise InputError(_empty(name, role, found[role]))
    for place, metric in enumerate(design.measured):
        _refuse_values(metric.column, metric.kind, found[f"missing_{place}"], found.get(f"strange_{place}"))
    for place, name in enumerate(design.covariates):
        if large := found.get(f"covariate_{place}"):
            raise InputError(f"Covariate {name!r} is {_BEYOND} in {counted(large, 'row')}: {_LEAVE_OUT}.")


def _empty(column: str, role: str, rows: int) -> str:
    return (
        f"Column {column!r} is empty in {counted(rows, 'row')}: every row needs its {role}; fill it in, or leave these "
        f"rows out."
    )


def _too_large(column: Any) -> Any:
    """How many values are, infinite ones among them; NaN is a missing value."""
    return ((column.abs() > LARGEST) & ~column.isnan()).sum()


def _missing(column: Any) -> Any:
    return column.isnull() | column.isnan() if column.type().is_floating() else column.isnull()


def _refuse_values(column: str, kind: str, missing: int | None, strange: int | None) -> None:
    if missing:
        raise InputError(
            f"Column {column!r} has no value in {counted(missing, 'row')}: a missing outcome is not 0 (words such as "
            "NA, none and - are read as no value); fill it in where nothing happened, and leave out units whose "
            "outcome is not known yet."
        )
    if strange and kind == "binary":
        raise InputError(
            f"Column {column!r} holds other values than 0 and 1 in {counted(strange, 'row')}: it cannot be a binary "
            "metric; "
            f"compare its mean instead ({column}:mean)."
        )
    if strange:
        raise InputError(f"Column {column!r} is {_BEYOND} in {counted(strange, 'row')}: {_LEAVE_OUT}.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "") if names else "no values"
