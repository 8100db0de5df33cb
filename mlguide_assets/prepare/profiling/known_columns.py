"""Columns that no model should read, among those that are known when the event happens: they grow, or name the row."""

from datetime import datetime

import ibis

from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.resolving import outgrows

FEWEST_NAMED = 1000
"""Of fewer decisions, values may all differ by chance."""
NAMED = 0.995
"""With so large a share of different values, 99 % of the decisions have one of their own: the alarm's limit."""
SAMPLE = 100_000
"""Decisions that are looked at, about."""


def growing_columns(problem: Problem, rows: ibis.Table, until: datetime) -> tuple[str, ...]:
    """Which numbers under `predict.known` have newest values that earlier decisions did not have.

    Automatic features of this kind are left out (`resolving.outgrows`); these a person asked for, such as the month
    in a history of less than two years: a model knows nothing of the months to come.

    Args:
        rows: decisions, with these columns.
        until: where the test window begins; nothing from then on is looked at.
    """
    if not isinstance(problem.predict, PredictEvent):
        return ()
    columns = problem.schema.event(problem.predict.each).columns
    names = [name for name in problem.predict.known if columns[name].kind in ("number", "integer")]
    if not names:
        return ()
    time = problem.decision.time
    earlier = rows.filter(rows[time] < ibis.timestamp(until)).select(time, *names)
    share = SAMPLE / max(int(earlier.count().execute()), SAMPLE)
    drawn = earlier.sample(share, seed=0) if share < 1 else earlier
    values = drawn.to_pyarrow().sort_by(time)
    return tuple(name for name in names if outgrows(values[name]))


def naming_columns(problem: Problem, rows: ibis.Table) -> tuple[str, ...]:
    """Which categories and whole numbers under `predict.known` have a value of their own for nearly every decision.

    The leakage alarm says the same of the features of a training, whose sentence comes after minutes.

    Args:
        rows: decisions, with these columns; those in which a column is empty do not count for it.
    """
    if not isinstance(problem.predict, PredictEvent):
        return ()
    columns = problem.schema.event(problem.predict.each).columns
    names = [name for name in problem.predict.known if columns[name].kind in ("number", "integer", "category")]
    if not names:
        return ()
    found = [
        rows.aggregate([count(_whole(rows[name])).name(name) for name in names]).to_pyarrow().to_pylist()[0]
        for count in (ibis.Column.count, ibis.Column.nunique)
    ]
    filled, different = found
    return tuple(name for name in names if filled[name] >= FEWEST_NAMED and different[name] > NAMED * filled[name])


def _whole(values: ibis.Column) -> ibis.Value:
    """Without numbers that have a fraction, which may well all differ: they are measured."""
    if not values.type().is_numeric() or values.type().is_integer():
        return values
    return ibis.ifelse(values == values.floor(), values, ibis.null(values.type()))
