"""Sends whose truth is known: what a user's reaction is drawn from, and what the champion believes it to be.

The champion sees one feature of two. Its probability is the mean over what it does not see, so it is calibrated
exactly, whatever the distribution of the feature it sees.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets.train.models.calibration import sigmoid

FIRST = date(2024, 3, 1)
DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class World:
    """log-odds = level + seen + unseen x N(0, 1) + user's taste; `slope` is that of the truth on the seen feature."""

    level: float = -4.2
    mean: float = 0.0
    spread: float = 1.0
    slope: float = 1.0
    unseen: float = 0.6
    taste: float = 0.0


def believed(seen: Floats, world: World) -> Floats:
    """The champion's probability: it knows how users reacted at training, when the slope was 1."""
    points, weights = np.polynomial.hermite_e.hermegauss(9)
    chances = sigmoid(world.level + seen[:, None] + world.unseen * points)
    return np.asarray(chances @ (weights / weights.sum()), dtype=np.float64)


def sends(
    world: World, days: int, per_day: int, *, seed: int, users: int = 5000, start: int = 0, own_users: bool = False
) -> pa.Table:
    """unit_id, decided_at, label, probability; with `own_users`, no user has sends on two days."""
    generator = np.random.default_rng(seed)
    n = days * per_day
    day = np.repeat(np.arange(days), per_day)
    user: Integers = generator.integers(users, size=n) + (day * users if own_users else 0)
    seen = world.mean + world.spread * generator.standard_normal(n)
    taste = world.taste * generator.standard_normal(int(user.max()) + 1)[user]
    truth = sigmoid(world.level + world.slope * seen + world.unseen * generator.standard_normal(n) + taste)
    instants = np.datetime64(FIRST, "us") + (start + day) * DAY + generator.integers(86_400_000_000, size=n)
    columns = {
        "unit_id": user,
        "decided_at": instants,
        "label": (generator.random(n) < truth).astype(np.int64),
        "probability": believed(seen, world),
    }
    return pa.table(columns)
