"""How long the windows of performance have to be, so that the last one holds enough matured outcomes for an interval.

`watching.window_days` where that is enough. A problem with few decisions gets two, three and more times as many days,
up to `watching.days`; where not even these are enough, it is said what is missing and when it is expected.
"""

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from mlguide_assets.define.decision import plural
from mlguide_assets.define.problem import Problem
from mlguide_assets.observe.windows import day_numbers


@dataclass(frozen=True)
class WindowSupport:
    """The window that ends with the last matured day, as short as is enough.

    Attributes:
        days: its length; `watching.window_days` where none is enough.
        record_days: the days to `last` that were counted: those of the window, or all that there are.
        positive, negative: units with a matured positive, and with a negative, in these days.
        needed: of each.
    """

    days: int
    last: date
    record_days: int
    positive: int
    negative: int
    needed: int

    @property
    def is_enough(self) -> bool:
        return min(self.positive, self.negative) >= self.needed

    def missing(self, problem: Problem) -> str:
        """What is missing and when it is expected, where no window is long enough."""
        units = plural(problem.decision.unit)
        said = (
            f"A window needs {self.needed} {units} with a positive outcome and {self.needed} with a negative one; "
            f"the {self.record_days} days to {self.last} have {self.positive:,} and {self.negative:,}"
        )
        fewest = min(self.positive, self.negative)
        if not fewest:
            return f"{said}."
        required = math.ceil(self.record_days * self.needed / fewest)
        if required > longest_window(problem):
            return f"{said}: at that rate {required} days have enough, so set watching.days to that or more."
        known = self.last + timedelta(days=required - self.record_days) + problem.label.window
        return f"{said}: at that rate one is long enough about {known}, once its outcomes have matured."


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
    for days in range(length, longest_window(problem) + 1, length):
        inside = day > last - days
        seen = [len(np.unique(units[inside & each])) for each in (positive, ~positive)]
        if min(seen) >= needed or days >= record:
            break
    enough = min(seen) >= needed
    until = date(1970, 1, 1) + timedelta(days=last)
    return WindowSupport(days if enough else length, until, min(record, days), seen[0], seen[1], needed)


def longest_window(problem: Problem) -> int:
    """As many whole windows as performance looks back, in days."""
    watching = problem.watching
    return max(watching.days // watching.window_days, 1) * watching.window_days
