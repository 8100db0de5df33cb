"""A value with its interval, and the intervals that need no model of their own."""

from dataclasses import dataclass
from math import isnan, prod

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; the bounds are NaN where no interval can be given."""

    value: float
    low: float
    high: float

    def ci(self, spec: str, *, of: str, level: float = 0.95, paired: bool = False) -> str:
        """The interval as every sentence writes it; where none can be given, that and for what.

        Args:
            spec: the format of both bounds.
            of: what it is drawn from, in words and with its number: the reason where it cannot be given.
            level: the one that it was computed for.
            paired: of the difference between two models on the same resamples.

        >>> Estimate(0.0289, 0.0213, 0.0394).ci("+.4f", of="500 users")
        '95 % CI +0.0213 to +0.0394'
        >>> Estimate(0.098, float("nan"), float("nan")).ci("+.4f", of="1 station", paired=True)
        'no paired 95 % CI can be given for 1 station'
        """
        name = f"{'paired ' if paired else ''}{100 * level:.4g} % CI"
        if not self.is_bounded:
            return f"no {name} can be given for {of}"
        return f"{name} {self.low:{spec}} to {self.high:{spec}}"

    @property
    def is_bounded(self) -> bool:
        """Whether there is an interval."""
        return not (isnan(self.low) or isnan(self.high))


def percentile_interval(value: float, replicates: npt.ArrayLike, level: float = 0.95) -> Estimate:
    """The central `level` of bootstrap replicates (repeats,), see `percentile_bounds`.

    >>> percentile_interval(5.0, [3.0, 4.0, 5.0, 6.0, 7.0], level=0.5)
    Estimate(value=5.0, low=4.0, high=6.0)
    """
    low, high = percentile_bounds(np.asarray(replicates, dtype=np.float64), level)
    return Estimate(value, float(low), float(high))


def percentile_bounds(replicates: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Low and high (...) of replicates (..., repeats): their central `level`, from those that have a value.

    NaN where more than half of the replicates have none.

    >>> low, high = percentile_bounds(np.arange(101.0), level=0.9)
    >>> round(float(low), 6), round(float(high), 6)
    (5.0, 95.0)
    """
    shares = [(1 - level) / 2, (1 + level) / 2]
    rows = replicates.reshape(prod(replicates.shape[:-1]), replicates.shape[-1])
    lacking = np.isnan(rows).sum(axis=-1)
    bounds = np.full((2, len(rows)), np.nan)
    # All at once where no replicate lacks a value: one at a time is many times slower.
    if rows.size and not lacking.all():
        bounds[:, lacking == 0] = np.quantile(rows[lacking == 0], shares, axis=-1)
    for row in np.flatnonzero((lacking > 0) & (2 * lacking <= rows.shape[-1])):
        bounds[:, row] = np.quantile(rows[row][~np.isnan(rows[row])], shares)
    low, high = bounds.reshape(2, *replicates.shape[:-1])
    return low, high


def distance_interval(value: float, noise: Floats) -> Estimate:
    """95 % interval of a distance between 0 and 1, such as a mean of absolute gaps or a largest difference.

    `noise` (repeats,) is the same distance between replicates and values on all rows. Noise makes a distance
    positive also where there is none, and replicates of the distance itself more so: their percentiles would miss
    0 nearly always. By the triangle inequality, value and truth differ by at most the distance between estimate and
    truth: value +- the quantile of `noise` holds at least at 95 %, and reaches 0 where noise may be all there is.

    >>> distance_interval(0.01, np.full(100, 0.03))
    Estimate(value=0.01, low=0.0, high=0.04)
    """
    if np.isnan(value) or 2 * np.isnan(noise).sum() > len(noise):
        return Estimate(value, float("nan"), float("nan"))
    half = float(np.nanquantile(noise, 0.95))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def wilson_bounds(cases: npt.ArrayLike, rows: npt.ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Low and high (n,) of the rates cases / rows, both (n,), by Wilson's score interval (1927); rows > 0.

    It stays inside [0, 1] and holds at low rates. Rows are taken as independent.

    >>> wilson_bounds([0, 5], [10, 10])
    (array([0.        , 0.23659309]), array([0.2775328 , 0.76340691]))
    """
    from statsmodels.stats.proportion import proportion_confint

    count, total = np.asarray(cases, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    low, high = proportion_confint(count, total, alpha=1 - level, method="wilson")
    # Rounding must not leave a bound on the wrong side of a rate of exactly 0 or 1.
    return np.minimum(low, count / total), np.maximum(high, count / total)
