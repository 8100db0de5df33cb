"""Resampling whole clusters: rows of one user, customer or machine are alike, and are drawn together.

With rows drawn one by one, a user with forty rows would count as forty witnesses and intervals would be too narrow
(Cameron, Gelbach and Miller, 2008). Whatever is a function of sums is summed per cluster once; a replicate is then a
product with how often each cluster was drawn. The sums are sparse also where they are dense, because the product then
runs in one thread and one order: same inputs, same bytes, on any number of cores.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats, Integers

WORKING_SIZE = 2_000_000
"""Numbers held in one working array: 2 million float64 are 16 MB, and a handful of them are alive at once."""


@dataclass(frozen=True, eq=False)
class ClusterBootstrap:
    """`repeats` resamples of the clusters, with replacement, each as large as the set of clusters itself.

    `clusters` (n,) names the cluster of each row. The draws depend only on the set of clusters, on `seed` and on the
    number of the repeat: not on the order of the rows, and the first 100 of 300 repeats are those of `repeats=100`.
    """

    clusters: npt.NDArray[Any]
    repeats: int = 300
    seed: int = 0

    @cached_property
    def _coded(self) -> tuple[int, Integers]:
        distinct, codes = np.unique(self.clusters, return_inverse=True)
        return len(distinct), codes.astype(np.int64)

    @property
    def size(self) -> int:
        """Number of distinct clusters."""
        return self._coded[0]

    @property
    def codes(self) -> Integers:
        """Index of each row's cluster, (n,)."""
        return self._coded[1]

    def draws(self, at_once: int = 32) -> Iterator[Floats]:
        """How often each cluster is drawn: arrays (size, r) with r <= `at_once`, `repeats` columns in all."""
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.repeats, at_once):
            columns = min(at_once, self.repeats - start)
            counts = np.empty((self.size, columns))
            for column in range(columns):
                drawn = generator.integers(self.size, size=self.size)
                counts[:, column] = np.bincount(drawn, minlength=self.size)
            yield counts

    def row_weights(self, counts: Floats) -> Floats:
        """Weight of each row, (n, r), for `counts` (size, r) from `draws`."""
        return counts[self.codes]

    def sums(self, values: Floats) -> Any:
        """Values of rows (k, n) summed per cluster, sparse (k, size)."""
        from scipy.sparse import csr_array

        sums = [np.bincount(self.codes, row, self.size) for row in values]
        return csr_array(np.reshape(sums, (len(values), self.size)))

    def group_sums(self, values: Floats, group: Integers, groups: int) -> Any:
        """Values (n,) summed per group (n,) and cluster, sparse (groups, size)."""
        from scipy.sparse import csr_array

        return csr_array((values, (group, self.codes)), shape=(groups, self.size))

    def replicated(self, sums: Any, measure: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        """Measures on all rows (m,) and on every resample (m, repeats), given sums per cluster, sparse (k, size).

        `measure` turns sums (k, r) into m measures (m, r). All replicates are NaN with fewer than two clusters: nothing
        is known about how clusters vary.
        """
        points = measure(sums @ np.ones((self.size, 1)))
        if self.size < 2:
            return points[:, 0], np.full((len(points), self.repeats), np.nan)
        values = [measure(sums @ counts) for counts in self.draws(self.chunk(max(sums.shape)))]
        return points[:, 0], np.concatenate(values, axis=1)

    @staticmethod
    def chunk(widest: int) -> int:
        """How many resamples to take at once where arrays of (widest, r) are made of them."""
        return max(1, min(64, WORKING_SIZE // widest))


def stacked(*sums: Any) -> Any:
    """Sparse sums per cluster one above the other."""
    from scipy.sparse import vstack

    return vstack(sums, format="csr")
