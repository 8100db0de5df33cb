"""Into which bins the values of a column fall, and counting them: DuckDB passes over all rows, no sample.

The bins of a number are its deciles, and any value that is more common than they are; those of a category are its
commonest values, and all others together. Every column has a bin for null, NaN and infinity included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import ibis
import ibis.expr.datatypes as dt
import numpy as np

Kind = Literal["number", "category"]
Counts = tuple[int, ...]
"""Rows in each bin of a column, the null bin last; they sum to the rows."""

DECILES = tuple(step / 10 for step in range(11))
MOST_CATEGORIES = 30
COLUMNS_AT_ONCE = 6
"""Numbers whose exact quantiles are taken in one pass: DuckDB holds all their values, 48 bytes a row."""


@dataclass(frozen=True)
class Bins:
    """The bins of one column.

    A number x is in bin i where edges[i-1] < x <= edges[i]; the first bin and the last are open, so there is one
    more than edges. A category has a bin per name in `categories` and one for all others. The null bin comes last.
    """

    kind: Kind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """How many of the bins, from the first on, hold values known to the reference: not others, not null."""
        return len(self.categories) if self.kind == "category" else len(self.edges) + 1

    @property
    def size(self) -> int:
        """All bins: the known ones, that of other categories, and the null bin."""
        return self.known + (2 if self.kind == "category" else 1)

    def name(self, index: int) -> str:
        """A bin in words, such as 'from 3 to 7.5' or 'DE'."""
        if index > max(len(self.edges), len(self.categories)):
            return "null"
        if self.kind == "category":
            return repr(self.categories[index]) if index < len(self.categories) else "other categories"
        if not self.edges:
            return "any number"
        low, high = _shown(self.edges[max(index - 1, 0)]), _shown(self.edges[min(index, len(self.edges) - 1)])
        if index in (0, len(self.edges)):
            return f"above {low}" if index else f"at most {high}"
        return low if low == high else f"from {low} to {high}"


def stored_as(type_: dt.DataType, kind: Kind) -> str:
    """What a column is stored as, as far as it matters: numbers of any width are `number`.

    Categories keep apart `text`, `boolean`, `integer` and `floating`, since their names would differ: 3 is not 3.0.
    """
    if type_.is_null():
        return "null"
    if kind == "number" and (type_.is_numeric() or type_.is_boolean()):
        return "number"
    if type_.is_boolean():
        return "boolean"
    if type_.is_integer():
        return "integer"
    if type_.is_numeric():
        return "floating"
    return "text" if type_.is_string() else str(type_)


def bins_of(rows: ibis.Table, columns: Mapping[str, Kind]) -> dict[str, Bins]:
    """The bins of every column, in one pass for every `COLUMNS_AT_ONCE` numbers and one for every category."""
    edges = _edges(rows, [name for name, kind in columns.items() if kind == "number"])
    return {
        name: Bins(kind, edges=edges[name]) if kind == "number" else Bins(kind, categories=_categories(rows, name))
        for name, kind in columns.items()
    }


def count_bins(rows: ibis.Table, bins: Mapping[str, Bins]) -> tuple[int, dict[str, Counts]]:
    """Number of rows, and how many are in each bin of each column, in one pass."""
    (found,) = rows.aggregate(_measures(rows, bins)).to_pyarrow().to_pylist()
    return found["rows"], _counts(found, bins)


def count_bins_by(rows: ibis.Table, bins: Mapping[str, Bins], key: str) -> dict[Any, tuple[int, dict[str, Counts]]]:
    """`count_bins` of the rows of each value of a column, in one pass over all of them."""
    counted = rows.group_by(key).aggregate(_measures(rows, bins)).to_pyarrow().to_pylist()
    return {found[key]: (found["rows"], _counts(found, bins)) for found in counted}


def _measures(rows: ibis.Table, bins: Mapping[str, Bins]) -> dict[str, Any]:
    """What to aggregate rows by: their number, and the histogram and the known values of each column."""
    measures: dict[str, Any] = {"rows": rows.count()}
    for at, (name, into) in enumerate(bins.items()):
        values = _values(rows, name, into.kind)
        measures[f"bins{at}"] = (
            _histogram(values, _edge_list(into.edges))
            if into.kind == "number"
            else _histogram(_position(_list(into.categories), values).cast("float64"), _edge_list(_places(into)))
        )
        measures[f"known{at}"] = values.count()
    return measures


def _counts(found: Mapping[str, Any], bins: Mapping[str, Bins]) -> dict[str, Counts]:
    counts: dict[str, Counts] = {}
    for at, (name, into) in enumerate(bins.items()):
        # A map, which Arrow gives as pairs; DuckDB has none where no row has a value.
        in_bins, known = dict(found[f"bins{at}"] or ()), found[f"known{at}"]
        keys = into.edges if into.kind == "number" else _places(into)
        in_order = [in_bins.get(key, 0) for key in keys]
        counts[name] = (*in_order, known - sum(in_order), found["rows"] - known)
    return counts


@ibis.udf.agg.builtin(name="histogram")  # type: ignore[untyped-decorator]
def _histogram(x: dt.float64, edges: dt.Array[dt.float64]) -> dt.Map[dt.float64, dt.int64]:
    """How many x are above the edge before and not above this one; what is above all edges, under infinity."""


@ibis.udf.agg.builtin(name="quantile_disc")  # type: ignore[untyped-decorator]
def _quantiles(x: dt.float64, shares: dt.Array[dt.float64]) -> dt.Array[dt.float64]:
    """The least values that these shares of all do not exceed."""


@ibis.udf.scalar.builtin(name="list_position")  # type: ignore[untyped-decorator]
def _position(values: dt.Array[dt.string], value: dt.string) -> dt.int32:
    """Where a list has a value, from 1 on; null where it has not."""


@ibis.udf.scalar.builtin(name="isfinite")  # type: ignore[untyped-decorator]
def _is_finite(x: dt.float64) -> dt.boolean:
    """Neither NaN nor infinite."""


def _values(rows: ibis.Table, name: str, kind: Kind) -> Any:
    """A column as float64, null where it is not finite, or as text."""
    if kind == "category":
        return rows[name].cast("string")
    number = rows[name].cast("float64")
    return ibis.ifelse(_is_finite(number), number, ibis.null("float64"))


def _edge_list(edges: Sequence[float]) -> Any:
    # By way of text: DuckDB reads 0.1 as a decimal, and decimals in one list lose digits to each other.
    return _list([repr(edge) for edge in edges]).cast("array<float64>")


def _list(texts: Sequence[str]) -> Any:
    return ibis.literal(list(texts), "array<string>")


def _places(bins: Bins) -> tuple[float, ...]:
    """Of the categories, from 1 on: the edges that each of them is at."""
    return tuple(float(place) for place in range(1, len(bins.categories) + 1))


def _edges(rows: ibis.Table, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    edges: dict[str, tuple[float, ...]] = {}
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        some = names[start : start + COLUMNS_AT_ONCE]
        shares = ibis.literal(list(DECILES), "array<float64>")
        measures = {f"at{at}": _quantiles(_values(rows, name, "number"), shares) for at, name in enumerate(some)}
        found = rows.aggregate(measures).to_pyarrow().to_pylist()[0]
        edges |= {name: _edges_around(found[f"at{at}"] or ()) for at, name in enumerate(some)}
    return edges


def _edges_around(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Edges at the deciles, and just below those that are equal: a value so common has a bin of its own.

    The least and the greatest value are among the quantiles given, and edges only where a decile equals them.
    """
    common = {value for value, following in pairwise(quantiles) if value == following}
    below = {float(np.nextafter(value, -np.inf)) for value in common} - {-np.inf}
    # Adding 0 makes -0.0, which equals 0.0 and would be written otherwise, the same.
    return tuple(sorted({value + 0.0 for value in (*quantiles[1:-1], *below)}))


def _categories(rows: ibis.Table, name: str) -> tuple[str, ...]:
    """The commonest values, commonest first."""
    counted = rows.group_by(category=_values(rows, name, "category")).aggregate(times=lambda group: group.count())
    known = counted.filter(counted.category.notnull())
    first = known.order_by(ibis.desc("times"), "category").limit(MOST_CATEGORIES)
    return tuple(first.to_pyarrow()["category"].to_pylist())


def _shown(edge: float) -> str:
    # What is just below 0 is -5e-324.
    return f"{edge if abs(edge) > 1e-300 else 0:.4g}"
