"""Parting the matured sends in time: learn from the earlier, judge on the later, with a gap between.

The gap is the label window: a model that is trained just before the test window knows only the
outcomes that had matured by then.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from mlguide_assets.errors import InputError

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class TimeSplit:
    """Row numbers of the two sides. Train ends at least `gap` before the test starts."""

    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    test_start: np.datetime64
    gap: timedelta


def split_by_time(times: Times, *, test_share: float, gap: timedelta) -> TimeSplit:
    """Keep the latest `test_share` of the rows for the test.

    Rows at the same instant stay on one side. Rows inside the gap are on neither.

    Args:
        times: delivery times (n,), in any order.

    Raises:
        InputError: the history is too short to leave rows on both sides.
    """
    # Without any row there is no start, and nothing is later than "not a time".
    start = np.sort(times)[int(len(times) * (1 - test_share))] if len(times) else np.datetime64("NaT")
    train = np.flatnonzero(times <= start - np.timedelta64(gap))
    if len(train) == 0:
        raise InputError(
            f"The history has {len(times):,} matured sends, too few or over too short a time to keep the last "
            f"{test_share:.0%} for a test after a gap of {gap / timedelta(days=1):g} days: add history, or lower "
            f"evaluation.test_share or label.window."
        )
    return TimeSplit(train=train, test=np.flatnonzero(times >= start), test_start=start, gap=gap)
