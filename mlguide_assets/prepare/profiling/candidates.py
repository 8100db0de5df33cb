"""Candidates for what is predicted, and when events happened."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
from pydantic import TypeAdapter

from mlguide_assets.define.training import Evaluation
from mlguide_assets.define.values import Duration
from mlguide_assets.english import counted
from mlguide_assets.prepare.clock import counted_days, first_day, last_day
from mlguide_assets.prepare.decisions.enough import LEAST_OF_EACH_OUTCOME
from mlguide_assets.prepare.profiling.columns import ColumnProfile, file_name, ids_of, number_of, time_of
from mlguide_assets.prepare.profiling.drafting import DraftTable, share_of
from mlguide_assets.prepare.profiling.nouns import word_set, words
from mlguide_assets.prepare.profiling.roles import Source

FEWEST = 20
"""A rarer outcome is none that can be learned."""
ROWS_OF_DAY, FEWEST_OF_DAYS, MOSTLY_OF_DAYS = 8, 5, 0.98
"""A day counts with at least this many rows. A column describes the day if, of at least this many days, this share have
one value each."""
_CALENDAR = word_set("holiday workday workingday weekday weekend dayofweek season yr mnth hr")
TEST_SHARE = Evaluation().test_share


@dataclass(frozen=True)
class Candidate:
    """A thing to predict, as the file says it, with the evidence. The best has the highest score."""

    predict: dict[str, Any]
    evidence: str
    score: float
    table: str
    column: str | None = None
    doubt: str = ""

    def is_positive(self, rows: ibis.Table, table: DraftTable) -> ibis.Column:
        """Whether rows of its event have the positive outcome of its column; null where that is empty."""
        positive, column = self.predict["label"]["positive"], table.profile.columns[str(self.column)]
        if not isinstance(positive, Mapping):
            return rows[column.name].cast("string").isin([positive] if isinstance(positive, str) else positive)
        number = number_of(rows, column)
        return number >= positive["at_least"] if "at_least" in positive else number <= positive["at_most"]


def outcome_evidence(column: ColumnProfile, outcome: str, rows: int) -> str:
    """In how many rows a column has an outcome, of those that have one at all."""
    return (
        f"{column.name} is {outcome} in {rows:,} of {counted(column.filled, 'row')} ({share_of(rows, column.filled)})"
    )


def instants(source: Source, table: DraftTable) -> ibis.Table:
    """The rows of an event with their time as `happened`, also where that is a time of an entity.

    The times are read once: to read them from text takes most of the time of whatever asks for them.
    """
    name = table.profile.name
    if name not in source.timed:
        view = f"{source.profiles[name].table.view}_timed"
        source.timed[name] = source.connection.create_table(view, _timed(source, table), temp=True)
    return source.timed[name]


def _timed(source: Source, table: DraftTable) -> ibis.Table:
    rows = source.rows(table.profile.name)
    if table.at is not None:
        return rows.mutate(happened=time_of(rows, table.at))
    noun = str(next(line.value for line in table.lines if line.key == "at")).partition(".")[0]
    reference = next(each for each in source.of(table.profile.name) if file_name(each.column) == table.of[noun])
    at = source.when(reference.target)
    assert at is not None
    parents = source.rows(reference.target)
    times = parents.select(parent_of_it=ids_of(parents, reference.key), happened=time_of(parents, at))
    return rows.join(times, ids_of(rows, reference.column) == times.parent_of_it)


def says_of_the_day(source: Source, table: DraftTable, column: ColumnProfile) -> bool:
    """Whether a column says something of the day, not of what happened on it: a calendar knows it beforehand.

    By its name, as that of `workingday` is; or since all rows of a day have the same, wherever it is not as usual.
    """
    parts = words(column.name)
    if _CALENDAR & {*parts, "".join(parts)}:
        return True
    rows = instants(source, table)
    value = rows[column.name].cast("string")
    usual = column.values[0][0] if column.values else ""
    by_day = rows.group_by(day=rows.happened.date()).aggregate(
        rows=value.count(), lowest=value.min(), highest=value.max()
    )
    other = by_day.filter((by_day.rows >= ROWS_OF_DAY) & ((by_day.lowest != usual) | (by_day.highest != usual)))
    counts = (
        other.aggregate(days=other.count(), alike=(other.lowest == other.highest).sum()).to_pyarrow().to_pylist()[0]
    )
    return bool(counts["days"] >= FEWEST_OF_DAYS and counts["alike"] >= MOSTLY_OF_DAYS * counts["days"])


def lasting(source: Source, table: DraftTable, outcome: str, of: ibis.Value | None, window: str) -> set[str]:
    """The outcomes of an event that older rows have, and the newest, on which a model is tested; others have them not.

    A status that only rows of the last months have, or the year, is none that can be learned: what is the same in all
    rows of either side says nothing. The sides are those of a run (`evaluation.test_share`).

    Args:
        outcome: the column that holds it.
        of: another outcome than what the column holds, such as whether it is beyond a limit.
        window: after so long an outcome is final.
    """
    rows = instants(source, table)
    _, last = span_of(source, table)
    if last is None:
        return set()
    takes: timedelta = TypeAdapter(Duration).validate_python(window)
    known = rows.select("happened", outcome=(rows[outcome] if of is None else of).cast("string"))
    known = known.filter(known.outcome.notnull() & (known.happened <= last - takes))
    start = known.aggregate(start=known.happened.quantile(1 - TEST_SHARE)).to_pyarrow()["start"][0].as_py()
    if start is None:
        return set()
    newest, older = known.happened >= start, known.happened < start - takes
    counted = known.group_by("outcome").aggregate(newest=newest.sum(), older=older.sum()).to_pyarrow().to_pylist()
    total = {side: sum(row[side] for row in counted) for side in ("newest", "older")}
    return {
        row["outcome"]
        for row in counted
        if all(min(row[side], all_ - row[side]) >= LEAST_OF_EACH_OUTCOME for side, all_ in total.items())
    }


def span_of(source: Source, table: DraftTable) -> tuple[datetime | None, datetime | None]:
    """`first_and_last` of the rows of an event, found once: whatever could be predicted of it asks for it."""
    name = table.profile.name
    if name not in source.spans:
        source.spans[name] = first_and_last(instants(source, table))
    return source.spans[name]


def first_and_last(rows: ibis.Table) -> tuple[datetime | None, datetime | None]:
    """The first and the last time of events, without those that are yet to come, and without a few that lie apart: a
    trip of 2002 among those of 2024 is a mistake, and no history."""
    past = rows.filter(rows.happened <= ibis.now().cast("timestamp"))
    days = {each.day: each for each in counted_days(past["happened"])}
    counts = {day: each.rows for day, each in days.items()}
    first, last = first_day(counts), last_day(counts)
    return (days[first].first, days[last].last) if first and last else (None, None)
