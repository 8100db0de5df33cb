"""Group-sequential tests: how large |z| must be at each look so that all looks together keep the level.

Alpha is spent as information comes in (Lan and DeMets, 1983), little at first, by the function that resembles
O'Brien and Fleming's boundary. Looks need not be equally spaced, nor their number be known beforehand: only what has
been spent so far matters. Boundaries are two-sided and symmetric, and each side spends alpha / 2.

The process is a Brownian motion seen at the information times; its density below the boundaries is carried from look
to look by numerical integration (Armitage, McPherson and Rowe, 1969; Jennison and Turnbull, 1999, chapter 19).
"""

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm

from mlguide_assets.statistics.arrays import Floats

FARTHEST = 37.0
"""z beyond which a tail probability is zero in float64."""
_HIGHEST_LEVEL = 0.99
"""Of a p-value below 1."""


def obrien_fleming_spending(information: npt.ArrayLike, alpha: float) -> Floats:
    """Two-sided alpha that is spent up to each information fraction, 2 per side: Lan and DeMets (1983), alpha_1*.

    >>> float(obrien_fleming_spending(1.0, 0.05).round(6))
    0.05
    """
    fractions = np.clip(np.asarray(information, dtype=np.float64), 1e-12, 1.0)
    spent: Floats = 4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(fractions))
    return spent


def boundaries(fractions: Sequence[float], alpha: float = 0.05) -> tuple[float, ...]:
    """The |z| at which each look rejects.

    Args:
        fractions: of the planned information at each look, increasing; at 1 or above all of alpha is spent.

    Raises:
        ValueError: the fractions do not increase from above 0.

    >>> [round(bound, 3) for bound in boundaries([0.2, 0.4, 0.6, 0.8, 1.0])]
    [4.877, 3.357, 2.68, 2.29, 2.031]
    """
    return _boundaries(_increasing(fractions), float(alpha))


def crossing_probabilities(fractions: Sequence[float], bounds: Sequence[float], drift: float = 0.0) -> Floats:
    """Probability (looks,) that |z| is first beyond its bound at each look.

    Args:
        drift: the expected z at information 1, so (true effect) / (its standard error at the planned end).

    >>> bounds = boundaries([0.5, 1.0], 0.05)
    >>> round(float(crossing_probabilities([0.5, 1.0], bounds).sum()), 4)
    0.05
    """
    times = _increasing(fractions)
    walk, crossed = _Walk(), []
    for time, bound in zip(times, bounds, strict=True):
        crossed.append(walk.beyond(time, bound, drift))
        walk = walk.advance(time, bound, drift)
    return np.array(crossed)


def drift_for_power(fractions: Sequence[float], bounds: Sequence[float], power: float) -> float:
    """The drift at which the looks together reject with a probability of `power`; see `crossing_probabilities`.

    >>> round(drift_for_power([1.0], [1.96], 0.8), 2)
    2.8
    """

    def missing(drift: float) -> float:
        return float(crossing_probabilities(fractions, bounds, drift).sum()) - power

    return float(brentq(missing, 0.0, 20.0 + bounds[-1], xtol=1e-6))


def inflation(fractions: Sequence[float], alpha: float, power: float) -> float:
    """How many times more units than with a single look at the end give the same power.

    >>> round(inflation([0.2, 0.4, 0.6, 0.8, 1.0], 0.05, 0.8), 2)
    1.02
    """
    fixed = norm.isf(alpha / 2) + norm.isf(1 - power)
    drift = drift_for_power(fractions, boundaries(fractions, alpha), power)
    return max(1.0, float((drift / fixed) ** 2))


def repeated_p_value(z: float, fractions: Sequence[float]) -> float:
    """The smallest level at which the present, last look would reject: valid whichever look it is that stops.

    It is at most alpha exactly where |z| is beyond the boundary of `alpha` (Jennison and Turnbull, 1999, chapter 9).

    >>> round(repeated_p_value(2.031, [0.2, 0.4, 0.6, 0.8, 1.0]), 3)
    0.05
    """
    times, size = _increasing(fractions), abs(z)
    if len(times) == 1 and times[0] >= 1:
        return float(2 * norm.sf(size))

    def excess(log_alpha: float) -> float:
        return _boundaries(times, float(np.exp(log_alpha)))[-1] - size

    if excess(np.log(_HIGHEST_LEVEL)) > 0:
        return 1.0
    # No look rejects more easily than a single one would.
    low = float(np.log(2) + log_ndtr(-size))
    if size >= FARTHEST or excess(low) <= 0:
        return float(np.exp(low))
    steps = (min(low + 0.5 * 2**power, np.log(_HIGHEST_LEVEL)) for power in range(32))
    high = next(level for level in steps if excess(level) <= 0)
    return float(np.exp(brentq(excess, low, high, xtol=1e-8)))


@lru_cache(maxsize=512)
def _boundaries(times: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    spent = np.diff(obrien_fleming_spending(times, alpha), prepend=0.0)
    walk, bounds = _Walk(), []
    for time, share in zip(times, spent, strict=True):
        bounds.append(walk.bound(time, float(share)))
        walk = walk.advance(time, bounds[-1], 0.0)
    return tuple(bounds)


class _Walk:
    """The Brownian motion at a time, on the paths that no look has stopped: its density at quadrature nodes."""

    def __init__(self, time: float = 0.0, nodes: Floats | None = None, mass: Floats | None = None) -> None:
        self.time = time
        self.nodes = np.zeros(1) if nodes is None else nodes
        self.mass = np.ones(1) if mass is None else mass
        """Density times quadrature weight of each node."""

    def beyond(self, time: float, bound: float, drift: float) -> float:
        """Probability of going on to this time and being beyond the bound there."""
        step = sqrt(time - self.time)
        at, edge = self.nodes + drift * (time - self.time), bound * sqrt(time)
        return float(self.mass @ (ndtr((at - edge) / step) + ndtr((-at - edge) / step)))

    def bound(self, time: float, share: float) -> float:
        """The bound that this share of paths is beyond."""
        if self.beyond(time, FARTHEST, 0.0) >= share:
            return FARTHEST

        # On a logarithmic scale, for shares as small as those of a first look.
        def missing(bound: float) -> float:
            return float(np.log(max(self.beyond(time, bound, 0.0), 1e-320)) - np.log(share))

        return float(brentq(missing, 0.0, FARTHEST, xtol=1e-10)) if missing(0.0) > 0 else 0.0

    def advance(self, time: float, bound: float, drift: float) -> "_Walk":
        """The walk at this time, without the paths that are beyond the bound."""
        step = sqrt(time - self.time)
        # Nothing to speak of is farther out than 8.5 standard deviations.
        edge = min(bound * sqrt(time), 8.5 * sqrt(time) + abs(drift) * time)
        # Three nodes for each standard deviation of a step: the integrand is a product of such bells.
        unit, weights = _quadrature(16 * max(2, int(np.ceil(6 * edge / step / 16))))
        nodes = edge * unit
        moved = (nodes[:, None] - self.nodes - drift * (time - self.time)) / step
        density = np.exp(-0.5 * moved**2) @ self.mass / (step * sqrt(2 * np.pi))
        return _Walk(time, nodes, density * weights * edge)


@lru_cache(maxsize=64)
def _quadrature(count: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on [-1, 1]."""
    return np.polynomial.legendre.leggauss(count)


def _increasing(fractions: Sequence[float]) -> tuple[float, ...]:
    times = tuple(map(float, fractions))
    if not times or not all(before < after for before, after in zip((0.0, *times), times, strict=False)):
        raise ValueError(f"information fractions must increase from above 0, not {times}")
    return times
