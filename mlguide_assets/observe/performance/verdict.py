"""What follows from performance: do outcomes come otherwise, is the estimate to be trusted, did the champion get worse?

Nothing is computed from decisions here, only from the tables of `performance`, so each can be computed for stored days.
"""

from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, better_or_worse, counted, plural
from mlguide_assets.observe.performance.performance import WINDOW_DAYS
from mlguide_assets.observe.performance.window_words import window_in_words
from mlguide_assets.observe.performance.windows import LEVEL
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.missing import finite_or_none
from mlguide_assets.train.evaluation.metrics import METRICS, metric_named
from mlguide_assets.train.evaluation.slices import ALL_ROWS

VERDICTS = "performance_verdicts"
"""The table of `to_row` of the last days."""

VERDICTS_SCHEMA = pa.schema(
    [
        ("day", pa.string()),
        ("window_days", pa.int64()),
        ("metric", pa.string()),
        ("verdict", pa.string()),
        ("current", pa.float64()),
        ("reference", pa.float64()),
        ("difference", pa.float64()),
        ("difference_low", pa.float64()),
        ("difference_high", pa.float64()),
        ("reason", pa.string()),
    ]
)


def verdict_columns(problem: Problem) -> dict[str, str]:
    """Column of `VERDICTS_SCHEMA` → meaning."""
    many = problem.decision.plural
    return {
        "model_version": "The champion that is measured.",
        "day": "The last day of the window, UTC.",
        "window_days": "Days of the window; the first windows of a record hold fewer.",
        "metric": "The primary metric.",
        "verdict": "Whether the champion is as good as it was at training, or has dropped.",
        "current": "The metric over the window.",
        "reference": f"The metric at training, on {many} that the model had not seen.",
        "difference": "Current minus reference, so that negative is worse.",
        "difference_low": "Lower end of the 95 % interval of the difference.",
        "difference_high": "Upper end of that interval.",
        "reason": "Why, in words.",
    }


TOO_MANY_MISSES = 0.99
"""An estimate is not trusted where it missed more often than this share of honest ones would have."""

GAP_SCHEMA = pa.schema(
    {
        "day": pa.date32(),
        "window_days": pa.int64(),
        "rows": pa.int64(),
        "metric": pa.string(),
        "realised": pa.float64(),
        "estimated": pa.float64(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "sees_concept_drift": pa.bool_(),
    }
)
"""One row per window, the day it ends with, and metric, of all decisions together."""

GAP_COLUMNS = {
    "model_version": "The champion that is measured.",
    "day": "The last day of the window, UTC.",
    "window_days": "Days of the window; the first windows of a record hold fewer.",
    "rows": "Matured rows in the window.",
    "metric": "The metric.",
    "realised": "The metric on matured labels.",
    "estimated": "The metric that the probabilities expect of the same rows.",
    "value": "Realised minus estimated.",
    "low": "Lower end of the 95 % interval of the difference.",
    "high": "Upper end of that interval.",
    "sees_concept_drift": "Whether the difference is beyond chance: the same inputs have other outcomes.",
}
"""Column → meaning."""


def gap(realised: pa.Table, estimated: pa.Table) -> pa.Table:
    """Realised minus estimated, as `GAP_SCHEMA`, wherever both speak of the same rows.

    Args:
        realised, estimated: what the functions of that name returned. Days whose numbers of rows differ, such as one
            that has matured only in part, are left out: like is compared with like.

    The interval holds the noise of outcomes alone, as what was decided is the same on both sides. Its standard
    deviation is the larger of two: that found by resampling units, and that of outcomes drawn with the estimate's
    probabilities, which does not vanish where hardly a positive was seen. Without support on both sides the bounds
    are NaN. `sees_concept_drift` where 0 lies outside: outcomes no longer come as the probabilities say, be it that
    the relation changed or that the probabilities were never right. By chance it does so in 1 - `LEVEL` of all windows,
    so act on a run of them.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    others = {_place(row): row for row in estimated.to_pylist()}
    rows = []
    for row in realised.filter(pc.equal(realised["column"], ALL_ROWS)).to_pylist():
        other = others.get(_place(row))
        if other is None or other["rows"] != row["rows"]:
            continue
        value, half = row["value"] - other["value"], z * float(np.maximum(row["noise"], other["noise"]))
        rows.append(
            {name: row[name] for name in ("day", "window_days", "rows", "metric")}
            | {"realised": row["value"], "estimated": other["value"]}
            | {"value": value, "low": value - half, "high": value + half, "sees_concept_drift": abs(value) > half}
        )
    return pa.Table.from_pylist(rows, schema=GAP_SCHEMA)


def _place(row: dict[str, Any]) -> tuple[date, int, str]:
    return row["day"], row["window_days"], row["metric"]


def trusted(gaps: pa.Table, metric: str) -> bool:
    """Whether the estimate of a metric was right on earlier days as often as its noise says.

    Args:
        gaps: what `gap` returned for the earlier days that have matured.
        metric: one of `MEASURES`.

    Counts the single days with an interval, as windows that overlap repeat one another. An honest estimate misses in
    1 - `LEVEL` of them; this is False where there were more misses than the quantile `TOO_MANY_MISSES` of the binomial
    distribution with that rate: more than 4 of 20 days, or 7 of 60. One miss in one day proves nothing, so without a
    history the estimate is trusted.
    """
    wanted = pc.and_(pc.equal(gaps["metric"], metric), pc.equal(gaps["window_days"], 1))
    days = gaps.filter(pc.and_(wanted, pc.invert(pc.is_nan(gaps["low"]))))
    misses = int(pc.sum(days["sees_concept_drift"]).as_py() or 0)
    return misses <= most_misses(len(days), 1 - LEVEL)


def most_misses(days: int, rate: float) -> int:
    """The quantile at `TOO_MANY_MISSES` of the binomial distribution of misses among `days` days at a rate."""
    # Without SciPy, whose import takes longer than all else that the report does.
    probability = below = (1 - rate) ** days
    misses = 0
    while below < TOO_MANY_MISSES and misses < days:
        probability *= (days - misses) / (misses + 1) * rate / (1 - rate)
        below += probability
        misses += 1
    return misses


@dataclass(frozen=True)
class PerformanceVerdict:
    """Whether the champion is as good as it was at training, and the reason in plain words.

    `difference` is current minus reference, negative where it got worse, whichever way the metric points.
    """

    verdict: Literal["holds", "dropped", "too_few"]
    metric: str
    day: date | None
    window_days: int
    current: Estimate
    reference: Estimate
    difference: Estimate
    max_drop: float
    reason: str

    def to_row(self) -> dict[str, Any]:
        """As `VERDICTS_SCHEMA`; what is not known is None."""
        numbers = {
            "current": self.current.value,
            "reference": self.reference.value,
            "difference": self.difference.value,
            "difference_low": self.difference.low,
            "difference_high": self.difference.high,
        }
        return {
            "day": self.day.isoformat() if self.day else None,
            "window_days": self.window_days,
            "metric": self.metric,
            "verdict": self.verdict,
            "reason": self.reason,
            **{name: finite_or_none(value) for name, value in numbers.items()},
        }


def check_performance(
    table: pa.Table,
    *,
    metric: str,
    reference: Estimate,
    max_drop: float,
    window_days: int = WINDOW_DAYS,
    day: date | None = None,
    decision: str = "decision",
    unit: str = "unit",
) -> PerformanceVerdict:
    """Whether a metric of the whole dropped significantly more than `max_drop` since training.

    Args:
        table: what `realised` returned, from the beginning of the record.
        metric: one of `train.metrics.METRICS`.
        reference: its value at training time, on decisions that the model had not seen, with a 95 % interval.
        max_drop: in units of the metric, 0 or more.
        day: which day's window is tested; default: the last.
        decision: what one is called, such as send.
        unit: what an entity is called that they are grouped by, such as user.

    Dropped only where the whole interval of the difference lies below minus `max_drop`. As the two samples are
    independent, its bounds combine those of both (Zou and Donner, 2008). Raises ValueError for an unknown metric.
    """
    sign = metric_named(metric).sign
    wanted = pc.and_(pc.equal(table["column"], ALL_ROWS), pc.equal(table["metric"], metric))
    rows = table.filter(pc.and_(wanted, pc.equal(table["window_days"], window_days))).to_pylist()
    found = [row for row in rows if day is None or row["day"] == day]
    newest = max(found, key=lambda row: row["day"], default=None)
    nothing = Estimate(*[float("nan")] * 3)
    current = Estimate(newest["value"], newest["low"], newest["high"]) if newest else nothing
    difference = _difference(current, reference, sign)
    verdict: Literal["holds", "dropped", "too_few"] = "holds"
    if np.isnan(difference.low) or np.isnan(difference.high):
        verdict = "too_few"
    elif difference.high < -max_drop:
        verdict = "dropped"
    over = window_in_words(newest["day"], window_days, pc.min(table["day"]).as_py()) if newest else None
    reason = _reason(verdict, metric, newest, over, current, reference, difference, max_drop, decision, unit)
    tested = newest["day"] if newest else day
    return PerformanceVerdict(verdict, metric, tested, window_days, current, reference, difference, max_drop, reason)


def _difference(current: Estimate, reference: Estimate, sign: float) -> Estimate:
    value = current.value - reference.value
    low = value - float(np.hypot(current.value - current.low, reference.high - reference.value))
    high = value + float(np.hypot(current.high - current.value, reference.value - reference.low))
    return Estimate(value, low, high) if sign > 0 else Estimate(-value, -high, -low)


def _reason(
    verdict: str,
    metric: str,
    row: dict[str, Any] | None,
    over: str | None,
    current: Estimate,
    reference: Estimate,
    difference: Estimate,
    max_drop: float,
    decision: str,
    unit: str,
) -> str:
    title = METRICS[metric].title
    if row is None:
        return f"No outcome has matured in the given days, so its {title} is not known."
    if verdict == "too_few":
        counts = f"{counted(row['rows'], f'matured {decision}')} of {over}, {row['positives']:,.0f} of them positive"
        if np.isnan(reference.low + reference.high):
            return f"Its {title} at training has no interval, so {current.value:.4f} cannot be compared ({counts})."
        come = agreeing(row["rows"], "come")
        return f"Its {title} is not tested: {counts}, {come} from too few {plural(unit)}."
    found = (
        f"{title} {current.value:.4f} over {over}, "
        f"{better_or_worse(difference.value, f'the {reference.value:.4f} at training')} "
        f"({difference.ci('+.4f', of=f'so few {plural(unit)}')})"
    )
    if verdict == "dropped":
        return f"It dropped: {found}, significantly more than the {max_drop:g} allowed."
    if difference.value < 0:
        return f"It holds: {found}; the drop is not significantly larger than the {max_drop:g} allowed."
    return f"It holds: {found}."
