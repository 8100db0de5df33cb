"""Worlds and tables that several tests read; made once per run."""

from datetime import date, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.prepare.simulator.generate import email_content, sends, user_profiles
from mlguide_assets.prepare.simulator.world import World

SMALL = World(sends=20_000)
LARGE = World(sends=200_000)
SHIFT = date(2025, 7, 1)


@lru_cache(maxsize=16)
def history(
    world: World,
    first: date | None = None,
    last_exclusive: date | None = None,
    as_of: datetime | None = None,
) -> pa.Table:
    return pa.concat_tables(sends(world, first, last_exclusive, as_of)).combine_chunks()


@lru_cache(maxsize=4)
def profiles(world: World) -> pa.Table:
    return user_profiles(world)


@lru_cache(maxsize=4)
def content(world: World) -> pa.Table:
    return email_content(world)


def per_send(table: pa.Table, sent: pa.Table, key: str, column: str) -> npt.NDArray[np.generic]:
    """A column of a table whose ids run from 1, looked up for each send."""
    values: npt.NDArray[np.generic] = table[column].to_numpy()[sent[key].to_numpy() - 1]
    return values


def lost(sent: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether each send made its user unsubscribe, whenever that came out."""
    truth: npt.NDArray[np.bool_] = ~np.isnat(sent["unsubscribed_at"].to_numpy())
    return truth


def before(sent: pa.Table, when: date) -> pa.Table:
    return sent.filter(pa.array(sent["delivered_at"].to_numpy() < np.datetime64(when, "us")))
