"""Is the model as good for every part of the decisions as it is for all of them?

A slice is the rows that share a value of a column: a text, a yes or no, a band of numbers, or no value at all. The
resamples are of all units, the same for every slice, so that a slice and the whole, or two groups, are compared
within the same resample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.statistics.arrays import Flags, Floats, Integers, ratio
from mlguide_assets.statistics.bootstrap import ClusterBootstrap, stacked
from mlguide_assets.statistics.intervals import Estimate, percentile_interval
from mlguide_assets.statistics.ranking import Ranking
from mlguide_assets.train.evaluation.metrics import checked, log_loss_rows, metric_named
from mlguide_assets.train.evaluation.slicing import Slicing, slicing

ALL_ROWS = "(all)"

SLICE_METRICS = ("roc_auc", "log_loss", "base_rate", "withheld_share", "calibration_gap")
_ALL_METRICS = (*SLICE_METRICS, "true_positive_rate", "false_positive_rate")
GAP = "roc_auc_gap"

SCHEMA = pa.schema(
    {
        "column": pa.string(),
        "slice": pa.string(),
        "rows": pa.int64(),
        "positives": pa.int64(),
        "metric": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "supported": pa.bool_(),
    }
)
"""Of every table of this module: one row per slice and metric."""


def slice_columns(problem: Problem) -> dict[str, str]:
    """Column of `SCHEMA` → meaning, for slices."""
    many = problem.decision.plural
    return {
        "column": f"The column by which the {many} are sliced; (all) is all of them.",
        "slice": "The value of the column, or the band of its values.",
        "rows": "Rows of the test window in the slice.",
        "positives": "Rows among them with the positive outcome.",
        "metric": "The metric; *gap* is the slice's ROC AUC minus that of all rows.",
        "value": "The metric on the slice.",
        "low": "Lower end of the 95 % interval; for gaps, of all slices together.",
        "high": "Upper end of that interval.",
        "supported": "Whether the slice has enough rows of both outcomes to be compared.",
    }


@dataclass(frozen=True)
class SliceSettings:
    """How slices are measured.

    Attributes:
        model: the column of its probabilities.
        unit: the column of the entity whose rows depend on each other.
        threshold: act from this probability on.
        min_positives: a slice is supported where so many units have a positive row in it, and so many a negative
            one. A unit's ten positive rows are one witness. Others have a value but no bounds, and never gate.
    """

    model: str
    unit: str
    threshold: float
    min_positives: int
    repeats: int = 300
    seed: int = 0


def slice_metrics(rows: pa.Table, columns: Sequence[str], settings: SliceSettings) -> pa.Table:
    """Each of `SLICE_METRICS` on the whole and on every slice, as `SCHEMA`, with 95 % intervals clustered by unit.

    Args:
        rows: the unit, `label`, the probabilities of the model, and the columns to slice by (see `slicing`).

    calibration_gap is the mean prediction minus the observed rate. The first rows, `ALL_ROWS`, are all rows together.
    Each interval holds for its own slice: of twenty, one may be expected to miss, so compare many at once with
    `slice_gaps`. Raises ValueError where a column is absent or cannot be sliced.
    """
    found = MeasuredSlices.of(rows, columns, settings)
    return as_table(found.rows_of(SLICE_METRICS))


def slice_gaps(
    rows: pa.Table,
    columns: Sequence[str],
    settings: SliceSettings,
    *,
    level: float = 0.95,
    comparisons: int | None = None,
) -> pa.Table:
    """ROC AUC of every slice minus that of all rows, as metric `GAP`; arguments as for `slice_metrics`.

    As many comparisons are made as slices are supported, m, and each has its chance to look bad by accident. All m
    intervals hold together with probability `level` where each holds with 1 - (1 - level) / m (Bonferroni): that
    is what `comparisons=None` does; 1 leaves them unadjusted. At such levels a few hundred replicates have no
    percentiles left to speak of, so the interval is value +- z x their standard deviation.
    """
    found = MeasuredSlices.of(rows, columns, settings)
    m = comparisons or max(1, int(found.supported[1:].sum()))
    z = NormalDist().inv_cdf(1 - (1 - level) / (2 * m))
    points, values = found.metric("roc_auc")
    gaps = []
    for position in range(1, len(points)):
        gap, differences = points[position] - points[0], values[position] - values[0]
        known = 2 * np.isnan(differences).sum() <= len(differences) and found.supported[position]
        half = z * float(np.nanstd(differences, ddof=1)) if known else float("nan")
        gaps.append(found.row(position, GAP, Estimate(float(gap), float(gap) - half, float(gap) + half)))
    return as_table(gaps)


def worst_slice(table: pa.Table, metric: str = "roc_auc") -> dict[str, Any] | None:
    """The row of the supported slice that is worst beyond doubt: even its better bound is the poorest of all.

    `metric` is `GAP` or one of `metrics.METRICS` in a table of this module. None where no slice is supported. The
    worst of many is partly bad luck; `slice_gaps` allows for that.
    """
    higher_is_better = metric == GAP or metric_named(metric).higher_is_better
    better, sign = ("high", 1) if higher_is_better else ("low", -1)
    wanted = pc.and_(table["supported"], pc.equal(table["metric"], metric))
    found = [
        row for row in table.filter(wanted).to_pylist() if row["column"] != ALL_ROWS and not np.isnan(row["value"])
    ]
    return min(found, key=lambda row: sign * (row["value"] if np.isnan(row[better]) else row[better]), default=None)


@dataclass(frozen=True, eq=False)
class MeasuredSlices:
    """Metrics of s slices, the first being the whole: points (s, metrics) and replicates (s, metrics, repeats)."""

    slices: tuple[tuple[str, str], ...]
    rows: Integers
    positives: Integers
    supported: Flags
    points: Floats
    values: Floats

    @classmethod
    def of(cls, rows: pa.Table, columns: Sequence[str], settings: SliceSettings) -> "MeasuredSlices":
        needed = (settings.unit, "label", settings.model, *columns)
        absent = [name for name in needed if name not in rows.column_names]
        if absent:
            raise ValueError(f"no column {absent[0]!r} to slice or group by: there are {', '.join(rows.column_names)}")
        truth, scores = checked(rows["label"].to_numpy(), rows[settings.model].to_numpy())
        bootstrap = ClusterBootstrap(rows[settings.unit].to_numpy(), settings.repeats, settings.seed)
        whole = Slicing(ALL_ROWS, (ALL_ROWS,), np.zeros(len(truth), dtype=np.int64))
        cut = [slicing(name, rows[name]) for name in dict.fromkeys(columns)]
        slicings = [whole, *(each for each in cut if each.names)]
        blocks = [_Block.of(each, truth, scores, scores >= settings.threshold, bootstrap) for each in slicings]
        points, values = _measured(blocks, bootstrap)
        counts = [_counts(each, truth, bootstrap.codes) for each in slicings]
        in_rows, positives, witnesses = (np.concatenate(each) for each in zip(*counts, strict=True))
        return cls(
            tuple((each.column, name) for each in slicings for name in each.names),
            in_rows,
            positives,
            witnesses >= max(settings.min_positives, 1),
            points,
            values,
        )

    def metric(self, name: str) -> tuple[Floats, Floats]:
        """Points (s,) and replicates (s, repeats)."""
        at = _ALL_METRICS.index(name)
        return self.points[:, at], self.values[:, at]

    def row(self, position: int, metric: str, estimate: Estimate) -> dict[str, Any]:
        return self.row_among(*self.slices[position], [position], metric, estimate, bool(self.supported[position]))

    def rows_of(self, metrics: Sequence[str]) -> list[dict[str, Any]]:
        """A row per slice and metric; without support, no bounds."""
        measured = {metric: self.metric(metric) for metric in metrics}
        shown = {name: np.where(self.supported[:, None], values, np.nan) for name, (_, values) in measured.items()}
        return [
            self.row(at, metric, percentile_interval(float(points[at]), shown[metric][at]))
            for at in range(len(self.slices))
            for metric, (points, _) in measured.items()
        ]

    def row_among(
        self, column: str, name: str, among: list[int], metric: str, estimate: Estimate, supported: bool
    ) -> dict[str, Any]:
        """A row about the slices at some positions together."""
        rows, positives = int(self.rows[among].sum()), int(self.positives[among].sum())
        bounds = (estimate.value, estimate.low, estimate.high)
        return dict(zip(SCHEMA.names, (column, name, rows, positives, metric, *bounds, supported), strict=True))


@dataclass(frozen=True, eq=False)
class _Block:
    """The slices of one column summed per unit: the segments of each slice's ranking, then six sums per slice.

    `sums` is sparse, (sum of segments + 6 s, units). The six are rows, positives, withheld, withheld positives,
    probabilities, and log-loss.
    """

    segments: tuple[Ranking, ...]
    sums: Any

    @classmethod
    def of(
        cls, slicing: Slicing, labels: Flags, scores: Floats, withheld: Flags, bootstrap: ClusterBootstrap
    ) -> "_Block":
        slices = len(slicing.names)
        rankings, segment, start = [], np.empty(len(labels), dtype=np.int64), 0
        for code in range(slices):
            inside = slicing.codes == code
            ranking = Ranking.of(labels[inside], scores[inside])
            segment[inside] = start + ranking.segment
            start += ranking.segments
            rankings.append(ranking)
        ones, losses = np.ones(len(labels)), log_loss_rows(labels, scores)
        values: Floats = np.stack([ones, labels, withheld, withheld & labels, scores, losses])
        totals = [bootstrap.group_sums(each, slicing.codes, slices) for each in values]
        return cls(tuple(rankings), stacked(bootstrap.group_sums(ones, segment, start), *totals))

    def measure(self, sums: Floats) -> Floats:
        """Every metric of `_ALL_METRICS` of every slice, (s, metrics, r), from sums (k, r)."""
        ends = np.cumsum([ranking.segments for ranking in self.segments])
        *ranked, totals = np.split(sums, ends)
        rows, positives, withheld, caught, predicted, losses = np.split(totals, 6)
        found = {
            "roc_auc": np.stack([r.sums(each).roc_auc() for r, each in zip(self.segments, ranked, strict=True)]),
            "log_loss": ratio(losses, rows),
            "base_rate": ratio(positives, rows),
            "withheld_share": ratio(withheld, rows),
            "calibration_gap": ratio(predicted - positives, rows),
            "true_positive_rate": ratio(caught, positives),
            "false_positive_rate": ratio(withheld - caught, rows - positives),
        }
        return np.stack([found[name] for name in _ALL_METRICS], axis=1)


def _measured(blocks: Sequence[_Block], bootstrap: ClusterBootstrap) -> tuple[Floats, Floats]:
    """Points (s, metrics) and replicates (s, metrics, repeats) over the slices of all blocks."""
    ends = np.cumsum([block.sums.shape[0] for block in blocks])[:-1]

    def measure(sums: Floats) -> Floats:
        parts = [block.measure(part) for block, part in zip(blocks, np.split(sums, ends), strict=True)]
        return np.concatenate(parts).reshape(-1, sums.shape[1])

    points, values = bootstrap.replicated(stacked(*(block.sums for block in blocks)), measure)
    metrics = len(_ALL_METRICS)
    return points.reshape(-1, metrics), values.reshape(-1, metrics, values.shape[1])


def _counts(slicing: Slicing, labels: Flags, units: Integers) -> tuple[Integers, Integers, Integers]:
    """Per slice: rows, positives, and the units with a positive or those with a negative row, whichever are fewer."""
    slices = len(slicing.names)

    def witnesses(of: Flags) -> Integers:
        pairs = np.unique(slicing.codes[of] + slices * units[of])
        return np.bincount(pairs % slices, minlength=slices)

    rows = np.bincount(slicing.codes, minlength=slices)
    positives = np.bincount(slicing.codes[labels], minlength=slices)
    return rows, positives, np.minimum(witnesses(labels), witnesses(~labels))


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of `MeasuredSlices`, as `SCHEMA`."""
    return pa.Table.from_pylist(rows, schema=SCHEMA)
