"""What an earlier reading of the source had and this one has not: days at the end, or rows in between.

A source may be cut on purpose, so nothing stops. Earlier is what the lake still keeps of `landed_days`: a few readings
later the shorter source is the usual one. It imports neither Ibis nor DuckDB.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.english import agreeing, counted
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.alerts.alert import ROWS_LOST, Alert
from mlguide_assets.observe.freshness.landed import LANDED_DAYS
from mlguide_assets.observe.freshness.new_days import events_by_day
from mlguide_assets.prepare.clock import last_day, usual_rows
from mlguide_assets.prepare.lake.lake import Lake

_MANY, _FEW = 1 / 20, 1 / 100
"""Of all rows: as many of any days are lost; of days that lost more than half, as few, or as many as a usual day has.
What is less are corrections."""

_LEAST = 10
"""Rows of a part of a table: fewer are corrections, too."""


@dataclass(frozen=True)
class LostRows:
    """Events of an earlier reading that the last one has not.

    Attributes:
        table: that of the decisions.
        rows: how many are gone; of: how many there were.
        first, last: the first and the last day that has fewer.
        before, now: the last day of the data then, and now.
    """

    table: str | None
    rows: int
    of: int
    first: date
    last: date
    before: date
    now: date | None

    @property
    def sentence(self) -> str:
        """Without a full stop."""
        gone = f"{_gone(self.rows, self.of, self.table)}, of {self.first} to {self.last}"
        if self.now is None or self.now < self.before:
            return f"The data went back from {self.before} to {self.now or 'nothing'}: {gone}"
        return f"Rows of an earlier reading are gone: {gone}"


@dataclass(frozen=True)
class LostPart:
    """Rows of a table, beside that of the decisions, that an earlier reading had and the last one has not."""

    table: str
    rows: int
    of: int

    @property
    def sentence(self) -> str:
        """Without a full stop."""
        return f"Rows of an earlier reading are gone: {_gone(self.rows, self.of, self.table)}"


def _gone(rows: int, of: int, table: str | None) -> str:
    return f"{rows:,} of the {counted(of, 'row')} of {table} {agreeing(rows, 'is')} gone"


def lost_rows_alert(lake: Lake, problem: Problem) -> Alert | None:
    """The source has lost rows of the decisions; None where it has all."""
    lost = lost_rows(lake, problem)
    if lost is None:
        return None
    return Alert(
        key=ROWS_LOST,
        kind="data",
        level="warn",
        title="The source has lost rows that it had",
        happened=f"{lost.sentence}.",
        since=zoned_midnight(lost.first),
        severity=f"{lost.rows / lost.of:.0%} of the rows are gone, and what is made of them is now made without.",
        next_step="If it was not on purpose, restore the source: the next reading takes what it has.",
        facts={"rows": lost.rows, "before": lost.before.isoformat()},
    )


def lost_parts(lake: Lake, problem: Problem) -> list[LostPart]:
    """What the last reading has not of the tables beside that of the decisions; as `lost_rows`, by their partitions."""
    if isinstance(problem.source, AnySimulator):
        return []
    deciding = problem.schema.table_of(problem.deciding_event)
    found = []
    for table in (name for name in problem.tables if name != deciding and lake.exists(name)):
        *earlier, now = (
            {key: file.rows for key, file in each.partitions.items() if file.rows} for each in lake.history(table)
        )
        lost = [part for before in earlier if (part := _lost_part(table, now, before))]
        found += [max(lost, key=lambda part: part.rows)] if lost else []
    return found


def _lost_part(table: str, now: Mapping[str, int], before: Mapping[str, int]) -> LostPart | None:
    """Of two readings. Partitions become months and years as time passes, so they are compared by the longest."""
    keys = now.keys() | before.keys()
    then, left = (_by_longest(counts, keys) for counts in (before, now))
    newest, was = (max((key for key in counts if key[0].isdigit()), default="") for counts in (now, before))
    # As of days: where the data go on, the oldest fall out of the source.
    first = min(left) if newest > was else ""
    fewer = {key: rows - left.get(key, 0) for key, rows in then.items() if key > first and rows > left.get(key, 0)}
    rows, of = sum(fewer.values()), sum(before.values())
    emptied = sum(lost for key, lost in fewer.items() if lost > then[key] / 2)
    return LostPart(table, rows, of) if rows and (rows >= _MANY * of or emptied >= max(_LEAST, _FEW * of)) else None


def _by_longest(counts: Mapping[str, int], keys: Collection[str]) -> dict[str, int]:
    """Rows by the longest stretch (a year, a month, a day) that is a partition of either."""
    found: dict[str, int] = {}
    for key, rows in counts.items():
        longest = next((each for each in (key[:4], key[:7]) if each in keys), key)
        found[longest] = found.get(longest, 0) + rows
    return found


def lost_rows(lake: Lake, problem: Problem) -> LostRows | None:
    """What the last reading has not that those before had, which the lake keeps; None where it has all.

    A simulated world loses nothing: it is another world, of fewer rows, where somebody asked for one.
    """
    if isinstance(problem.source, AnySimulator) or not lake.exists(LANDED_DAYS):
        return None
    *earlier, now = (
        events_by_day(lake.read_arrow(LANDED_DAYS, snapshot_id=each.id).to_pylist())
        for each in lake.history(LANDED_DAYS)
    )
    return most_lost(now, earlier, table=problem.schema.table_of(problem.deciding_event))


def most_lost(now: Mapping[date, int], earlier: Iterable[Mapping[date, int]], *, table: str | None) -> LostRows | None:
    """The largest loss against some earlier readings; None where there is none that is more than corrections.

    Args:
        now: events per day, of days that have any.
        earlier: the same of other readings.
        table: that of the events.
    """
    found = [lost for before in earlier if (lost := _lost(now, before, table))]
    return max(found, key=lambda lost: lost.rows, default=None)


def _lost(now: Mapping[date, int], before: Mapping[date, int], table: str | None) -> LostRows | None:
    reached, was = last_day(now), last_day(before)
    if was is None:
        return None
    # Where the data go on, what is older than a source keeps falls out of it.
    first = min(now, default=was) if reached and reached > was else date.min
    fewer = {
        day: rows - now.get(day, 0) for day, rows in before.items() if first <= day <= was and rows > now.get(day, 0)
    }
    rows, of = sum(fewer.values()), sum(before.values())
    emptied = sum(lost for day, lost in fewer.items() if lost > before[day] / 2)
    went_back = reached is None or reached < was
    if not went_back and rows < _MANY * of and emptied < max(usual_rows(before, was), _FEW * of):
        return None
    return LostRows(table, rows, of, min(fewer), max(fewer), was, reached)
