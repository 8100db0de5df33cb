"""From `automatic` to declarations: a problem whose features are all written down, as a user could have done.

What the data decide (values of `split`, constants, copies) is decided by events and rows before the test window alone,
so that nothing of the test is in the choice of features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.features import Automatic, Declaration, Features, split_names
from mlguide_assets.define.prediction import Predict
from mlguide_assets.define.schema import Schema
from mlguide_assets.prepare.clock import counted_days, first_day, last_day
from mlguide_assets.prepare.drawn_rows import some_rows
from mlguide_assets.prepare.features.automatic import (
    automatic_declarations,
)
from mlguide_assets.prepare.features.catalogue import (
    Declared,
    event_of,
    features_of,
    nouns_of,
    time_column,
    values_of_contract,
)
from mlguide_assets.prepare.features.comparing import LARGEST, floats, single_precision
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.earlier import NOTHING, Earlier
from mlguide_assets.prepare.features.events import Tables
from mlguide_assets.prepare.features.instants import FEW, Instants
from mlguide_assets.prepare.features.pasts import FREQUENT, profile_of, that_have_names, values_of

SAMPLE, SINGLE = 4_000, 2_000
"""Decision rows on which constants and copies are looked for, about; fewer where they are drawn one by one, since they
are less alike.
"""
NEWEST, OUTGROWN, FEWEST_NEWEST = 0.2, 0.15, 50
"""A feature outgrows its past if more than this share of the newest fifth of its rows lies outside the central 98 % of
the earlier ones. Fewer rows than the third number decide nothing."""
SLACK = 1.3
"""So many times `max` features are measured at most, and a few more."""
_FEW = 20
_PLACE = "place_in_sample"


@dataclass(frozen=True)
class ResolvedProblem:
    """What the compiler reads of a problem, with other features."""

    schema: Schema
    predict: Predict
    features: Features
    contracts: tuple[Any, ...]


def resolved_features(
    problem: Declared,
    tables: Tables,
    rows: ibis.Table,
    *,
    until: datetime,
    instants: Instants = FEW,
    earlier: Earlier = NOTHING,
) -> Features:
    """The features of a problem as declarations alone, with the values of every `split`.

    Features that the user declared all stay, and so do those that were decided earlier. Of the other automatic ones,
    those that are constant, a copy of an earlier one or outgrow their past on a sample of rows are left out, and those
    beyond `max`.

    Args:
        tables: by their names in the problem file.
        rows: decision rows.
        until: where the test window begins, UTC: nothing from then on is looked at.
        instants: of the decisions, where they are regular: `compiling.cut_offs_of`.

    Returns:
        The same features for the same tables and the same earlier ones, in the same order.
    """
    declared = {
        name: _with_values(each, problem, tables, until, earlier.values_of(name, each))
        for name, each in problem.features.declared.items()
    }
    automatic = problem.features.automatic
    if not automatic:
        return Features(automatic=False, declared=declared)
    declared |= earlier.staying(problem, automatic)
    new = _new_features(problem, tables, rows, declared, automatic, until=until, instants=instants)
    return Features(automatic=False, declared={**declared, **new})


def _new_features(
    problem: Declared,
    tables: Tables,
    rows: ibis.Table,
    declared: Mapping[str, Declaration],
    automatic: Automatic,
    *,
    until: datetime,
    instants: Instants,
) -> dict[str, Declaration]:
    """Automatic features besides those that are declared, as many as there is room for."""
    staying = [each for name, each in declared.items() if name not in problem.features.declared]
    room = automatic.max - sum(each.number_of_features for each in staying)
    if room < 1:
        return {}
    earlier = rows.filter(rows[time_column(problem)] < ibis.timestamp(until))
    profile = profile_of(problem, tables, automatic, until)
    history = _length(earlier, time_column(problem))
    written = automatic_declarations(_with(problem, declared), automatic, profile, history=history)
    candidates = _capped(_without_known(written, declared, problem), round(SLACK * room) + _FEW)
    own = [feature.name for feature in features_of(_with(problem, declared))]
    values = _measured(_sample(earlier, problem), tables, problem, {**declared, **candidates}, instants)
    names = [feature.name for feature in features_of(_with(problem, {**declared, **candidates}))]
    kept = [name for name in informative(values, names, always=own) if name not in own and not outgrows(values[name])]
    return _restricted(candidates, kept[:room])


def _with_values(
    declaration: Declaration, problem: Declared, tables: Tables, until: datetime, earlier: tuple[str, ...]
) -> Declaration:
    """A declaration whose `split` has its values: its own, those of the contract, or the most frequent.

    Args:
        earlier: the most frequent ones as they were decided before, which stay.
    """
    if declaration.split is None or declaration.values:
        return declaration
    values = values_of_contract(declaration, problem)
    if values is None:
        frequent = values_of(problem, tables, event_of(declaration, problem), declaration.split, until).frequent
        values = tuple(that_have_names([*earlier, *frequent]))[: max(FREQUENT, len(earlier))]
    return declaration.model_copy(update={"values": values})


def follows_from_data(problem: Declared) -> bool:
    """Whether the data decide what the features are: automatic ones, or the values of a `split`."""
    split = [each for each in problem.features.declared.values() if each.split is not None and not each.values]
    return bool(problem.features.automatic) or any(values_of_contract(each, problem) is None for each in split)


def _length(rows: ibis.Table, time: str) -> timedelta:
    """From the first to the last day that rows have, without a few that lie years apart: they are no history."""
    counts = {each.day: each.rows for each in counted_days(rows[time])}
    first, last = first_day(counts), last_day(counts)
    return last - first if first and last else timedelta()


def _with(problem: Declared, declared: Mapping[str, Declaration]) -> ResolvedProblem:
    features = Features(automatic=False, declared=dict(declared))
    return ResolvedProblem(problem.schema, problem.predict, features, tuple(problem.contracts))


def _without_known(
    written: Mapping[str, Declaration], declared: Mapping[str, Declaration], problem: Declared
) -> dict[str, Declaration]:
    """Automatic declarations whose features have names and meanings of their own."""
    names = {feature.name for feature in features_of(_with(problem, declared))}
    known = [declaration.model_copy(update={"description": ""}) for declaration in declared.values()]
    new = {}
    for name, declaration in written.items():
        own = {name for name, _ in split_names(name, declaration.values)} if declaration.split else {name}
        if declaration not in known and not own & names:
            new[name] = declaration
            names |= own
    return new


def _capped(declarations: Mapping[str, Declaration], most: int) -> dict[str, Declaration]:
    """The first declarations that make so many features at most."""
    kept, made = {}, 0
    for name, declaration in declarations.items():
        made += declaration.number_of_features
        if made > most:
            break
        kept[name] = declaration
    return kept


def _sample(rows: ibis.Table, problem: Declared) -> ibis.Table:
    """About `SAMPLE` rows: those of some entities, where there are enough of these."""
    total = rows.count().to_pyarrow().as_py()
    if total <= SAMPLE:
        return rows
    keys = [id_column(noun) for noun in nouns_of(problem)]
    every = [time_column(problem), *keys]
    shares = {"share": SAMPLE / total, "single": SINGLE / total}
    return some_rows(rows, unit=keys[0], keys=every, salt="automatic features", **shares)


def _measured(
    rows: ibis.Table,
    tables: Tables,
    problem: Declared,
    declarations: Mapping[str, Declaration],
    instants: Instants,
) -> dict[str, pa.ChunkedArray]:
    """The values of all features on these rows, by name.

    One kind of past at a time: writing the query of hundreds of features takes longer than answering it.
    """
    pasts: dict[tuple[str | None, str], dict[str, Declaration]] = {}
    for name, declaration in declarations.items():
        by = declaration.by
        pasts.setdefault((by, event_of(declaration, problem) if by else ""), {})[name] = declaration
    keys = [id_column(noun) for noun in nouns_of(problem)]
    order = ibis.row_number().over(order_by=[time_column(problem), *keys])
    rows = ibis.memtable(rows.mutate({_PLACE: order}).to_pyarrow())
    values: dict[str, pa.ChunkedArray] = {}
    for own in pasts.values():
        found = with_features(rows, tables, _with(problem, own), instants=instants).to_pyarrow().sort_by(_PLACE)
        values |= {feature.name: found[feature.name] for feature in features_of(_with(problem, own))}
    return values


def informative(values: Mapping[str, pa.ChunkedArray], names: list[str], *, always: list[str]) -> list[str]:
    """The columns of two or more values that are no copy of one before them.

    Whether there is a value at all is not enough: counts say that.

    Args:
        always: columns that are kept, and copies of them are not.
    """
    seen: set[bytes] = set()
    kept = []
    for name in [*always, *(name for name in names if name not in always)]:
        column = values[name]
        content = _content(column)
        if name in always or (pc.count_distinct(column, mode="only_valid").as_py() > 1 and content not in seen):
            kept.append(name)
        seen.add(content)
    return kept


def outgrows(column: pa.ChunkedArray) -> bool:
    """Whether the newest values are ones that earlier rows did not have, as of a total that grows with the calendar.

    A model would have to extrapolate from the first day on: its scores drift away from the rates.

    Args:
        column: (n,) values in the order of time.
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return False
    values = floats(column).clip(-LARGEST, LARGEST)
    earlier, newest = np.split(values, [round((1 - NEWEST) * len(values))])
    earlier, newest = earlier[~np.isnan(earlier)], newest[~np.isnan(newest)]
    if not len(earlier) or len(newest) < FEWEST_NEWEST:
        return False
    low, high = np.quantile(earlier, [0.01, 0.99])
    return bool(((newest < low) | (newest > high)).mean() > OUTGROWN)


def _content(column: pa.ChunkedArray) -> bytes:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return repr(column.to_pylist()).encode()
    # In float32, as models see them: a mean of equal values is a copy of their last one, whatever the rounding.
    return single_precision(floats(column)).tobytes()


def _restricted(declarations: Mapping[str, Declaration], names: list[str]) -> dict[str, Declaration]:
    """The declarations of these features; of a `split`, those of its values that are among them."""
    wanted, kept = set(names), {}
    for name, declaration in declarations.items():
        if declaration.split is None:
            if name in wanted:
                kept[name] = declaration
            continue
        values = tuple(value for each, value in split_names(name, declaration.values) if each in wanted)
        if values:
            kept[name] = declaration.model_copy(update={"values": values})
    return kept
