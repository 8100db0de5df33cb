"""How good the champion is on the decisions of each day: as it turned out, and as its own probabilities expect.

`realised` needs matured labels and is the truth, a label window late. `estimated` needs none: if probabilities are
calibrated, they give the expected number of positives, and with it every metric. It follows a change of what is
decided about (covariate shift) and cannot see that the same now ends otherwise (concept shift). What follows from the
two is said in `performance_verdict`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural
from mlguide_assets.observe.performance.tallies import Bins, exact, exact_expected
from mlguide_assets.observe.performance.windows import Decided, Window, measured, spans, window_columns
from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.statistics.ranking import RANKED
from mlguide_assets.train.evaluation.slices import ALL_ROWS
from mlguide_assets.train.evaluation.slicing import slicing

WINDOW_DAYS = 7

CUTS, FINE_CUTS = 60, 300
"""Between score bins. Fine, where there are no slices and the mean over outcomes is computed as well as the spread."""

MIN_EXPECTED, MIN_EXPECTED_IF_RARE, RARE = 30, 100, 0.01
"""Positives that an estimate must expect before it gets an interval; more where base rates are below `RARE`."""


def realised(
    rows: pa.Table,
    *,
    threshold: float,
    columns: Sequence[str],
    min_positives: int,
    window_days: int = WINDOW_DAYS,
    repeats: int = 200,
    seed: int = 0,
    since: date = date.min,
) -> pa.Table:
    """Each of `MEASURES` per UTC day of `decided_at`, and over the days that end with it, as `windows.SCHEMA`.

    Args:
        rows: unit_id, decided_at, label (0 or 1: the caller leaves out what has not matured), probability, and the
            columns to slice by (see `train.slicing`; bands of numbers are those of the rows given).
        threshold: of the costs; a probability from it on speaks for a bad end.
        min_positives: a slice is supported where so many units have a positive row in it, and so many a negative one;
            at least two. Others have a value but no bounds.
        window_days: length of the trailing window. One that begins before the first row holds fewer days.
        since: the first day with which a window ends: give the rows of `window_days` - 1 days before it, too.

    Intervals are of 95 %, by resampling units. A day without decisions has no rows here. Raises ValueError where a
    column is absent or cannot be sliced, and on malformed labels or probabilities (see `train.metrics.checked`).
    """
    decisions = Decided.of(rows, labelled=True)
    bins, bootstrap = Bins.of(decisions.scores, threshold, CUTS), ClusterBootstrap(decisions.units, repeats, seed)
    names, groups = _groups(rows, columns, decisions)
    count, units = len(names), bootstrap.size
    # One group more: all rows again, with the probability for the outcome. What sets the whole apart from it is noise.
    outcomes = np.vstack([np.broadcast_to(decisions.labels, groups.shape), decisions.scores])
    placed = np.vstack([groups, np.full((1, groups.shape[1]), count)])
    copies = len(placed)

    def matrix(day: int) -> Any:
        here = decisions.rows_of(day)
        scores, codes = np.tile(decisions.scores[here], copies), np.tile(bootstrap.codes[here], copies)
        return bins.tallies(outcomes[:, here].ravel(), scores, placed[:, here].ravel(), count + 1, codes, units)

    matrices = [matrix(day) for day in range(len(decisions.days))]

    def tally(day: int, counts: Floats) -> Floats:
        sums: Floats = matrices[day] @ counts
        return sums.reshape(count + 1, bins.tallied, -1)

    ends = decisions.since(since)
    windows = [
        _counted(decisions, bootstrap, groups, count, length, min_positives, ends) for length in spans(window_days)
    ]
    return measured(decisions, bins, windows, names, on_all=tally, resampled=tally, drawn=False, bootstrap=bootstrap)


def _groups(rows: pa.Table, columns: Sequence[str], decisions: Decided) -> tuple[list[tuple[str, str]], Integers]:
    """Column and slice of each group, the first being the whole, and the groups of each row, (1 + columns, n)."""
    names, groups = [(ALL_ROWS, ALL_ROWS)], [np.zeros(len(rows), dtype=np.int64)]
    for column in dict.fromkeys(columns):
        if column not in rows.column_names:
            raise ValueError(f"no column {column!r} to slice by: there are {', '.join(rows.column_names)}")
        found = slicing(column, rows[column])
        groups.append(found.codes[decisions.order] + len(names))
        names += [(column, name) for name in found.names]
    return names, np.stack(groups)


def _counted(
    decisions: Decided,
    bootstrap: ClusterBootstrap,
    groups: Integers,
    count: int,
    length: int,
    min_positives: int,
    ends: range,
) -> Window:
    """What is known of the windows that end with some of the days; of others there is nothing."""
    shape = len(decisions.days), count
    rows, positives, witnesses = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    ranked = np.full((*shape, len(RANKED)), np.nan)
    for day in ends:
        here = decisions.rows_of(day, length)
        positive, scores, codes = decisions.labels[here] == 1, decisions.scores[here], bootstrap.codes[here]
        for of_column in groups[:, here]:
            rows[day] += np.bincount(of_column, minlength=count)
            positives[day] += np.bincount(of_column[positive], minlength=count)
            distinct = [_units(of_column[of], codes[of], count) for of in (positive, ~positive)]
            witnesses[day] += np.minimum(*distinct)
            for group in np.unique(of_column):
                inside = of_column == group
                ranked[day, group] = exact(positive[inside], scores[inside])
    return Window(length, rows, positives.astype(np.float64), witnesses >= max(min_positives, 2), ranked)


def _units(group: Integers, unit: Integers, count: int) -> Integers:
    """Distinct units of each group, (count,)."""
    # Arrow finds distinct values by hashing, several times faster than NumPy's sorting.
    pairs = pc.unique(pa.array(group + count * unit)).to_numpy(zero_copy_only=False)
    return np.bincount(pairs % count, minlength=count)


def estimated(
    rows: pa.Table,
    *,
    threshold: float,
    window_days: int = WINDOW_DAYS,
    repeats: int = 200,
    seed: int = 0,
    since: date = date.min,
) -> pa.Table:
    """What `realised` should find on the whole if each decision ends badly with its own probability; as its schema.

    Args:
        rows: unit_id, decided_at and probability, calibrated; other arguments as for `realised`.

    Confidence-based performance estimation, CBPE (the name is NannyML's): each row counts as a positive with weight p
    and as a negative with 1 - p. ROC and PR AUC are not linear in the outcomes, so to what that gives is added what
    the mean over drawn outcomes has more. The interval is for as many decisions of other units: it has the spread of
    resampling units and that of outcomes drawn with their chances. `noise` is the latter alone, so on the same rows
    the realised value lies within 1.96 x noise 95 times in 100. Windows in which fewer positives are expected than
    `MIN_EXPECTED`, or that hold one unit, have a value but no bounds.
    """
    decisions = Decided.of(rows, labelled=False)
    bins, bootstrap = Bins.of(decisions.scores, threshold, FINE_CUTS), ClusterBootstrap(decisions.units, repeats, seed)
    inside = [decisions.rows_of(day) for day in range(len(decisions.days))]
    chances, codes = [decisions.scores[here] for here in inside], [bootstrap.codes[here] for here in inside]
    units = [
        bins.tallies(each, each, np.zeros_like(of), 1, of, bootstrap.size)
        for each, of in zip(chances, codes, strict=True)
    ]

    def expected(day: int, counts: Floats) -> Floats:
        sums: Floats = units[day] @ counts
        return sums.reshape(1, bins.tallied, -1)

    # One generator a day, so that what is drawn for a day does not depend on which other days are given.
    outcomes = [
        _Outcomes.of(bins, each, [seed, int(day) % 2**32]) for day, each in zip(decisions.days, chances, strict=True)
    ]

    def resampled(day: int, counts: Floats) -> Floats:
        return np.concatenate([expected(day, counts), outcomes[day].draw(counts.shape[1]).reshape(1, bins.tallied, -1)])

    windows = [_expected(decisions, bootstrap, length, decisions.since(since)) for length in spans(window_days)]
    return measured(
        decisions,
        bins,
        windows,
        [(ALL_ROWS, ALL_ROWS)],
        on_all=expected,
        resampled=resampled,
        drawn=True,
        bootstrap=bootstrap,
    )


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """What could have become of the decisions of a day.

    `negatives` (tallied, 1) are the sums if every outcome is negative, `changes` (tallied, n) what each positive adds.
    """

    chances: Floats
    negatives: Floats
    changes: Any
    generator: np.random.Generator

    @classmethod
    def of(cls, bins: Bins, chances: Floats, seed: Sequence[int]) -> "_Outcomes":
        at = np.arange(len(chances))
        negative, positive = (
            bins.tallies(outcome, chances, np.zeros_like(at), 1, at, len(at))
            for outcome in (np.zeros(len(at)), np.ones(len(at)))
        )
        return cls(chances, negative @ np.ones((len(at), 1)), positive - negative, np.random.default_rng(seed))

    def draw(self, repeats: int) -> Floats:
        """Sums of so many draws, each decision with its own chance, (tallied, repeats)."""
        uniform = self.generator.random((repeats, len(self.chances)), dtype=np.float32)
        sums: Floats = self.negatives + self.changes @ np.less(uniform, self.chances).T.astype(np.float64)
        return sums


def _expected(decisions: Decided, bootstrap: ClusterBootstrap, length: int, ends: range) -> Window:
    inside = [decisions.rows_of(day, length) if day in ends else slice(0, 0) for day in range(len(decisions.days))]
    rows = np.array([here.stop - here.start for here in inside], dtype=np.int64)
    positives = np.array([decisions.scores[here].sum() for here in inside])
    several = np.array([here.stop > here.start and np.ptp(bootstrap.codes[here]) > 0 for here in inside], dtype=bool)
    needed = np.where(positives < RARE * rows, MIN_EXPECTED_IF_RARE, MIN_EXPECTED)
    ranked = np.array([exact_expected(decisions.scores[here]) for here in inside]).reshape(-1, 1, len(RANKED))
    return Window(length, rows[:, None], positives[:, None], ((positives >= needed) & several)[:, None], ranked)


def realised_columns(problem: Problem) -> dict[str, str]:
    """Column of what `realised` gives → meaning."""
    units = plural(problem.decision.unit)
    return {
        **window_columns(problem),
        "positives": "Rows among them with the positive outcome.",
        "metric": "The metric.",
        "value": "The metric on matured labels.",
        "low": f"Lower end of the 95 % interval, from a bootstrap of {units}.",
        "high": "Upper end of the 95 % interval.",
        "noise": "Standard deviation of the metric about its estimate on the same rows; NaN for slices.",
        "supported": "Whether the window has enough rows of both outcomes for an interval.",
    }


def estimated_columns(problem: Problem) -> dict[str, str]:
    """Column of what `estimated` gives → meaning."""
    return {
        **window_columns(problem),
        "positives": "Expected positives: the sum of the probabilities; no label is used.",
        "metric": "The metric.",
        "value": "The metric that the champion's own probabilities expect.",
        "low": "Lower end of the 95 % interval; null where earlier estimates were wrong too often to be trusted.",
        "high": "Upper end of the 95 % interval; null where the lower end is.",
        "noise": "Standard deviation of the realised metric about this estimate, on the same rows.",
        "supported": "Whether the window has enough rows for an interval.",
    }
