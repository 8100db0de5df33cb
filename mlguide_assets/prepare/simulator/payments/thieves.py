"""What thieves do: terminals that copy cards for weeks, and cards that are stolen for days."""

import numpy as np

from mlguide_assets.prepare.simulator.payments.world import PaymentWorld
from mlguide_assets.prepare.simulator.randomness import entity_uniform
from mlguide_assets.statistics.arrays import Flags, Floats, Integers

_TERMINAL_DAYS = 0.015
"""Share of the days of all terminals on which one is compromised."""
_WEEKS = (28.0, 49.0)
_CUSTOMER_DAYS = 0.01
_STOLEN = (4.0, 14.0)


def compromised(world: PaymentWorld) -> Flags:
    """Per terminal and day: whether it copies cards. Shape (terminals, days)."""
    return _episodes(world, "terminal/compromised", world.terminals, _TERMINAL_DAYS, _WEEKS)


def stolen(world: PaymentWorld) -> Flags:
    """Per customer and day: whether a thief has the card, too. Shape (customers, days)."""
    return _episodes(world, "customer/stolen", world.customers, _CUSTOMER_DAYS, _STOLEN)


def _episodes(world: PaymentWorld, stream: str, count: int, share: float, length: tuple[float, float]) -> Flags:
    """Days of episodes of uniform length that begin anywhere, also before the history."""
    shortest, longest = length
    span = world.days + longest
    episodes: Integers = np.arange(1, max(round(share * count * span / ((shortest + longest) / 2)), 1) + 1)
    who = (entity_uniform(world.seed, f"{stream}/who", episodes) * count).astype(np.int64)
    first = np.floor(entity_uniform(world.seed, f"{stream}/first", episodes) * span) - longest
    lasts = np.round(shortest + (longest - shortest) * entity_uniform(world.seed, f"{stream}/days", episodes))
    days: Floats = np.arange(world.days, dtype=np.float64)
    active = np.zeros((count, world.days), dtype=bool)
    for one, begins, ends in zip(who, first, first + lasts, strict=True):
        active[one] |= (days >= begins) & (days < ends)
    return active
