"""What came of the sends: who unsubscribes, when that takes effect, and which sends it prevents."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from mlguide_assets.define.sources import LONGEST_SIMULATED_DELAY
from mlguide_assets.prepare.simulator.population import Users
from mlguide_assets.prepare.simulator.randomness import stream_keys, uniform
from mlguide_assets.prepare.simulator.schedule import DAY, Slots
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Flags, Floats, Integers

NEVER = np.iinfo(np.int64).max
# Most people act within a day, and all, with a little to spare, before their label is final.
_MEAN_DELAY_DAYS = 0.6
_LONGEST_DELAY_DAYS = (LONGEST_SIMULATED_DELAY - timedelta(days=0.1)) / timedelta(days=1)


@dataclass(frozen=True)
class Outcomes:
    """Arrays of shape (n,), one entry per potential send."""

    probability: Floats
    effect: Integers  # second from the world's start at which its unsubscribe takes effect, or NEVER
    delivered: Flags  # no earlier unsubscribe had taken effect


def probabilities(logits: Floats, intercept: float) -> Floats:
    """P(this send makes the user unsubscribe)."""
    return 1 / (1 + np.exp(-intercept - logits))


def outcomes(world: World, who: Users, slots: Slots, probability: Floats) -> Outcomes:
    """Draws each send's outcome on its own, then takes back what was sent after the user had left.

    The draws do not depend on each other, so P(yes | delivered) is exactly `probability`. The earliest effect
    of a user is always that of a delivered send, because every effect follows its own delivery.
    """
    drawn = uniform(stream_keys(world.seed, "outcome", who.id)[slots.user], slots.day)
    yes = np.flatnonzero(drawn < probability)
    effect = np.full(len(drawn), NEVER)
    effect[yes] = slots.second[yes] + _delay(world, who, slots.user[yes], slots.day[yes])
    gone = np.full(len(who.id), NEVER)
    np.minimum.at(gone, slots.user[yes], effect[yes])
    return Outcomes(probability=probability, effect=effect, delivered=slots.second < gone[slots.user])


def _delay(world: World, who: Users, user: Integers, day: Integers) -> Integers:
    """Seconds from delivery to effect, at least one: exponential, cut at the longest delay."""
    drawn = uniform(stream_keys(world.seed, "delay", who.id)[user], day)
    reach = -np.expm1(-_LONGEST_DELAY_DAYS / _MEAN_DELAY_DAYS)
    delay = -np.log1p(-drawn * reach) * _MEAN_DELAY_DAYS
    seconds: Integers = np.ceil(delay * DAY).astype(np.int64).clip(min=1)
    return seconds
