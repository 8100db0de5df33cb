"""The conditions of a problem file (`where:`) on the columns of an event."""

from collections.abc import Sequence
from typing import Any

import ibis

from mlguide_assets.define.prediction import Comparison, Where


def holds(events: ibis.Table, where: Where) -> ibis.Value | None:
    """Whether each event meets all conditions, never null; None where there is no condition.

    Args:
        events: has the columns that the conditions name.
    """
    met: ibis.Value | None = None
    for name, comparison in where.items():
        one = _meets(events[name], comparison)
        met = one if met is None else met & one
    return met


def filtered(events: ibis.Table, where: Where) -> ibis.Table:
    """The events that meet all conditions."""
    met = holds(events, where)
    return events if met is None else events.filter(met)


def _meets(column: ibis.Value, comparison: Comparison) -> ibis.Value:
    conditions = [column.notnull()]
    if comparison.one_of:
        conditions.append(_is_one_of(column, comparison.one_of))
    if comparison.not_:
        conditions.append(~_is_one_of(column, comparison.not_))
    number = column.try_cast("float64") if column.type().is_string() else column
    if comparison.at_least is not None:
        conditions.append(number >= comparison.at_least)
    if comparison.at_most is not None:
        conditions.append(number <= comparison.at_most)
    met = conditions[0]
    for condition in conditions[1:]:
        met = met & condition.fill_null(False)
    return met


def _is_one_of(column: ibis.Value, texts: Sequence[str]) -> ibis.Value:
    """Whether a value is one of these texts; null where it is null. A flag is `true` or `1`, `false` or `0`."""
    kind = column.type()
    if kind.is_boolean():
        return column.isin(sorted({flag for text in texts for flag in _FLAGS.get(text.lower(), ())}))
    if kind.is_numeric():
        return column.isin(_numbers(texts))
    return column.cast("string").isin(list(texts))


_FLAGS = {"true": (True,), "1": (True,), "false": (False,), "0": (False,)}


def _numbers(texts: Sequence[str]) -> list[Any]:
    """The texts that are numbers; whole ones stay whole, so that long ids are compared exactly."""
    numbers: list[Any] = []
    for text in texts:
        for read in (int, float):
            try:
                numbers.append(read(text))
                break
            except ValueError:
                continue
    return numbers
