"""The schedule of sends if no user ever left. Outcomes never change it, they only cut it short.

The slots are opportunities: on which days, and when, a user is due for an email. They depend on no choice. Which
email a slot brings is the company's own draw, unless `plans` choose it.
"""

from dataclasses import dataclass

import numpy as np

from mlguide_assets.prepare.simulator.content import pool
from mlguide_assets.prepare.simulator.population import Users
from mlguide_assets.prepare.simulator.randomness import stream_keys, uniform
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Flags, Floats, Integers

DAY = 86_400  # seconds
WEEKDAY_RHYTHM = (1.05, 1.15, 1.15, 1.12, 1.08, 0.80, 0.65)  # Monday first
_HOUR_RHYTHM = (1, 1, 1, 1, 1, 2, 5, 9, 12, 12, 11, 9, 10, 9, 8, 8, 9, 10, 11, 10, 8, 6, 3, 2)
_RATE_RISE_SHIFTED = 1.3
# Few enough cells of the user x day grid at a time that they stay in the processor's cache.
_CELLS = 1 << 17


@dataclass(frozen=True)
class Slots:
    """Potential sends, arrays of shape (n,), ordered by user and then time; at most one per user and day."""

    user: Integers  # index into the users they were made for
    day: Integers  # from the world's start
    second: Integers  # from the world's start
    email: Integers  # email id


def potential_sends(world: World, who: Users, last_exclusive: int) -> Slots:
    """All potential sends to these users from the world's start up to the day `last_exclusive`."""
    step = max(_CELLS // max(last_exclusive, 1), 1)
    grids = [
        np.nonzero(_scheduled(world, who, slice(at, at + step), 0, last_exclusive))
        for at in range(0, len(who.id), step)
    ]
    none = np.empty(0, np.int64)
    user = np.concatenate([none, *(rows + part * step for part, (rows, _) in enumerate(grids))])
    day = np.concatenate([none, *(days for _, days in grids)])
    second, email = second_of_day(world, who, user, day), _email(world, who, user, day)
    return Slots(user=user, day=day, second=second, email=email)


def is_scheduled(world: World, who: Users, first: int, last_exclusive: int) -> Flags:
    """Which of these users have a potential send in the days [first, last_exclusive). Shape (n,)."""
    step = max(_CELLS // max(last_exclusive - first, 1), 1)
    parts = [
        _scheduled(world, who, slice(at, at + step), first, last_exclusive).any(axis=1)
        for at in range(0, len(who.id), step)
    ]
    return np.concatenate([np.empty(0, np.bool_), *parts])


def weekday(world: World, day: Integers) -> Integers:
    """0 is Monday."""
    weekday: Integers = (day + world.start.weekday()) % 7
    return weekday


def _scheduled(world: World, who: Users, part: slice, first: int, last_exclusive: int) -> Flags:
    days = np.arange(first, last_exclusive)
    rhythm = np.asarray(WEEKDAY_RHYTHM)[weekday(world, days)]
    if world.covariate_shift is not None:
        rhythm = np.where(days >= world.day(world.covariate_shift), rhythm * _RATE_RISE_SHIFTED, rhythm)
    keys = stream_keys(world.seed, "send", who.id[part])
    drawn: Flags = uniform(keys[:, None], days[None, :]) < who.rate[part][:, None] * rhythm[None, :]
    # The join date has no time of day: only from the next day on is a delivery certainly later.
    drawn &= days[None, :] > who.joined[part][:, None]
    return drawn


def second_of_day(world: World, who: Users, user: Integers, day: Integers) -> Integers:
    """When a user is sent what they are sent on a day, in seconds from the world's start."""
    share = np.concatenate([[0.0], np.cumsum(_HOUR_RHYTHM)]) / sum(_HOUR_RHYTHM)
    drawn: Floats = uniform(stream_keys(world.seed, "time of day", who.id)[user], day)
    hours = np.interp(drawn, share, np.arange(25.0))
    second: Integers = day * DAY + np.minimum(hours * 3600, DAY - 1).astype(np.int64)
    return second


def _email(world: World, who: Users, user: Integers, day: Integers) -> Integers:
    first, size = pool(np.arange(int(day.max(initial=0)) + 1))
    drawn = uniform(stream_keys(world.seed, "email", who.id)[user], day)
    return first[day] + np.minimum((drawn * size[day]).astype(np.int64), size[day] - 1)
