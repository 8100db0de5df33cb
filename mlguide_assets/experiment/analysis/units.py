"""From rows to what the statistics need: one row per unit, then counts, means and covariances of each arm.

DuckDB computes all of it; no row comes to Python. The caller's rows have been checked (see `rows.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import ibis
import ibis.expr.datatypes as dt
import numpy as np

from mlguide_assets.experiment.analysis.design import Design, Guardrail, Metric
from mlguide_assets.experiment.analysis.ranks import PARTS, read_ranks, some_of
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.cuped import Moments
from mlguide_assets.statistics.kruskal_wallis import Ranks
from mlguide_assets.statistics.means import ROUNDING


@ibis.udf.agg.builtin(name="favg")  # type: ignore[untyped-decorator]
def _exact_mean(x: dt.float64) -> dt.float64:
    """Kahan's sum over the count: of ten million values, a plain sum has lost five digits, and more in one arm."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm, in numbers.

    Attributes:
        units: all of them.
        closed: those whose outcome window has closed; all that follows is of these.
        events: units whose outcome is not 0, of each measured column.
        means: (columns,) measured columns, then covariates.
        covariances: (columns, columns), of the sample; NaN between two measured columns. 0 where all that varies is
            the rounding of sums.
        third_moments: (measured columns,), about the mean; NaN of binary ones.
        missing: units without a value, of each covariate.
    """

    units: int
    closed: int
    events: tuple[int, ...]
    means: Floats
    covariances: Floats
    third_moments: Floats
    missing: tuple[int, ...]

    def moments(self, outcome: int, covariates: int) -> Moments:
        """One measured column and all covariates, of which there are so many."""
        columns = [outcome, *range(len(self.means) - covariates, len(self.means))]
        return Moments(self.closed, self.means[columns], self.covariances[np.ix_(columns, columns)])


@dataclass(frozen=True, eq=False)
class Units:
    """What is known of the units of an experiment.

    Attributes:
        rows: how many they were made of.
        arms: in the order control, then the others by name.
        mixed: units seen in several arms.
        early: units with an outcome before their exposure.
        segments: units of each arm, per segment column and value.
        ranks: of each covariate, of the units whose outcome window has closed.
        triggered: the same of the units for which the arms differ.
    """

    rows: int
    arms: Mapping[str, Arm]
    mixed: int
    early: int
    segments: Mapping[str, Mapping[str, Sequence[int]]]
    ranks: Mapping[str, Ranks]
    triggered: "Units | None" = None


def read_units(rows: ibis.Table, design: Design, arms: Sequence[str]) -> Units:
    """Aggregate rows of units. `arms`: all values of the variant, the control first."""
    count = int(rows.count().execute())
    with _kept(_per_unit(rows, design, arms)) as table:
        means = _overall_means(table, design)
        filled = table.mutate(
            {name: table[name].fill_null(mean) for name, mean in means.items()}
            | {f"missing_{name}": table[name].isnull() for name in means}
        )
        triggered = _summarise(filled.filter(filled.trigger), design, arms, count) if design.trigger else None
        return _summarise(filled, design, arms, count, triggered)


@contextmanager
def _kept(table: ibis.Table) -> Iterator[ibis.Table]:
    """The table computed once, not with each query. Ibis 12.0 cannot drop its own cache (sqlglot 30)."""
    connection, name = table.get_backend(), f"units_{uuid4().hex}"
    try:
        yield connection.create_table(name, table, temp=True)
    finally:
        connection.raw_sql(f"DROP TABLE IF EXISTS {name}")


def _per_unit(rows: ibis.Table, design: Design, arms: Sequence[str]) -> ibis.Table:
    """One row per unit: arm and highest arm (as codes), outcomes o0…, covariates x0…, segments s0…, and flags.

    Codes instead of names: what is grouped by ten million units should be small.
    """
    names = rows[design.variant].cast("string")
    code = ibis.cases(*[(names == name, ibis.literal(place, "int8")) for place, name in enumerate(arms)])
    columns: dict[str, Any] = {"arm": code.min(), "last_arm": code.max()}
    for place, metric in enumerate(design.measured):
        columns[f"o{place}"] = _outcome(rows, metric)
    for place, name in enumerate(design.covariates):
        columns[f"x{place}"] = _without_nan(rows[name]).cast("float64").mean()
    for place, name in enumerate(design.segments):
        columns[f"s{place}"] = rows[name].cast("string").min()
    if design.closed:
        columns["closed"] = rows[design.closed].fill_null(False).min()
    if design.covariates:
        columns["part"] = (rows[design.unit].hash().abs() % PARTS).min().cast("int8")
    if design.trigger:
        columns["trigger"] = rows[design.trigger].fill_null(False).max()
    if design.exposed_at and design.outcome_at:
        columns["early"] = rows[design.outcome_at].min() < rows[design.exposed_at].min()
    table = rows.group_by(rows[design.unit].name("unit")).agg(columns).drop("unit")
    return table if design.closed else table.mutate(closed=ibis.literal(True))


def _outcome(rows: ibis.Table, metric: Metric | Guardrail) -> Any:
    column = _without_nan(rows[metric.column])
    return column.cast("int8").max() if metric.kind == "binary" else column.cast("float64").sum()


def _without_nan(column: Any) -> Any:
    return column.nullif(float("nan")) if column.type().is_floating() else column


def _overall_means(table: ibis.Table, design: Design) -> dict[str, float]:
    """Of each covariate over all units: what stands where one is missing, which says nothing about the arm."""
    names = [f"x{place}" for place in range(len(design.covariates))]
    if not names:
        return {}
    found = table.agg({name: _exact_mean(table[name]) for name in names}).to_pyarrow().to_pylist()[0]
    return {name: found[name] or 0.0 for name in names}


def _ranks(table: ibis.Table, units: int, design: Design, arms: int) -> dict[str, Ranks]:
    """Of each covariate. Where there is none, units have no `part`, by which some of many are chosen."""
    if not design.covariates:
        return {}
    ranked = some_of(table, units)
    return {name: read_ranks(ranked, f"x{place}", arms) for place, name in enumerate(design.covariates)}


def _summarise(
    table: ibis.Table, design: Design, arms: Sequence[str], rows: int, triggered: Units | None = None
) -> Units:
    counts = table.group_by("arm").agg(
        units=table.count(),
        mixed=(table.arm != table.last_arm).sum(),
        early=table.early.fill_null(False).sum() if "early" in table.columns else ibis.literal(0),
    )
    found = {row["arm"]: row for row in counts.to_pyarrow().to_pylist()}
    of_closed = table.filter(table.closed)
    closed = {row["arm"]: row for row in _moments(of_closed, design).to_pyarrow().to_pylist()}
    return Units(
        rows=rows,
        arms={
            name: _arm(found[code]["units"] if code in found else 0, closed.get(code), design)
            for code, name in enumerate(arms)
        },
        mixed=sum(row["mixed"] for row in found.values()),
        early=sum(row["early"] for row in found.values()),
        segments={name: _segment(table, f"s{place}", len(arms)) for place, name in enumerate(design.segments)},
        ranks=_ranks(of_closed, sum(row["closed"] for row in closed.values()), design, len(arms)),
        triggered=triggered,
    )


def _columns(design: Design) -> tuple[list[str], list[str]]:
    outcomes = [f"o{place}" for place in range(len(design.measured))]
    return outcomes, [f"x{place}" for place in range(len(design.covariates))]


def _pairs(design: Design) -> list[tuple[int, int]]:
    """The covariances that are needed: of every column with itself, and of every covariate with every column."""
    outcomes, covariates = _columns(design)
    size = len(outcomes) + len(covariates)
    return [(i, j) for i in range(size) for j in range(i, size) if i == j or j >= len(outcomes)]


def _skewed(design: Design) -> list[int]:
    """The measured columns whose third moment is needed."""
    return [place for place, metric in enumerate(design.measured) if metric.kind == "mean"]


def _moments(table: ibis.Table, design: Design) -> ibis.Table:
    outcomes, covariates = _columns(design)
    columns = [table[name].cast("float64") for name in (*outcomes, *covariates)]
    values: dict[str, Any] = {"closed": table.count()}
    values |= {f"events_{name}": (table[name] != 0).sum() for name in outcomes}
    values |= {f"missing_{name}": table[f"missing_{name}"].sum() for name in covariates}
    values |= {f"mean_{place}": _exact_mean(column) for place, column in enumerate(columns)}
    # A covariance is computed without large sums, so it has the third moment without a second pass and its mean.
    squares = [(place, columns[place]) for place in _skewed(design)]
    values |= {f"square_{place}": column.cov(column * column, how="sample") for place, column in squares}
    for i, j in _pairs(design):
        values[f"covariance_{i}_{j}"] = (
            columns[i].var(how="sample") if i == j else columns[i].cov(columns[j], how="sample")
        )
    return table.group_by("arm").agg(values)


def _arm(units: int, row: Mapping[str, Any] | None, design: Design) -> Arm:
    outcomes, covariates = _columns(design)
    size = len(outcomes) + len(covariates)
    means, covariances, third = np.full(size, np.nan), np.full((size, size), np.nan), np.full(len(outcomes), np.nan)
    if row is None:
        return Arm(units, 0, (0,) * len(outcomes), means, covariances, third, (0,) * len(covariates))
    means[:] = [row[f"mean_{place}"] for place in range(size)]
    for i, j in _pairs(design):
        covariances[i, j] = covariances[j, i] = _known(row[f"covariance_{i}_{j}"])
    alike = np.diag(covariances) <= (ROUNDING * means) ** 2
    covariances[alike], covariances[:, alike] = 0.0, 0.0
    for place in _skewed(design):
        third[place] = _known(row[f"square_{place}"]) - 2 * means[place] * covariances[place, place]
    events = tuple(int(row[f"events_{name}"]) for name in outcomes)
    missing = tuple(int(row[f"missing_{name}"]) for name in covariates)
    return Arm(units, row["closed"], events, means, covariances, third, missing)


def _known(covariance: float | None) -> float:
    """NaN instead of none, which is what DuckDB has of a single unit."""
    return np.nan if covariance is None else covariance


def _segment(table: ibis.Table, column: str, arms: int) -> dict[str, list[int]]:
    counts: dict[str, list[int]] = {}
    rows = table.group_by(column, "arm").agg(units=table.count()).order_by(column, "arm")
    for row in rows.to_pyarrow().to_pylist():
        value = "(none)" if row[column] is None else row[column]
        counts.setdefault(value, [0] * arms)[row["arm"]] += row["units"]
    return counts
