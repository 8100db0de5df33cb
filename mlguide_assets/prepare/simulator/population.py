"""Who the users are and when they joined. What they receive is in `schedule`, how they react in `risk`."""

from dataclasses import dataclass

import numpy as np

from mlguide_assets.prepare.simulator.randomness import entity_normal, entity_uniform, stratified_uniform
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Flags, Floats, Integers

GENDERS = ("male", "female")
COUNTRIES = ("US", "KO", "JP")
AGES = (18, 75)

# Users joined at the same rate before the start, but only those who are still there by then count. The
# numbers are what a run of three years shows of users who joined t days ago: (1 + t / _SCALE) ** -_LEAVING of
# them are left, and for each e-fold of 1 + t / _SCALE those get fewer emails and have bought more. So the
# first months look like the later ones.
_SCALE = 40.0
_LEAVING = 0.42
_OLDEST = 730.0
_LOG_RATE_OF_STAYERS = -0.16
_LOG_PURCHASES_OF_STAYERS = 0.20
COHORT_JOIN_DAYS = _SCALE / (1 - _LEAVING) * ((1 + _OLDEST / _SCALE) ** (1 - _LEAVING) - 1)

_COUNTRY_SHARES = (0.48, 0.30, 0.22)
_COUNTRY_SHARES_SHIFTED = (0.22, 0.33, 0.45)
_RATE_MEDIAN = 0.14
_RATE_SPREAD = 0.65
_RATE_LIMITS = (0.02, 0.65)


@dataclass(frozen=True)
class Users:
    """Arrays of shape (n,), one entry per user. `joined` counts days from the world's start."""

    id: Integers
    joined: Integers
    gender: Integers  # index into GENDERS
    age: Integers  # years
    country: Integers  # index into COUNTRIES
    words: Integers
    purchases: Integers
    rate: Floats  # emails per ordinary day


def joined_on(joins_per_day: float, ids: Integers) -> Integers:
    """The day each user joined, counted from the world's start. Never falls with the id."""
    position = (ids - 0.5) / joins_per_day - COHORT_JOIN_DAYS
    growth = 1 + np.maximum(-position, 0) * (1 - _LEAVING) / _SCALE
    before = _SCALE * (1 - growth ** (1 / (1 - _LEAVING)))
    joined: Integers = np.floor(np.where(position < 0, before, position)).astype(np.int64)
    return joined


def users_joined_before(joins_per_day: float, day: int) -> int:
    """How many users joined before `day` (counted from the world's start): their ids are 1 to this number."""
    position = float(day)
    if day < 0:
        position = -_SCALE / (1 - _LEAVING) * ((1 - day / _SCALE) ** (1 - _LEAVING) - 1)
    about = max(int(joins_per_day * (position + COHORT_JOIN_DAYS)), 1)
    # The inverse above is exact only up to rounding, so the ids around it decide.
    nearby = np.arange(max(about - 2, 1), about + 4)
    return int(nearby[0]) - 1 + int(np.count_nonzero(joined_on(joins_per_day, nearby) < day))


def users(world: World, joins_per_day: float, ids: Integers) -> Users:
    """The users with these ids."""
    joined = joined_on(joins_per_day, ids)
    shifted = np.zeros(len(ids), dtype=bool)
    if world.covariate_shift is not None:
        shifted = joined >= world.day(world.covariate_shift)
    age = _age(world, ids, shifted)
    stayed = np.log1p(np.maximum(-joined, 0) / _SCALE)
    return Users(
        id=ids,
        joined=joined,
        gender=(entity_uniform(world.seed, "gender", ids) < 0.5).astype(np.int64),
        age=age,
        country=_country(world, ids, shifted),
        words=np.floor(np.exp(4.0 + 0.7 * entity_normal(world.seed, "words", ids))).astype(np.int64),
        purchases=_purchases(world, ids, age, stayed),
        rate=_rate(world, ids, stayed),
    )


def _age(world: World, ids: Integers, shifted: Flags) -> Integers:
    youngest, oldest = AGES
    uniform = entity_uniform(world.seed, "age", ids)
    # A mean of two uniforms peaks in the middle; the shift moves that peak towards the young.
    peaked = (uniform + entity_uniform(world.seed, "age/second", ids)) / 2
    share = np.where(shifted, peaked**2, peaked)
    age: Integers = (youngest + np.floor(share * (oldest - youngest + 1))).astype(np.int64)
    return age


def _country(world: World, ids: Integers, shifted: Flags) -> Integers:
    uniform = entity_uniform(world.seed, "country", ids)
    usual = np.searchsorted(np.cumsum(_COUNTRY_SHARES)[:-1], uniform, side="right")
    later = np.searchsorted(np.cumsum(_COUNTRY_SHARES_SHIFTED)[:-1], uniform, side="right")
    return np.where(shifted, later, usual).astype(np.int64)


def _purchases(world: World, ids: Integers, age: Integers, stayed: Floats) -> Integers:
    usual = -np.log1p(-entity_uniform(world.seed, "purchases", ids)) * (4 + 0.15 * age)
    kept = (1 + usual) * np.exp(_LOG_PURCHASES_OF_STAYERS * stayed) - 1
    purchases: Integers = np.floor(kept).astype(np.int64)
    return purchases


def _rate(world: World, ids: Integers, stayed: Floats) -> Floats:
    # Stratified, because the number of sends hangs on it more than on anything else.
    uniform = stratified_uniform(world.seed, "rate", ids, block=16)
    # A logistic number of unit variance: close to a normal one, and its inverse is elementary.
    spread = (np.log(np.maximum(uniform, 1e-12)) - np.log1p(-uniform)) * (np.sqrt(3) / np.pi)
    rate: Floats = _RATE_MEDIAN * np.exp(_RATE_SPREAD * spread + _LOG_RATE_OF_STAYERS * stayed)
    return rate.clip(*_RATE_LIMITS)
