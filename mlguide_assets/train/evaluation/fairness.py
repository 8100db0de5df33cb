"""Does the decision treat the groups of sensitive columns alike? A group is a slice, measured as slices are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural
from mlguide_assets.statistics.intervals import Estimate, distance_interval
from mlguide_assets.train.evaluation.slices import MeasuredSlices, SliceSettings, as_table

LARGEST_DIFFERENCE = "(largest difference)"
FAIRNESS_METRICS = ("base_rate", "withheld_share", "true_positive_rate", "false_positive_rate", "calibration_gap")

_DIFFERENCES = {
    "demographic_parity_difference": ("withheld_share",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalised_odds_difference": ("true_positive_rate", "false_positive_rate"),
}


def group_columns(problem: Problem) -> dict[str, str]:
    """Column of `slices.SCHEMA` → meaning, for sensitive groups."""
    decision = problem.decision
    return {
        "column": "The sensitive column; (all) is all rows.",
        "slice": "The group: a value of the column, or the largest difference between two groups.",
        "rows": "Rows of the test window in the group.",
        "positives": "Rows among them with the positive outcome.",
        "metric": f"The metric, such as the share of rows that are {decision.above_done} (withheld_share).",
        "value": "The metric in the group, or its largest difference between groups.",
        "low": f"Lower end of the 95 % interval, from a bootstrap of {plural(problem.decision.unit)}.",
        "high": "Upper end of the 95 % interval.",
        "supported": "Whether the group has enough rows of both outcomes to be compared.",
    }


def fairness(rows: pa.Table, columns: Sequence[str], settings: SliceSettings) -> pa.Table:
    """How the decision treats the groups of sensitive columns, as `slices.SCHEMA`; arguments as for `slice_metrics`.

    Per group each of `FAIRNESS_METRICS`; true and false positive rate are the shares that are acted on of the positive
    rows, and of the negative ones. Then per column, as slice `LARGEST_DIFFERENCE`, between supported groups:

    - demographic_parity_difference: of the share that is acted on (Dwork et al., 2012: statistical parity);
    - equal_opportunity_difference: of the true positive rate; equalised_odds_difference: of the true or the false
      positive rate, whichever differs more (Hardt, Price and Srebro, 2016).

    Where base rates differ, no calibrated model has equal rates (Kleinberg, Mullainathan and Raghavan, 2016): a
    difference needs an explanation, it is not a verdict. Noise alone makes a largest difference positive, which its
    interval allows for (`intervals.distance_interval`). With fewer than two supported groups it is NaN.
    """
    found = MeasuredSlices.of(rows, columns, settings)
    groups = found.rows_of(FAIRNESS_METRICS)
    return as_table(groups + [row for column in dict.fromkeys(columns) for row in _differences(found, column)])


def _differences(found: MeasuredSlices, column: str) -> list[dict[str, Any]]:
    """The largest differences between the supported slices of a column."""
    among = [at for at, (of, _) in enumerate(found.slices) if of == column and found.supported[at]]
    estimates = {name: _largest_difference(found, among, metrics) for name, metrics in _DIFFERENCES.items()}
    return [
        found.row_among(column, LARGEST_DIFFERENCE, among, name, estimate, len(among) > 1)
        for name, estimate in estimates.items()
    ]


def _largest_difference(slices: MeasuredSlices, among: list[int], metrics: Sequence[str]) -> Estimate:
    if len(among) < 2:
        return Estimate(*[float("nan")] * 3)
    found = [slices.metric(metric) for metric in metrics]
    value = np.max([np.ptp(points[among]) for points, _ in found])
    noise = [np.ptp(values[among] - points[among, None], axis=0) for points, values in found]
    return distance_interval(float(value), np.max(noise, axis=0))
