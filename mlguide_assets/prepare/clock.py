"""The data's clock: how far in time a table of events has come. Labels mature, days are scored and tested by it.

Single rows do not move it. A row with a wrong date, years ahead or only weeks, would otherwise make every label before
it final. `last_day` imports neither Ibis nor DuckDB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis

_SHARE = 1 / 20
_ROWS = 3
_DAY = timedelta(days=1)


def last_day(rows: Mapping[date, int]) -> date | None:
    """The day that the data have reached.

    Rows after a gap of a day or more count once they are a twentieth of a usual day, and three rows, or half of a usual
    day where that is fewer. Usual is the median of the days before the gap that have any.

    Args:
        rows: events per day, of days that have any.

    >>> last_day({date(2026, 1, 1): 100, date(2026, 1, 2): 110, date(2030, 1, 1): 1})
    datetime.date(2026, 1, 2)
    """
    days = sorted(rows)
    while days:
        start = len(days) - 1
        while start and days[start] - days[start - 1] == _DAY:
            start -= 1
        if not start:
            break
        usual = median(rows[day] for day in days[:start])
        if sum(rows[day] for day in days[start:]) >= max(usual * _SHARE, min(_ROWS, usual / 2)):
            break
        days = days[:start]
    return days[-1] if days else None


def first_day(rows: Mapping[date, int]) -> date | None:
    """The day from which on there are data: `last_day` of the same days backwards.

    >>> first_day({date(2002, 12, 31): 1, date(2024, 1, 1): 100, date(2024, 1, 2): 110})
    datetime.date(2024, 1, 1)
    """
    found = last_day({_mirrored(day): count for day, count in rows.items()})
    return _mirrored(found) if found else None


def _mirrored(day: date) -> date:
    return date.fromordinal(date.max.toordinal() + 1 - day.toordinal())


def usual_rows(rows: Mapping[date, int], before: date) -> float:
    """The rows of a usual day: the median of the last eight weeks, of days that have any; 0 where none has."""
    recent = [count for day, count in rows.items() if timedelta() < before - day <= timedelta(weeks=8)]
    return median(recent) if recent else 0.0


@dataclass(frozen=True)
class DayOfRows:
    """How many rows a day has, and the first and the last instant of them."""

    day: date
    rows: int
    first: datetime
    last: datetime


def data_clock(rows: "ibis.Table", time: str) -> datetime | None:
    """The last instant on the day that the data have reached, UTC; None without any. One pass.

    Args:
        time: the column of instants; rows without one do not count.
    """
    days = days_of(rows, time)
    newest = last_day({each.day: each.rows for each in days})
    return next((each.last for each in days if each.day == newest), None)


def days_of(rows: "ibis.Table", time: str) -> tuple[DayOfRows, ...]:
    """The days that rows have, in any order. One pass, and none over rows that were asked about before.

    Args:
        time: the column of instants; rows without one do not count.
    """
    return _days_of(rows.select(at=rows[time]).op())


@lru_cache(maxsize=16)
def _days_of(times: Any) -> tuple[DayOfRows, ...]:
    """Of an Ibis operation, which has this name of its tables: the same one is the same rows, and every asset asks."""
    return counted_days(times.to_expr()["at"])


def counted_days(times: "ibis.Column") -> tuple[DayOfRows, ...]:
    """The same of instants whose table may be another one under the same name. One pass each time."""
    instants = times.as_table().select(at=times)
    dated = instants.filter(instants["at"].notnull()).mutate(day=instants["at"].date())
    at = dated["at"]
    days = dated.group_by("day").aggregate(rows=dated.count(), first=at.min(), last=at.max())
    return tuple(DayOfRows(**row) for row in days.to_pyarrow().to_pylist())
