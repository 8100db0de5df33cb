"""How long the windows of performance have to be, so that the last one holds enough matured outcomes for an interval.

`watching.window_days` where that is enough. A problem with few decisions gets two, three and more times as many days,
up to `watching.days`; where not even these are enough, it is said what is missing and when it is expected.
"""

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted, plural
from mlguide_assets.observe.performance.windows import day_numbers

MOST_DAYS = 3650
"""Of `watching.days`. Where more would be needed, other things help."""


@dataclass(frozen=True)
class WindowSupport:
    """The window that ends with the last matured day, as short as is enough.

    Attributes:
        days: its length; `watching.window_days` where none is enough.
        record_days: the days to `last` that were counted: those of the window, or all that there are.
        positive, negative: units with a matured positive, and with a negative, in these days.
        needed: of each.
        half_days: the latter half of these days, about.
        half: as many units with a positive, and with a negative, in it.
        every: days from one day with decisions to the next, on average, rounded up: 7 where they are made weekly.
    """

    days: int
    last: date
    record_days: int
    positive: int
    negative: int
    needed: int
    half_days: int
    half: tuple[int, int]
    every: int = 1

    @property
    def is_enough(self) -> bool:
        return min(self.positive, self.negative) >= self.needed

    def missing(self, problem: Problem) -> str:
        """What is missing and when it is expected, where no window is long enough."""
        said = (
            f"A window needs {counted(self.needed, problem.decision.unit)} with a positive outcome and {self.needed:,} "
            f"with a negative one; the {counted(self.record_days, 'day')} to {self.last} "
            f"{agreeing(self.record_days, 'has')} {self.positive:,} and {self.negative:,}"
        )
        if not min(self.positive, self.negative):
            return f"{said}."
        required, length = self._required, problem.watching.window_days
        advised = math.ceil(required / length) * length
        if advised > MOST_DAYS:
            units, fewest = plural(problem.decision.unit), max(min(self.positive, self.negative), 2)
            return (
                f"{said}: more days bring hardly any other {units}, so decide by an entity that has more ids, the "
                f"first under of; where there is none, set evaluation.min_positives to {fewest:,} or less, with "
                f"intervals that are as rough as {units} are few."
            )
        if advised > longest_window(problem):
            return (
                f"{said}: at that rate {counted(required, 'day')} {agreeing(required, 'has')} enough, so set "
                f"watching.days to {advised:,} or more."
            )
        known = self.last + timedelta(days=required - self.record_days) + problem.final_after
        return f"{said}: at that rate one is long enough about {known}, once its outcomes have matured."

    @property
    def _required(self) -> int:
        """In how many days there are enough units, as their number has grown from half of the days to all."""
        found = zip((self.positive, self.negative), self.half, strict=True)
        occasions = max(self._occasions_until(whole, half) for whole, half in found if whole < self.needed)
        return (occasions - 1) * self.every + 1

    def _occasions_until(self, whole: int, half: int) -> int:
        """How many days with decisions are needed.

        Units that come again are counted once, so their number grows with a power of the days, of 1 at most.
        """
        all_, latter = (math.ceil(days / self.every) for days in (self.record_days, self.half_days))
        longer = math.log(all_ / latter) if all_ > latter else 0.0
        power = min(math.log(whole / half) / longer, 1.0) if half and longer else 1.0
        if not power:
            return MOST_DAYS + 1
        occasions = math.log(all_) + math.log(self.needed / whole) / power
        return math.ceil(math.exp(occasions) - 1e-9) if occasions < math.log(MOST_DAYS) else MOST_DAYS + 1


def window_support(matured: pa.Table, problem: Problem) -> WindowSupport | None:
    """How long the last window has to be; None where nothing has matured.

    Args:
        matured: unit_id, decided_at and label (0 or 1) of decisions.
    """
    if not matured.num_rows:
        return None
    length, needed = problem.watching.window_days, max(problem.evaluation.min_positives, 2)
    day, units = day_numbers(matured["decided_at"]), matured["unit_id"].to_numpy()
    positive, last = matured["label"].to_numpy() == 1, int(day.max())
    record = last - int(day.min()) + 1

    def seen_in(days: int) -> tuple[int, int]:
        of_each = [len(np.unique(units[(day > last - days) & each])) for each in (positive, ~positive)]
        return of_each[0], of_each[1]

    for days in range(length, longest_window(problem) + 1, length):
        seen = seen_in(days)
        if min(seen) >= needed or days >= record:
            break
    enough = min(seen) >= needed
    until = date(1970, 1, 1) + timedelta(days=last)
    counted_days = min(record, days)
    further = len(np.unique(day)) - 1
    every = math.ceil((record - 1) / further) if further else 1
    half_days = (math.ceil(math.ceil(counted_days / every) / 2) - 1) * every + 1
    half = seen_in(half_days)
    return WindowSupport(
        days if enough else length, until, counted_days, seen[0], seen[1], needed, half_days, half, every
    )


def longest_window(problem: Problem) -> int:
    """As many whole windows as performance looks back, in days of decisions whose outcomes are known."""
    watching = problem.watching
    return max(watching.days // watching.window_days, 1) * watching.window_days
