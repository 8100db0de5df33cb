"""The ranks of a covariate in each arm, from a table of units. DuckDB computes them; no row comes to Python."""

from typing import Any

import ibis

from mlguide_assets.prepare.named import named
from mlguide_assets.statistics.kruskal_wallis import Ranks

_SPLIT = 2.0**17 + 1
"""By it, a number is rounded to 36 of its 53 binary digits (Veltkamp's splitting): means of other numbers of rows,
which differ by the rounding of their sums alone, are one value."""

PARTS, MOST_RANKED = 64, 1_000_000
"""Parts that units fall into by their ids, and about how many units are ranked at most: of as many, a difference of
0.01 standard deviations is seen, and to sort ten million different values takes 8 s."""


def some_of(table: ibis.Table, units: int) -> ibis.Table:
    """As many of the `PARTS` of a table of so many units, with `part`, as can be ranked; all where it has few."""
    if units <= MOST_RANKED:
        return table
    return table.filter(table["part"] < max(PARTS * MOST_RANKED // units, 1))


def read_ranks(table: ibis.Table, column: str, arms: int) -> Ranks:
    """The ranks of a column without nulls among all units. `arm`: codes from 0, of so many arms.

    Counted by value, since values repeat, as money and counts do.
    """
    large = table[column].cast("float64") * _SPLIT
    rows = table.select("arm", value=large - (large - table[column]))
    of_arms: dict[str, Any] = {f"arm{code}": (rows.arm == code).sum() for code in range(arms)}
    values = rows.group_by("value").agg(rows.count().name("units"), *named(of_arms))
    total = values.units.sum().over(ibis.window())
    values = values.mutate(up_to=values.units.sum().over(ibis.cumulative_window(order_by="value")), total=total)
    values = values.mutate(rank=(values.up_to - values.units / 2) / values.total - 0.5)
    units = {f"units{code}": values[f"arm{code}"].sum() for code in range(arms)}
    sums = {f"sum{code}": (values[f"arm{code}"] * values["rank"]).sum() for code in range(arms)}
    powers = {f"power{of}": (values.units * values["rank"] ** of).sum() / values.units.sum() for of in (2, 3)}
    [found] = values.agg([*named(units), *named(sums), *named(powers)]).to_pyarrow().to_pylist()
    return Ranks(
        units=tuple(int(found[name] or 0) for name in units),
        sums=tuple(float(found[name] or 0) for name in sums),
        square=found["power2"] or 0.0,
        cube=found["power3"] or 0.0,
    )
