"""Random numbers that are looked up, not drawn: each is a hash of (seed, stream, entity, counter).

Nothing here has a state, so any part of the world can be generated alone and equals that part of the whole.
"""

from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats, Integers

Bits = npt.NDArray[np.uint64]

# SplitMix64: https://doi.org/10.1145/2714064.2660195
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT = np.uint64(31)
_TO_53_BITS = np.uint64(11)


def stream_keys(seed: int, stream: str, ids: Integers) -> Bits:
    """One SplitMix64 starting state per entity, for one named stream. Same shape as `ids`."""
    return _mix(_stream(seed, stream) + ids.astype(np.uint64) * _GAMMA)


def uniform(keys: Bits, counters: Integers) -> Floats:
    """Uniform numbers in [0, 1) for (key, counter); the two broadcast against each other."""
    return _unit(_mix(keys + counters.astype(np.uint64) * _GAMMA))


def entity_uniform(seed: int, stream: str, ids: Integers) -> Floats:
    """One uniform number in [0, 1) per entity."""
    return _unit(stream_keys(seed, stream, ids))


def entity_normal(seed: int, stream: str, ids: Integers) -> Floats:
    """One standard normal number per entity (Box-Muller)."""
    radius = np.sqrt(-2 * np.log1p(-entity_uniform(seed, stream + "/radius", ids)))
    normal: Floats = radius * np.cos(2 * np.pi * entity_uniform(seed, stream + "/angle", ids))
    return normal


def stratified_uniform(seed: int, stream: str, ids: Integers, block: int) -> Floats:
    """Uniform numbers in [0, 1), one per entity, of which each run of `block` ids holds one per equal slice.

    Ids count from 1. Used where a mix must not wander by chance over time.
    """
    own = stream_keys(seed, stream, ids)
    first = (ids - 1) // block * block + 1
    rank = np.zeros(ids.shape)
    for member in range(block):
        rank += stream_keys(seed, stream, first + member) < own
    return (rank + entity_uniform(seed, stream + "/within", ids)) / block


@lru_cache(maxsize=256)
def _stream(seed: int, stream: str) -> np.uint64:
    digest = blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mix(state: Bits) -> Bits:
    """SplitMix64's output function, in place: callers hand over a fresh array."""
    for shift, factor in _MIX:
        state ^= state >> shift
        state *= factor
    state ^= state >> _LAST_SHIFT
    return state


def _unit(bits: Bits) -> Floats:
    bits >>= _TO_53_BITS
    return bits.astype(np.float64) * 2.0**-53
