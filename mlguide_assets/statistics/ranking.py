"""How well scores rank positives above negatives: ROC AUC and average precision, cheap under many weightings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlguide_assets.statistics.arrays import Flags, Floats, Integers, ratio


@dataclass(frozen=True, eq=False)
class RankSums:
    """Rows summed at each of K ascending scores, under r weightings; every positive has one of these scores.

    `positives` (K, r) is the weight of the positives at that score, `below` and `not_above` (K, r) the weight of the
    negatives with a lower score, and with a lower or the same; `negatives` (r,) that of all negatives.
    """

    positives: Floats
    below: Floats
    not_above: Floats
    negatives: Floats

    @classmethod
    def of(cls, labels: Flags, scores: Floats) -> "RankSums":
        """Of rows (n,) that count once each (r = 1).

        >>> labels, scores = np.array([False, True, False, True]), np.array([0.1, 0.2, 0.2, 0.8])
        >>> RankSums.of(labels, scores).roc_auc()
        array([0.875])
        """
        levels, counts = np.unique(scores[labels], return_counts=True)
        negatives = np.sort(scores[~labels])
        below, not_above = (np.searchsorted(negatives, levels, side=side) for side in ("left", "right"))
        positives, lower, not_higher = np.stack([counts, below, not_above])[..., None].astype(np.float64)
        return cls(positives, lower, not_higher, np.array([float(len(negatives))]))

    @classmethod
    def of_levels(cls, positives: Floats, negatives: Floats) -> "RankSums":
        """Of the weight of each class at each of K ascending scores, (K, r) both."""
        not_above = np.cumsum(negatives, axis=0)
        return cls(positives, not_above - negatives, not_above, not_above[-1])

    def ordered_pairs(self) -> Floats:
        """Weight of the pairs whose positive has the higher score, ties counting half (r,): Mann-Whitney's U."""
        ordered: Floats = np.einsum("kr,kr->r", self.positives, self.below + self.not_above) / 2
        return ordered

    def roc_auc(self) -> Floats:
        """Weighted ROC AUC (r,), NaN where a class has no weight: the share of the pairs that are ordered."""
        return ratio(self.ordered_pairs(), self.positives.sum(axis=0) * self.negatives)

    def pr_auc(self) -> Floats:
        """Weighted average precision (r,), NaN where no positive has weight.

        Precision at each distinct score, weighted by the recall gained there: scikit-learn's definition, without
        interpolation.
        """
        found = np.cumsum(self.positives[::-1], axis=0)[::-1]
        flagged = found + (self.negatives - self.below)
        # Where nothing is flagged the positives have no weight either: the 1 only avoids 0 / 0.
        precision = found / np.where(flagged > 0, flagged, 1)
        return ratio(np.einsum("kr,kr->r", self.positives, precision), self.positives.sum(axis=0))


RANKED: dict[str, Callable[[RankSums], Floats]] = {"roc_auc": RankSums.roc_auc, "pr_auc": RankSums.pr_auc}
"""Metrics that depend on the order of the scores only."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """All that a ranking metric needs of n rows, found by one sort and then good for any weights.

    Rows fall into 3 K + 1 segments, K being the number of distinct scores of positives: `segment` (n,) is k
    for positives at score k, K + 2 k for negatives between scores k - 1 and k, K + 2 k + 1 for negatives
    tied with k.
    """

    segment: Integers
    levels: int

    @property
    def segments(self) -> int:
        return 3 * self.levels + 1

    @classmethod
    def of(cls, labels: Flags, scores: Floats) -> "Ranking":
        """Ranking of rows by score; labels and scores are (n,)."""
        levels = np.unique(scores[labels])
        at = np.searchsorted(levels, scores)
        negative = len(levels) + 2 * at + np.isin(scores, levels)
        return cls(np.where(labels, at, negative).astype(np.int64), len(levels))

    def sums(self, weights: Floats) -> RankSums:
        """Sums at each score, given the total weight in each segment, `weights` (segments, r)."""
        reached = np.cumsum(weights[self.levels :], axis=0)
        return RankSums(weights[: self.levels], reached[:-1:2], reached[1::2], reached[-1])
