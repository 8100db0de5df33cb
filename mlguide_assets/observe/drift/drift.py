"""Has the data changed since the model was made? A calibrated verdict over all rows of a window.

First quality, column by column (see `quality`). Then drift: a two-sample chi-square test over the bins of the
reference profile, with Benjamini-Hochberg over the columns, so that many columns are no reason for many alarms, and a
floor under the effect, so that many rows are none either.

What it does not do: decide whether drift matters. Drift alone does not retrain.
"""

from dataclasses import asdict, replace

import numpy as np

from mlguide_assets.english import agreeing, counted
from mlguide_assets.observe.drift.quality import Finding, check_categories, check_nulls, null_share, unseen_share
from mlguide_assets.observe.drift.verdict import ColumnMeasures, ColumnResult, DriftVerdict, conclude
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.multiplicity import benjamini_hochberg
from mlguide_assets.statistics.two_sample import psi_terms
from mlguide_assets.train.reference.bins import Counts
from mlguide_assets.train.reference.costing import cost_effect
from mlguide_assets.train.reference.counting import WindowCounts, column_test
from mlguide_assets.train.reference.profile import ColumnProfile, Profile

FALSE_ALARMS = 0.01
"""The share of false alarms among the columns reported as drifted; where none has, at most the chance that any is
reported, and likewise for quality."""
WARN_PSI, ACT_PSI = 0.1, 0.2
"""From which a change beyond chance is worth a warning, and action."""


def check_drift(profile: Profile, counts: WindowCounts, *, min_rows: int = 500) -> DriftVerdict:
    """Test the columns of a window against the reference.

    Args:
        min_rows: windows with fewer are not tested.
    """
    results = _check_schema(profile, counts)
    columns = [column for column in profile.columns if column.name in counts.counts]
    here = [counts.counts[column.name] for column in columns]
    if counts.rows < max(min_rows, 1):
        too_few = (
            f"{counted(counts.rows, 'row')} {agreeing(counts.rows, 'is')} too few to test, {min_rows:,} are needed"
        )
        findings = tuple(Finding("too_few", check, too_few) for check in ("nulls", "distribution"))
        untested = zip(columns, here, strict=True)
        results += [ColumnResult(_shares(column, found), findings) for column, found in untested]
        return conclude(results, counts.rows)
    tests = [
        column_test(column, column.counts, found, column.inflation) for column, found in zip(columns, here, strict=True)
    ]
    q_values = benjamini_hochberg([test.p_value for test in tests])
    for column, found, test, q_value in zip(columns, here, tests, q_values.tolist(), strict=True):
        terms = psi_terms(column.counts[: column.bins.known], found[: column.bins.known])
        measures = replace(_shares(column, found), psi=float(terms.sum()), q_value=q_value, **asdict(test))
        quality = [check(column, found, alpha=FALSE_ALARMS / len(columns)) for check in (check_nulls, check_categories)]
        drift = _check_distribution(column, found, terms, q_value)
        results.append(ColumnResult(measures, (*filter(None, quality), drift)))
    return conclude(results, counts.rows)


def _check_schema(profile: Profile, counts: WindowCounts) -> list[ColumnResult]:
    """The columns that cannot be compared: missing, of another type, or unexpected."""
    results: list[ColumnResult] = []
    for column in profile.columns:
        measures = ColumnMeasures(column.name, column.kind, importance=column.importance, inflation=column.inflation)
        if column.name in counts.missing:
            results.append(ColumnResult(measures, (Finding("act", "schema", "the column is missing"),)))
        elif column.name in counts.retyped:
            reason = f"it is stored as {counts.retyped[column.name]}, in the reference as {column.stored}"
            results.append(ColumnResult(measures, (Finding("act", "schema", reason),)))
    unexpected = Finding("warn", "schema", "the reference has no such column")
    return [*results, *(ColumnResult(ColumnMeasures(name), (unexpected,)) for name in counts.unexpected)]


def _check_distribution(column: ColumnProfile, counts: Counts, terms: Floats, q_value: float) -> Finding:
    psi = float(terms.sum())
    if np.isnan(q_value):
        return Finding("none", "distribution", "too few values, or too few independent rows, to compare")
    if q_value > FALSE_ALARMS:
        return Finding("none", "distribution", f"PSI {psi:.2f}, no more than chance")
    if psi < WARN_PSI:
        return Finding("none", "distribution", f"PSI {psi:.2f}, beyond chance and too small to matter")
    most, known = int(np.argmax(terms)), column.bins.known
    now, before = (each[most] / sum(each[:known]) for each in (counts, column.counts))
    reason = f"PSI {psi:.2f}, mostly as {now:.1%} are {column.bins.name(most)}, against {before:.1%} in the reference"
    return Finding("act" if psi >= ACT_PSI else "warn", "distribution", reason)


def _shares(column: ColumnProfile, counts: Counts) -> ColumnMeasures:
    return ColumnMeasures(
        column.name,
        column.kind,
        importance=column.importance,
        inflation=column.inflation,
        null_share=null_share(counts),
        reference_null_share=null_share(column.counts),
        unseen_share=unseen_share(column, counts),
        cost_effect=cost_effect(column, counts),
    )
