"""With which probability each policy does what: the propensities that a plan states. Nothing is drawn here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlguide_assets.define.policies import POLICIES, Policy
from mlguide_assets.statistics.arrays import Flags, Floats, Integers


def propensity_of_best(candidates: Integers, share: Floats | float) -> Floats:
    """Of the least risky candidate, by a model's policy: which may be drawn too. 1 where none may be used.

    >>> propensity_of_best(np.array([4]), 0.2)
    array([0.85])
    """
    best: Floats = 1 - share * np.maximum(candidates - 1, 0) / np.maximum(candidates, 1)
    return best


def propensity_of_other(candidates: Integers, share: Floats | float) -> Floats:
    """Of each candidate but the least risky one, by a model's policy."""
    other: Floats = share / np.maximum(candidates, 1)
    return other


def mixed(shares: Mapping[Policy, Floats], propensities: Mapping[Policy, Floats]) -> Floats:
    """Over the draw of the policy: the propensities given each policy, by the share of the policy."""
    total: Floats = np.sum([shares[policy] * propensities[policy] for policy in POLICIES], axis=0)
    return total


@dataclass(frozen=True)
class Scores:
    """What a model says of n units with N candidates, both in order of their ids."""

    probability: Floats  # (n, N)
    usable: Flags  # (n, N)

    @property
    def best(self) -> Integers:
        """Place of the least risky candidate (n,); as in `batch.best_choices`, of equals the last."""
        place: Integers = self.probability.shape[1] - 1 - np.argmin(self.probability[:, ::-1], axis=1)
        return place

    @property
    def candidates(self) -> Integers:
        """How many candidates may be used (n,)."""
        count: Integers = self.usable.sum(axis=1)
        return count

    def drawn(self, which: Integers) -> Integers:
        """Place of the `which`-th candidate that may be used (n,)."""
        place: Integers = np.argmax(np.cumsum(self.usable, axis=1) > which[:, None], axis=1)
        return place


@dataclass(frozen=True)
class Propensities:
    """Of every action with n units, given each policy: using each of N candidates (n, N), and none (n,)."""

    using: Mapping[Policy, Floats]
    withholding: Mapping[Policy, Floats]

    def of_actions(self, candidate: Integers, withheld: Flags) -> dict[Policy, Floats]:
        """Of one action per unit (n,), given each policy.

        Args:
            candidate: place of the candidate that is used.
            withheld: where none is used.
        """
        row = np.arange(len(candidate))
        return {
            policy: np.where(withheld, self.withholding[policy], self.using[policy][row, candidate])
            for policy in POLICIES
        }

    def supported(self, shares: Mapping[Policy, Floats]) -> Integers:
        """How many candidates a unit might get (n,), where these are the shares of the policies."""
        over_all = mixed({policy: share[:, None] for policy, share in shares.items()}, self.using)
        count: Integers = (over_all > 0).sum(axis=1)
        return count


def propensities(champion: Scores, challenger: Scores, *, share: float, generic: int) -> Propensities:
    """The propensities of all actions.

    Args:
        share: of the units that get something by a model's policy, for whom it draws.
        generic: place of the candidate that the generic policy uses.
    """
    units, candidates = champion.probability.shape
    one, never = np.arange(candidates) == generic, np.zeros(units)
    return Propensities(
        using={
            "generic": np.tile(one.astype(np.float64), (units, 1)),
            "champion": _using(champion, share),
            "challenger": _using(challenger, share),
            "random": np.full((units, candidates), 1 / candidates),
        },
        withholding={
            "generic": never,
            "champion": (champion.candidates == 0).astype(np.float64),
            "challenger": (challenger.candidates == 0).astype(np.float64),
            "random": never,
        },
    )


def _using(scores: Scores, share: float) -> Floats:
    """Of each candidate (n, N), by the policy of a model; 0 for all where none may be used."""
    candidates = scores.candidates
    each = np.where(scores.usable, propensity_of_other(candidates, share)[:, None], 0.0)
    np.put_along_axis(each, scores.best[:, None], propensity_of_best(candidates, share)[:, None], axis=1)
    return np.where(candidates[:, None] > 0, each, 0.0)
