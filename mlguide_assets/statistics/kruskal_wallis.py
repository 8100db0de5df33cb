"""Do samples come from one distribution? By the ranks of their values, whatever the distribution is.

It needs sums of ranks, not rows. Means of skewed values in samples of unequal size are far from normal; those of ranks
are nearly normal with few units.
"""

from dataclasses import dataclass

from scipy.stats import chi2

from mlguide_assets.statistics.means import skewness_of_difference


@dataclass(frozen=True)
class Ranks:
    """Ranks among the values of all samples, equal values in the middle of their ranks.

    A rank is given as its distance from the middle one over the number of values: from -1/2 to 1/2.

    Attributes:
        units: of each sample.
        sums: of the ranks in each sample; together they are 0.
        square, cube: mean second and third power of all ranks.
    """

    units: tuple[int, ...]
    sums: tuple[float, ...]
    square: float
    cube: float

    @property
    def skewness_left(self) -> float:
        """The most that is left of the skewness of the ranks in the mean of a sample less that of the others.

        Ranks are skewed where nearly all values are the same.
        """
        if not self.square:
            return 0.0
        skewness, total = self.cube / self.square**1.5, sum(self.units)
        return max(abs(skewness_of_difference(skewness, units, total - units)) for units in self.units)


def kruskal_wallis(ranks: Ranks) -> float:
    """p-value of the test of Kruskal and Wallis, with the correction for equal values; 1 where all values are equal.

    >>> # 1, 2, 3 and 4, 5, 6: their ranks less 3.5, over 6.
    >>> round(kruskal_wallis(Ranks((3, 3), (-0.75, 0.75), 35 / 432, 0.0)), 4)
    0.0495
    """
    total = sum(ranks.units)
    if not ranks.square:
        return 1.0
    samples = [(units, of_sample) for units, of_sample in zip(ranks.units, ranks.sums, strict=True) if units]
    between = sum(of_sample**2 / units for units, of_sample in samples)
    statistic = (total - 1) * between / (total * ranks.square)
    return float(chi2.sf(statistic, len(samples) - 1))
