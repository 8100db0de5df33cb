"""Random draws that can be looked up: a number for each salt and unit, the same in Python and in DuckDB.

A draw is the first 13 hex digits of the SHA-256 of `salt:unit` (UTF-8), an integer from 0 to 2^52 - 1. It depends on
nothing else: not on the process, the order of the units, or who else is there. Different salts give independent
draws, which one weaker hash over `unit + seed` does not.

A unit is an id: a whole number, a text or a UUID, hashed as its text. So 7 and "7" draw the same number, and a UUID
the same as its lower-case text. Other types have no text that Python and SQL agree on, and are refused.
"""

import hashlib
from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import ibis.expr.types as ir

Unit = int | str | UUID

BITS = 52
SIZE = 1 << BITS
"""How many draws there are. All of them, and their shares of it, are exact as float64."""

_HEX_DIGITS = BITS // 4


def draw(salt: str, unit: Unit) -> int:
    """The draw of one unit, from 0 to `SIZE` - 1.

    Raises:
        TypeError: the unit is not a whole number, a text or a UUID.

    >>> draw("newsletter/arm", 14301)
    4002558432383047
    >>> draw("newsletter/arm", "14301")
    4002558432383047
    """
    if not isinstance(unit, Integral | str | UUID) or isinstance(unit, bool):
        raise TypeError(f"A unit is a whole number, a text or a UUID, not {unit!r} ({type(unit).__name__}).")
    return int(hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()[:_HEX_DIGITS], 16)


def draw_share(salt: str, unit: Unit) -> float:
    """The draw of one unit as a share of `SIZE`, in [0, 1).

    >>> draw_share("newsletter/arm", 14301)
    0.8887465058078463
    """
    return draw(salt, unit) / SIZE


def draw_index(salt: str, unit: Unit, count: int) -> int:
    """One of `count` equally likely positions for one unit, from 0 to `count` - 1.

    >>> draw_index("newsletter/arm", 14301, 3)
    2
    """
    return draw(salt, unit) * count >> BITS


def draw_shares(salt: str, units: Iterable[Unit]) -> npt.NDArray[np.float64]:
    """`draw_share` of many units, in their order.

    >>> [round(float(share), 3) for share in draw_shares("a salt", [1, 2])]
    [0.624, 0.501]
    """
    return np.array([draw_share(salt, unit) for unit in units], dtype=np.float64)


def draw_column(salt: str, units: "ir.Value") -> "ir.IntegerValue":
    """`draw` of each unit of a column, computed by DuckDB; null where the unit is.

    Raises:
        TypeError: the column does not hold whole numbers, texts or UUIDs.
    """
    import ibis

    dtype = units.type()
    if not (dtype.is_integer() or dtype.is_string() or dtype.is_uuid()):
        raise TypeError(f"Units are whole numbers, texts or UUIDs; column {units.get_name()!r} is of type {dtype}.")
    key = ibis.literal(f"{salt}:") + units.cast("string")
    return (ibis.literal("0x") + key.hexdigest("sha256").left(_HEX_DIGITS)).cast("int64")


def draw_share_column(salt: str, units: "ir.Value") -> "ir.FloatingValue":
    """`draw_share` of each unit of a column."""
    return draw_column(salt, units).cast("float64") / float(SIZE)


def draw_index_column(salt: str, units: "ir.Value", count: "ir.IntegerValue") -> "ir.IntegerValue":
    """`draw_index` of each unit of a column, where each row has its own `count`, up to 2^36."""
    drawn = draw_column(salt, units)
    # In halves: the product of a draw and 2,048 has more than the 63 bits of an integer.
    half = BITS // 2
    high, low = drawn >> half, drawn & (2**half - 1)
    return (high * count + ((low * count) >> half)) >> half
