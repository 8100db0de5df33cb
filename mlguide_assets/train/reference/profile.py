"""The reference profile: how every column was distributed when the model was made, as a histogram.

It is frozen with the model, as `profile.json` in its bundle, so that drift is measured against what the model learned
from and needs none of those rows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, get_args

import ibis

from mlguide_assets.errors import InputError
from mlguide_assets.train.reference.bins import Bins, Counts, Kind, bins_of, count_bins, stored_as

FORMAT = 1


@dataclass(frozen=True)
class ColumnProfile:
    """One column of the reference: its bins, and how many rows are in each; `stored` as in `bins.stored_as`.

    `importance` is the column's share of the model's importance, in [0, 1]. `inflation` is the design effect of
    the chi-square statistic, see `counting.inflation`: 1 where rows are independent. `trend` is what adds to it where
    a window lies `Profile.lag_days` later, since the column moves on by itself, as counts of past events do. `costs` is
    the mean cost of a decision in each bin, see `costing`; empty in bundles that were exported before there was one.
    """

    name: str
    stored: str
    bins: Bins
    counts: Counts
    importance: float = 0.0
    inflation: float = 1.0
    trend: float = 0.0
    costs: tuple[float, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.bins.kind

    @property
    def rows(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Profile:
    """The reference: its number of rows, the profiled columns, and the names of the columns beside them.

    `middle` is the day that lies in its middle, and `lag_days` how far on the trends were measured. Inflations and
    trends are those of windows of `variation_days`.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    other_columns: tuple[str, ...] = ()
    middle: str | None = None
    lag_days: float = 1.0
    variation_days: int = 1

    def on(self, day: date, days: int = 1) -> "Profile":
        """The profile with the inflation of a window whose middle is that day.

        A column that moves steadily is twice as far away after twice the time, and its statistic, a sum of squares,
        is then four times as large without any news. In a window of more days than the variation was measured with,
        all that is not chance counts so much more, as if each day were off in the same direction.

        Args:
            days: length of the window.
        """
        if self.middle is None:
            return self
        lags = (day - date.fromisoformat(self.middle)).days / self.lag_days
        longer = max(days / self.variation_days, 1.0)
        return self.with_inflation(
            {each.name: 1 + (each.inflation - 1 + each.trend * lags**2) * longer for each in self.columns}
        )

    def only(self, names: Iterable[str]) -> "Profile":
        """The profile of some columns, such as all but the label while outcomes are not matured.

        The others remain known: in a window they are not unexpected.
        """
        chosen = set(names)
        dropped = tuple(column.name for column in self.columns if column.name not in chosen)
        kept = tuple(column for column in self.columns if column.name in chosen)
        return replace(self, columns=kept, other_columns=(*self.other_columns, *dropped))

    def with_inflation(self, factors: Mapping[str, float]) -> "Profile":
        """The profile with design effects by column; those not given stay as they are.

        Raises:
            ValueError: one is below 1, or not finite.
        """
        wrong = [name for name, factor in factors.items() if not 1 <= factor < float("inf")]
        if wrong:
            raise ValueError(f"an inflation is finite and at least 1, that of {wrong[0]!r} is {factors[wrong[0]]}")
        columns = (replace(column, inflation=factors.get(column.name, column.inflation)) for column in self.columns)
        return replace(self, columns=tuple(columns))

    def recounted(self, counts: Mapping[str, Counts]) -> "Profile":
        """The profile of other rows, over the same bins."""
        columns = tuple(replace(column, counts=counts[column.name]) for column in self.columns)
        return replace(self, rows=columns[0].rows if columns else 0, columns=columns)

    def with_trends(
        self, trends: Mapping[str, float], *, middle: date, lag_days: float, variation_days: int = 1
    ) -> "Profile":
        """The profile with what each column's inflation grows by in so many days."""
        columns = tuple(replace(column, trend=trends.get(column.name, 0.0)) for column in self.columns)
        middle_day = middle.isoformat()
        return replace(self, columns=columns, middle=middle_day, lag_days=lag_days, variation_days=variation_days)

    def to_json(self) -> bytes:
        """The content of `profile.json`: equal profiles give equal bytes."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False) + "\n").encode()

    @staticmethod
    def from_json(content: bytes) -> "Profile":
        """Read what `to_json` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            stored = json.loads(content)
            if stored.pop("format") == FORMAT:
                columns = tuple(_column(column) for column in stored.pop("columns"))
                return Profile(columns=columns, **_with_tuples(stored, "other_columns"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise InputError(
            f"The reference profile is damaged or not of format {FORMAT}: 'mlguide run' trains and promotes a new one."
        )


def reference_profile(rows: ibis.Table, columns: Mapping[str, Kind], importance: Mapping[str, float]) -> Profile:
    """Profile all rows of a reference.

    Args:
        rows: what the model was made from. It is read in several passes: cache what is dear to compute.
        columns: those to watch, which may be derived ones such as `probability`, and the label.
        importance: share of each column in the model's importance; 0 where not given.

    Raises:
        ValueError: there are no rows, a column is absent or of a type that its kind cannot be, or an importance
            is outside [0, 1].
    """
    for name, kind in columns.items():
        _check(rows, name, kind, importance.get(name, 0.0))
    bins = bins_of(rows, columns)
    total, counts = count_bins(rows, bins)
    if not total:
        raise ValueError("a reference without rows has no profile")
    types = {name: stored_as(rows[name].type(), kind) for name, kind in columns.items()}
    profiled = tuple(
        ColumnProfile(name, types[name], bins[name], counts[name], float(importance.get(name, 0.0))) for name in columns
    )
    return Profile(total, profiled, tuple(name for name in rows.columns if name not in columns))


def _check(rows: ibis.Table, name: str, kind: Kind, importance: float) -> None:
    if name not in rows.columns:
        raise ValueError(f"the reference has no column {name!r}, only {', '.join(rows.columns)}")
    if kind not in get_args(Kind):
        raise ValueError(f"column {name!r} is one of {', '.join(get_args(Kind))}, not {kind!r}")
    stored = stored_as(rows[name].type(), kind)
    if kind == "number" and stored not in ("number", "null"):
        raise ValueError(f"column {name!r} is declared as a number, but is stored as {stored}")
    if not 0 <= importance <= 1:
        raise ValueError(f"the importance of {name!r} is a share in [0, 1], not {importance}")


def _column(stored: Mapping[str, Any]) -> ColumnProfile:
    bins = Bins(**_with_tuples(stored["bins"], "edges", "categories"))
    return ColumnProfile(**{**_with_tuples({"costs": (), **stored}, "counts", "costs"), "bins": bins})


def _with_tuples(stored: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """JSON has lists where a profile has tuples."""
    return {**stored, **{name: tuple(stored[name]) for name in names}}
