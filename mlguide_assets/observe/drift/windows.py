"""Which days are tested for drift together: a day by itself where it has enough decisions, else as many as it takes.

A day with `watching.min_rows` decisions is a window. Smaller days wait until they have as many together: then all of
them are tested on the last one, and the next window begins. So no decision is in two windows, and two windows in a
row that call for action are as good as two days. It imports neither Ibis nor DuckDB.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

Landed = Mapping[str, Any]
"""A row of `landed_days`."""

_USUAL_DAYS = 56
"""The last days, from which the usual number of decisions a day is taken."""


@dataclass(frozen=True)
class DriftWindow:
    """The days that are waiting, or are tested, on the last of them.

    Attributes:
        decisions: on all of them together.
        is_enough: they are tested; else they wait for more.
    """

    first: date
    last: date
    decisions: int
    is_enough: bool

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def tested_from(self) -> date:
        """The first day whose decisions are looked at: of a window that waits, only its last day's are."""
        return self.first if self.is_enough else self.last


def window_of(day: date, landed: Mapping[date, Landed], *, after: date, min_rows: int) -> DriftWindow:
    """The window that ends on a day.

    Args:
        landed: rows of `landed_days` by their day.
        after: the last day of the champion's reference. A day of the reference is a window by itself.

    >>> landed = {date(2026, 1, day): {"rows": 200} for day in range(1, 31)}
    >>> window_of(date(2026, 1, 12), landed, after=date(2026, 1, 6), min_rows=500).first
    datetime.date(2026, 1, 10)
    """
    if day <= after:
        found = decisions_on(landed.get(day))
        return DriftWindow(day, day, found, found >= min_rows)
    first, waiting = after + timedelta(days=1), 0
    for each in (after + timedelta(days=place) for place in range(1, (day - after).days + 1)):
        of_day = decisions_on(landed.get(each))
        # What waits begins with a day that has something, and ends before a day that needs no others.
        if not waiting or of_day >= min_rows:
            first, waiting = each, 0
        waiting += of_day
        if each == day:
            break
        if waiting >= min_rows:
            waiting = 0
    return DriftWindow(first, day, waiting, waiting >= min_rows)


def signature_of(window: DriftWindow, landed: Mapping[date, Landed]) -> str:
    """Identifies what is tested: it changes with the decisions, and once all their outcomes are final."""
    rows = [row for row in _rows_of(window, landed) if decisions_on(row)]
    if not rows:
        return "0"
    ended = [row.get("outcomes") for row in rows]
    outcomes = _joined([str(each) for each in ended]) if None not in ended else ""
    decided = _joined([f"{decisions_on(row)}-{row['digest']}" for row in rows])
    return f"{decided}/{outcomes}"


def is_final(window: DriftWindow, landed: Mapping[date, Landed]) -> bool:
    """Whether all outcomes are, of what is tested; not so of nothing."""
    rows = [row for row in _rows_of(window, landed) if decisions_on(row)]
    return bool(rows) and all(row.get("outcomes") is not None for row in rows)


def expected_day(window: DriftWindow, landed: Mapping[date, Landed], *, min_rows: int) -> date | None:
    """When a window that waits will be tested, if as much is decided a day as lately; None where nothing was."""
    start = max(min(landed, default=window.last), window.last - timedelta(days=_USUAL_DAYS - 1))
    lately = sum(decisions_on(row) for day, row in landed.items() if start <= day <= window.last)
    if not lately:
        return None
    a_day = lately / ((window.last - start).days + 1)
    return window.last + timedelta(days=math.ceil((min_rows - window.decisions) / a_day))


def decisions_on(landed: Landed | None) -> int:
    """How much was decided on a day, by its row of `landed_days`."""
    # Tables of before cut-offs were watched have a row per day of events alone.
    return int(landed["decisions" if "decisions" in landed else "rows"]) if landed else 0


def _rows_of(window: DriftWindow, landed: Mapping[date, Landed]) -> list[Landed]:
    days = (window.tested_from + timedelta(days=place) for place in range((window.last - window.tested_from).days + 1))
    return [landed[day] for day in days if day in landed]


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else hashlib.sha256("+".join(parts).encode()).hexdigest()[:16]
