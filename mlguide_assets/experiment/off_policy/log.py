"""Logged decisions beside what a target policy would do in their place. Nothing is estimated here."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats, Integers


class Predictions(NamedTuple):
    """What an outcome model that has not seen a row's own unit expects of it, each (n,).

    `logged` is the reward of the action that was taken; `target` the mean reward of the target's actions, weighted by
    their probabilities.
    """

    logged: Floats
    target: Floats


@dataclass(frozen=True, eq=False)
class PolicyLog:
    """n logged decisions.

    Attributes:
        units: (n,) whose decision each is. Decisions of one unit are alike; intervals draw units.
        rewards: (n,) what came of the action that was taken.
        propensities: (n,) probability in (0, 1] with which the logging policy took that action.
        target: (n,) probability in [0, 1] with which the target policy takes that same action.
        unsupported: share of the target's actions that the logging policy is known never to take; 0 where nothing
            is known.
        unlogged: some action of the target that is nowhere in the log, if there is one.

    Raises:
        ValueError: arrays differ in length, are empty, or hold values out of range.

    >>> log = PolicyLog(
    ...     units=np.array([1, 2]), rewards=np.array([0.0, 1.0]),
    ...     propensities=np.array([0.5, 0.25]), target=np.array([0.5, 0.5]),
    ... )
    >>> log.weights
    array([1., 2.])
    """

    units: npt.NDArray[Any]
    rewards: Floats
    propensities: Floats
    target: Floats
    unsupported: float = 0.0
    unlogged: str | None = None

    def __post_init__(self) -> None:
        columns = [self.units, self.rewards, self.propensities, self.target]
        if len({len(column) for column in columns}) > 1 or not len(self.rewards):
            raise ValueError(f"the columns of a log must be of equal length, not {[len(column) for column in columns]}")
        if not np.isfinite(self.rewards).all():
            raise ValueError("a reward is not a finite number")
        if not ((self.propensities > 0) & (self.propensities <= 1)).all():
            raise ValueError("a propensity is not above 0 and at most 1")
        if not ((self.target >= 0) & (self.target <= 1)).all():
            raise ValueError("a target probability is not between 0 and 1")

    @property
    def weights(self) -> Floats:
        """How much more often the target takes the logged action than the logging policy did, (n,)."""
        weights: Floats = self.target / self.propensities
        return weights

    @cached_property
    def unit_codes(self) -> Integers:
        """Each row's unit as a number from 0, (n,)."""
        return np.unique(self.units, return_inverse=True)[1].astype(np.int64)
