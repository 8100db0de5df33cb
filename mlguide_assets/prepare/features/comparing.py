"""Are two computations of a feature the same? Asked of leaks, where the future was changed, and of parity."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ROUNDING = 1e-9
"""Relative: sums of fractions may be taken in another order."""
LARGEST = 1e30
"""Of the numbers that a model takes: float32 holds the sum of as many as a machine can train on."""


def floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Numbers as float64 (n,), NaN where there is none."""
    numbers = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(), dtype=np.float64)


def single_precision(numbers: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Numbers as models see them: as float32, and none beyond `LARGEST`.

    An infinity would end a model, and a missing value would say that nothing is known of what is only too large.

    >>> single_precision([0.5, 1e300, -1e300, np.nan])
    array([ 5.e-01,  1.e+30, -1.e+30,     nan], dtype=float32)
    """
    with np.errstate(over="ignore"):
        rounded = np.asarray(numbers, dtype=np.float32)
    return rounded.clip(-LARGEST, LARGEST)


def differing(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """The rows (n,) in which two columns differ: texts at all, numbers by more than rounding; null is like null."""
    if pa.types.is_string(one.type) or pa.types.is_large_string(one.type):
        other_value = pc.fill_null(pc.not_equal(one, other), False)
        return np.asarray(pc.or_(other_value, pc.xor(pc.is_null(one), pc.is_null(other))), dtype=np.bool_)
    near = np.isclose(floats(one), floats(other), rtol=ROUNDING, atol=0, equal_nan=True)
    return np.asarray(~near, dtype=np.bool_)
