"""Every metric from sums over bins of the score, which can be added up: a window of days is the sum of its days.

A trailing window shares most of its rows with the one before. Ranking all of them again for each of 200 resamples would
take a minute where summing takes seconds. What lies within one bin counts as tied, so `exact` gives the value on all
rows, and the resamples are moved by the difference.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlguide_assets.statistics.arrays import Flags, Floats, Integers, ratio
from mlguide_assets.statistics.ranking import RANKED, RankSums
from mlguide_assets.train.evaluation.metrics import brier_rows, log_loss_rows

MEASURES = (*RANKED, "log_loss", "brier", "calibration_gap", "base_rate", "withheld_share", "precision", "recall")
"""The metrics of a day, in the order of every array here. calibration_gap is the mean prediction minus the observed
rate; precision and recall are those of withholding."""

_TOTALS = 3


@dataclass(frozen=True, eq=False)
class Bins:
    """Score bins: bin k holds scores from `cuts[k - 1]` to below `cuts[k]`; bins from `withheld` on are withheld."""

    cuts: Floats
    withheld: int

    @classmethod
    def of(cls, scores: Floats, threshold: float, cuts: int) -> "Bins":
        """Half of the cuts in equal steps of rows, half in equal steps of expected positives, and the threshold.

        Equal steps of rows alone would lump together the few high scores where most positives are.
        """
        ordered = np.sort(scores)
        steps = np.arange(1, cuts // 2) / (cuts // 2)
        by_rows = (steps * len(ordered)).astype(np.int64)
        mass = np.cumsum(ordered)
        by_mass = np.searchsorted(mass, steps * mass[-1:].sum())
        chosen = ordered[np.r_[by_rows, by_mass]] if len(ordered) else ordered
        distinct = np.unique(np.append(chosen, threshold))
        return cls(distinct, int(np.searchsorted(distinct, threshold, side="right")))

    @property
    def size(self) -> int:
        return len(self.cuts) + 1

    @property
    def tallied(self) -> int:
        """Sums per group: positives of each bin, rows of each bin, then probabilities, log-loss, Brier score."""
        return 2 * self.size + _TOTALS

    def tallies(
        self, outcomes: Floats, scores: Floats, group: Integers, groups: int, column: Integers, columns: int
    ) -> Any:
        """What each row adds to the sums of its group, sparse (groups x tallied, columns).

        Args:
            outcomes: (n,), the label, or the probability of a positive where an expectation is wanted.
            group, column: (n,), the group and the column (unit, or row) that each row belongs to.

        Sparse for the reason given in `statistics.bootstrap`: its product runs in one thread and one order.
        """
        from scipy.sparse import csr_array

        bin_of = np.searchsorted(self.cuts, scores, side="right")
        every = np.arange(2 * self.size, self.tallied)[:, None] + np.zeros(len(scores), dtype=np.int64)
        kinds = np.vstack([bin_of, self.size + bin_of, every])
        values = np.vstack([outcomes, np.ones(len(scores)), scores, *expected_losses(outcomes, scores)])
        places = (group * self.tallied + kinds).ravel(), np.tile(column, len(kinds))
        some = values.ravel() != 0
        at = places[0][some], places[1][some]
        return csr_array((values.ravel()[some], at), shape=(groups * self.tallied, columns))

    def measured(self, sums: Floats) -> Floats:
        """Each of `MEASURES`, (groups, measures, r), from sums (groups, tallied, r)."""
        size = self.size
        positives, counts, totals = sums[:, :size], sums[:, size : 2 * size], sums[:, 2 * size :]
        found, rows = positives.sum(axis=1), counts.sum(axis=1)
        caught, withheld = positives[:, self.withheld :].sum(axis=1), counts[:, self.withheld :].sum(axis=1)
        ranks = [RankSums.of_levels(*each) for each in zip(positives, counts - positives, strict=True)]
        ranked = [np.stack([metric(each) for each in ranks]) for metric in RANKED.values()]
        others = [
            ratio(totals[:, 1], rows),
            ratio(totals[:, 2], rows),
            ratio(totals[:, 0] - found, rows),
            ratio(found, rows),
            ratio(withheld, rows),
            ratio(caught, withheld),
            ratio(caught, found),
        ]
        return np.stack([*ranked, *others], axis=1)


def expected_losses(outcomes: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Log-loss and Brier score of each row, (n,) both; their expectation where the outcome is a probability."""
    always, never = np.ones(len(scores), dtype=bool), np.zeros(len(scores), dtype=bool)
    losses = [(of(always, scores), of(never, scores)) for of in (log_loss_rows, brier_rows)]
    log_loss, brier = (outcomes * positive + (1 - outcomes) * negative for positive, negative in losses)
    return log_loss, brier


def exact(labels: Flags, scores: Floats) -> Floats:
    """The metrics of `RANKED` on rows (n,), none of them tied unless their scores are equal."""
    return _ranked(RankSums.of(labels, scores))


def exact_expected(scores: Floats) -> Floats:
    """The metrics of `RANKED` that rows (n,) are expected to show if their scores are the chances of a positive."""
    levels, counts = np.unique(scores, return_counts=True)
    if not len(levels):
        return np.full(len(RANKED), np.nan)
    return _ranked(RankSums.of_levels((levels * counts)[:, None], ((1 - levels) * counts)[:, None]))


def _ranked(sums: RankSums) -> Floats:
    return np.array([metric(sums)[0] for metric in RANKED.values()])
