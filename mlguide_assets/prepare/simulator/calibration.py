"""Calibrates the two numbers that cannot be known beforehand: the join rate and the level of the risk.

Both are measured on a pilot: the first users of the same world, joining at a rate of the pilot's own.
Shifts are left out of it, so that a world with a shift equals the world without it until the shift.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import log, sqrt

import numpy as np

from mlguide_assets.prepare.simulator.content import emails, emails_created_before
from mlguide_assets.prepare.simulator.outcomes import probabilities
from mlguide_assets.prepare.simulator.population import COHORT_JOIN_DAYS, users
from mlguide_assets.prepare.simulator.risk import logits
from mlguide_assets.prepare.simulator.schedule import potential_sends
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Floats, Integers

_PILOT_CELLS = 2_500_000  # users x days
_PILOT_USERS = (512, 8192)
# Variance of the sends that one user receives, relative to the square of their mean.
_ACTUAL_VARIANCE = 0.6
_PILOT_VARIANCE = 0.4
_STANDARD_ERRORS = 2.7


@dataclass(frozen=True)
class Calibration:
    """`joins_per_day` users join per day; `intercept` is in logit units."""

    joins_per_day: float
    intercept: float


def calibrate(world: World) -> Calibration:
    """The join rate that gives at least `world.sends` sends, the intercept that gives `world.base_rate`."""
    usual = replace(world, sends=1, covariate_shift=None, concept_shift=None)
    intercept, sends_per_user, pilot_users = _pilot(usual)
    wanted = world.sends / sends_per_user  # users
    # Enough users that even an unlucky draw of them receives the requested number of sends.
    margin = _STANDARD_ERRORS * sqrt(_ACTUAL_VARIANCE / wanted + _PILOT_VARIANCE / pilot_users)
    # Two more are nothing to a large world, and save the smallest from having no user.
    joins_per_day = (wanted * (1 + margin) + 2) / (COHORT_JOIN_DAYS + world.days)
    return Calibration(joins_per_day=joins_per_day, intercept=intercept)


@lru_cache(maxsize=64)
def _pilot(world: World) -> tuple[float, float, int]:
    """Intercept, expected sends per user, number of users."""
    fewest, most = _PILOT_USERS
    count = min(max(_PILOT_CELLS // world.days, fewest), most)
    who = users(world, count / (COHORT_JOIN_DAYS + world.days), np.arange(1, count + 1))
    slots = potential_sends(world, who, world.days)
    content = emails(world, np.arange(1, int(emails_created_before(world.days)) + 1))
    logit = logits(world, who, content, slots)
    intercept = _intercept(world.base_rate, logit, slots.user)
    return intercept, float(_still_here(logit, slots.user, intercept).sum()) / count, count


def _intercept(base_rate: float, logit: Floats, user: Integers) -> float:
    """Fixed-point search in log units: a step of the intercept moves the log of the rate by a little less."""
    intercept = log(base_rate)
    for _ in range(30):
        here = _still_here(logit, user, intercept)
        rate = float((here * probabilities(logit, intercept)).sum() / here.sum())
        step = 1.3 * log(base_rate / rate)
        intercept += step
        if abs(step) < 1e-5:
            break
    return intercept


def _still_here(logit: Floats, user: Integers, intercept: float) -> Floats:
    """P(a potential send is delivered), as if an unsubscribe took effect at once: waiting adds 0.2 %."""
    log_stays = np.log1p(-probabilities(logit, intercept))
    before = np.cumsum(log_stays) - log_stays
    first = np.flatnonzero(np.diff(user, prepend=-1))
    sizes = np.diff(first, append=len(user))
    still: Floats = np.exp(before - np.repeat(before[first], sizes))
    return still
