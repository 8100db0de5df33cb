"""After how long the outcome of an event is final: as far as the tables say."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
from pydantic import TypeAdapter

from mlguide_assets.define.values import Duration
from mlguide_assets.english import agreeing, counted
from mlguide_assets.prepare.profiling.candidates import instants, span_of
from mlguide_assets.prepare.profiling.columns import ColumnProfile, seconds, time_of
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.event_times import comes_later, is_foreseen, may_be_of_an_outcome
from mlguide_assets.prepare.profiling.nouns import names_outcome, words
from mlguide_assets.prepare.profiling.roles import Source

FEWEST_ENDS = 20
"""Fewer rows with another time do not show how long an outcome takes."""
EARLY = 0.01
"""Of the rows with another time, those that may have it before the event: mistakes."""
STEM = 5
"""Words that begin with so many equal letters speak of the same, as `returned` and `return_date` do."""
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_duration: Callable[[str], timedelta] = TypeAdapter(Duration).validate_python

_MEASURES: dict[str, Callable[[Any], Any]] = {
    "ends": lambda seconds: seconds.count(),
    "early": lambda seconds: (seconds < 0).sum(),
    "usual": lambda seconds: seconds.quantile(0.99),
    "longest": lambda seconds: seconds.max(),
}
"""What is measured of the seconds from the events to another time."""


@dataclass(frozen=True)
class _End:
    """Another time of an event, which may be when its outcome became known.

    Attributes:
        fits: how much it looks like that; the best has the most.
        usual, longest: after how many seconds it comes in 99 % of the rows, and in all.
    """

    column: str
    fits: int
    usual: float
    longest: float


def window_of(source: Source, table: DraftTable, column: ColumnProfile) -> tuple[str, str]:
    """How long an outcome takes to be known.

    As long as it is empty at the end of the data, if it is; else as another time says, such as `closed_at`. Never
    shorter than its name says: `readmitted_30d` is not final when the patient leaves.
    """
    rows = instants(source, table)
    first, last = span_of(source, table)
    span = (last - first).days if first and last else 0
    window, why = _shown(table, column, rows, last, span)
    days = _days_in_name(column.name)
    if timedelta(days) <= _duration(window):
        return window, why
    if days > span / 4:
        return window, f"{why}; its name says {counted(days, 'day')}, which leaves little to learn from"
    return f"{days}d", f"? its name says {counted(days, 'day')}"


def _days_in_name(name: str) -> int:
    """The days that a name like an outcome's speaks of; 0 where it says none.

    >>> [_days_in_name(name) for name in ("readmitted_30d", "churn_within_12_months", "late_2", "churn")]
    [30, 360, 0, 0]
    """
    found = re.search(r"_(\d{1,3})_?(d|w|mo?|y|days?|weeks?|months?|years?)(_|$)", "_".join(words(name)))
    return int(found[1]) * _DAYS[found[2][0]] if found else 0


def _shown(
    table: DraftTable, column: ColumnProfile, rows: ibis.Table, last: datetime | None, span: int
) -> tuple[str, str]:
    """How long an outcome takes to be known, as the rows of an event show it, which go on for `span` days."""
    default = "7d" if span >= 70 else "1d" if span >= 4 else "1h"
    if last is None:
        return default, "? after so long an outcome is final; the tables do not say"
    unknown = rows.filter(rows[column.name].isnull())
    oldest = unknown.aggregate(first=unknown.happened.min()).to_pyarrow()["first"][0].as_py()
    days = math.ceil((last - oldest) / timedelta(days=1)) if oldest else 0
    if oldest and 0 < days <= span / 4:
        return f"{days}d", f"? empty only in the last {counted(days, 'day')}: not known yet"
    if end := max(_ends(table, column, rows), key=lambda each: (each.fits, each.longest), default=None):
        return _window_until(end, timedelta(days=span))
    if column.filled == column.rows:
        return default, "? after so long an outcome is final; the tables do not say"
    empty = column.rows - column.filled
    return (
        default,
        f"? after so long an outcome is final; {counted(empty, 'row')} {agreeing(empty, 'has')} none, and "
        f"{agreeing(empty, 'does')} not count",
    )


def _window_until(end: _End, span: timedelta) -> tuple[str, str]:
    """A window that ends once another time has come, in nearly all rows; too long a one leaves too little to learn."""
    most = span / 4
    rare = end.longest > 2 * end.usual
    window, said = _rounded_up(end.usual if rare else end.longest)
    evidence = f"{end.column} is at most {said} later{' in 99 % of the rows' if rare else ''}"
    if timedelta(seconds=end.usual) > most:
        window, said = _rounded_up(most.total_seconds())
        return window, f"? {evidence}; more than {said}, a quarter of the history, leaves little to learn from"
    return window, f"? {evidence}"


def _rounded_up(seconds: float) -> tuple[str, str]:
    """A duration as the file and as a sentence say it.

    >>> _rounded_up(90_000), _rounded_up(60)
    (('2d', '2 days'), ('1h', '1 hour'))
    """
    if seconds > 86_400:
        days = math.ceil(seconds / 86_400)
        return f"{days}d", counted(days, "day")
    hours = max(math.ceil(seconds / 3_600), 1)
    return f"{hours}h", counted(hours, "hour")


def _ends(table: DraftTable, column: ColumnProfile, rows: ibis.Table) -> Iterator[_End]:
    """The other times of an event that may say when its outcome became known, and how long that took."""
    others = [each for each in table.profile.times if each is not table.at and may_be_of_an_outcome(each.name)]
    if not others:
        return
    happened = seconds(rows.happened)
    late = {f"t{place}": seconds(time_of(rows, each)) - happened for place, each in enumerate(others)}
    timed = rows.select({"outcome": rows[column.name], **late})
    timed = timed.filter(timed.outcome.notnull())
    measures = {f"{key}_{name}": of(timed[key]) for key in late for name, of in _MEASURES.items()}
    found = timed.aggregate({"outcomes": timed.count(), **measures})
    values = found.to_pyarrow().to_pylist()[0]
    for key, other in zip(late, others, strict=True):
        ends, early, usual, longest = (values[f"{key}_{name}"] for name in _MEASURES)
        together = ends == values["outcomes"] == other.filled < other.rows
        fits = 4 * _speak_of_the_same(column.name, other.name) + 2 * together + _named(other.name)
        if ends >= FEWEST_ENDS and early <= EARLY * ends and longest > 0:
            yield _End(other.name, fits, max(usual, 0), longest)


def _named(time: str) -> int:
    """How much the name of a time is like that of when something had become of an event."""
    return -1 if is_foreseen(time) else int(comes_later(time) or names_outcome(time))


def _speak_of_the_same(column: str, other: str) -> bool:
    """Whether two names have a word in common, such as `returned` and `return_date`."""
    stems = [{word[:STEM] for word in words(name) if len(word) >= STEM} for name in (column, other)]
    return bool(stems[0] & stems[1])
