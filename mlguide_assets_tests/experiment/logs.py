"""Logged decisions of a world whose truth is known: who is met, what is done, what comes of it."""

from dataclasses import dataclass

import numpy as np

from mlguide_assets.experiment.off_policy.log import PolicyLog
from mlguide_assets.experiment.off_policy.outcome_model import Context, Decisions, Integers

RATES = np.array([[0.10, 0.25, 0.40], [0.30, 0.15, 0.20], [0.45, 0.35, 0.05], [0.20, 0.30, 0.25]])
"""Chance of a reward by kind of unit and action."""

BEST = RATES.argmin(axis=1)
TARGET = np.array([1, 1, 0, 2])
"""What another policy would do with each kind of unit."""


@dataclass(frozen=True, eq=False)
class Logged:
    """A log, the same for an outcome model, what the target would do, and what that is worth in truth."""

    log: PolicyLog
    decisions: Decisions
    chosen: Integers
    truth: float


def logged(seed: int, *, units: int = 800, rows: int = 2, exploration: float = 0.4) -> Logged:
    """Units of four kinds meet the action with the lowest rate, or explore; the rows of one are alike.

    Half of a unit's rate is the same in all its rows: there it either gets the reward or does not.
    """
    generator = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), rows)
    kind = generator.integers(len(RATES), size=units)[unit]
    n, actions = len(unit), RATES.shape[1]
    explores = generator.random(n) < exploration
    action = np.where(explores, generator.integers(actions, size=n), BEST[kind])
    propensity = exploration / actions + (1 - exploration) * (action == BEST[kind])
    drawn = np.where(generator.random(n) < 0.5, generator.random(units)[unit], generator.random(n))
    reward = (drawn < RATES[kind, action]).astype(float)
    chosen = TARGET[kind]
    log = PolicyLog(unit, reward, propensity, (action == chosen).astype(float))
    context = Context(kind[:, None].astype(np.float32), (True,))
    truth = float(RATES[np.arange(len(RATES)), TARGET].mean())
    return Logged(log, Decisions(unit, context, action, reward), chosen, truth)
