"""Customers, terminals, and where each customer pays. Both live on a square map: people pay near home."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from mlguide_assets.prepare.simulator.payments.world import MEAN_RATE, PaymentWorld
from mlguide_assets.prepare.simulator.randomness import entity_normal, entity_uniform
from mlguide_assets.statistics.arrays import Floats, Integers

NEAR = 20
"""How many terminals near their home a customer uses."""
_TYPICAL_AMOUNT = 30.0
_SPREAD_OF_AMOUNTS = 0.6


@dataclass(frozen=True)
class Customers:
    """One value per customer; `near` has one row per customer, the nearest terminal first. Ids count from 1."""

    rate: Floats
    """Payments per day."""
    usual_amount: Floats
    """The median amount of a payment."""
    hour: Floats
    """Around which the customer pays."""
    near: Integers


def customers(world: PaymentWorld) -> Customers:
    """All customers of a world."""
    ids = np.arange(1, world.customers + 1)
    terminals = np.arange(1, world.terminals + 1)
    nearest = cKDTree(_homes(world, "terminal", terminals))
    _, near = nearest.query(_homes(world, "customer", ids), k=np.arange(1, min(NEAR, world.terminals) + 1))
    return Customers(
        rate=MEAN_RATE * (0.25 + 1.5 * entity_uniform(world.seed, "customer/rate", ids)),
        usual_amount=_TYPICAL_AMOUNT * np.exp(_SPREAD_OF_AMOUNTS * entity_normal(world.seed, "customer/habit", ids)),
        hour=13.5 + 2.5 * entity_normal(world.seed, "customer/hour", ids),
        near=near + 1,
    )


def _homes(world: PaymentWorld, who: str, ids: Integers) -> Floats:
    return np.column_stack([entity_uniform(world.seed, f"{who}/{axis}", ids) for axis in ("east", "north")])
