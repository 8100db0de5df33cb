"""Splits the matured decisions in time: learn from the earlier, evaluate on the later, with a gap between.

The gap is the label window, and how late rows may arrive (`Problem.final_after`): a model that is trained just before
the test window knows only the outcomes that had matured by then.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import duration, percent
from mlguide_assets.errors import InputError

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class TimeSplit:
    """Row numbers of the two sides. Train ends at least `gap` before the test starts."""

    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    test_start: np.datetime64
    gap: timedelta


def split_decisions(times: Times, problem: Problem) -> TimeSplit:
    """The split that a problem configures: its test window, or the latest share of its decisions.

    Args:
        times: of matured decisions (n,), in any order.

    Raises:
        InputError: there are no rows on one of the sides.
    """
    settings, gap = problem.evaluation, problem.final_after
    if settings.test_from is None:
        return split_by_time(times, test_share=settings.test_share, gap=gap)
    start = np.datetime64(settings.test_from)
    end = np.datetime64(settings.test_until) if settings.test_until else np.datetime64("9999-01-01")
    train = np.flatnonzero(times <= start - np.timedelta64(gap))
    test = np.flatnonzero((times >= start) & (times < end))
    for side, rows in (("before", train), ("in", test)):
        if not len(rows):
            raise InputError(
                f"There are no matured decisions {side} the test window, which evaluation.test_from "
                f"{settings.test_from} begins, with a gap of the label window before it: the data have "
                f"{_span(times)}; move the window, or add history."
            )
    return TimeSplit(train=train, test=test, test_start=start, gap=gap)


def _span(times: Times) -> str:
    if not len(times):
        return "none at all"
    first, last = (str(time.astype("datetime64[D]")) for time in (times.min(), times.max()))
    return f"{len(times):,} from {first} to {last}"


def split_by_time(times: Times, *, test_share: float, gap: timedelta) -> TimeSplit:
    """Keep the latest `test_share` of the rows for the test.

    Rows at the same instant stay on one side. Rows inside the gap are on neither.

    Args:
        times: of decisions (n,), in any order.

    Raises:
        InputError: the history is too short to leave rows on both sides.

    >>> days = np.arange("2026-01-01", "2026-01-11", dtype="datetime64[D]").astype("datetime64[us]")
    >>> split = split_by_time(days, test_share=0.3, gap=timedelta(days=2))
    >>> len(split.train), len(split.test)
    (6, 3)
    """
    # Without any row there is no start, and nothing is later than "not a time".
    start = np.sort(times)[int(len(times) * (1 - test_share))] if len(times) else np.datetime64("NaT")
    found = _parted(times, start, gap)
    if len(found.train) == 0:
        raise InputError(
            f"The history has {len(times):,} matured decisions, too few or over too short a time to keep the last "
            f"{percent(test_share)} for a test after a gap of {duration(gap)}: add history, or lower "
            f"evaluation.test_share or label.window."
        )
    return found


def split_by_days(times: Times, *, test_days: int, gap: timedelta) -> TimeSplit:
    """Keep the latest days for the test, that of the newest row included. A short history leaves no row to train on.

    Args:
        times: of decisions (n,), at least one, in any order.
    """
    start = times.max().astype("datetime64[D]") - np.timedelta64(test_days - 1, "D")
    return _parted(times, start, gap)


def _parted(times: Times, start: np.datetime64, gap: timedelta) -> TimeSplit:
    train, test = np.flatnonzero(times <= start - np.timedelta64(gap)), np.flatnonzero(times >= start)
    return TimeSplit(train=train, test=test, test_start=start, gap=gap)
