"""What could be predicted: a column of an event with two values, or how many events an entity has in its future."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis

from mlguide_assets.prepare.profiling.columns import ColumnProfile, time_of
from mlguide_assets.prepare.profiling.drafting import DraftTable, file_name, share_of
from mlguide_assets.prepare.profiling.event_times import when_it_happened
from mlguide_assets.prepare.profiling.nouns import is_person, word_set, words
from mlguide_assets.prepare.profiling.roles import Source
from mlguide_assets.prepare.sources.spellings import FLAGS

_OUTCOME_WORDS = tuple(
    word_set(
        "label target outcome fraud churn default unsub cancel return refund conver click respon success fail late "
        "delay complain dropout lost won win attrit bounce spam dispute chargeback noshow readmi died death accept "
        "reject approv renew dnf retain purchased bought paid breach incident survived passed left y exited overdue"
    )
)
"""How the names of columns that are worth predicting begin."""
_SPANS = (30, 90, 7, 365)
FEWEST = 20
"""A rarer outcome is none that can be learned."""


@dataclass(frozen=True)
class Candidate:
    """A thing to predict, as the file says it, with the evidence. The best has the highest score."""

    predict: dict[str, Any]
    evidence: str
    score: float
    table: str
    column: str | None = None
    doubt: str = ""


def label_candidates(source: Source, tables: list[DraftTable]) -> list[Candidate]:
    """All that could be predicted, the best first."""
    events = [table for table in tables if table.shape == "event"]
    found = [
        candidate for table in events for candidate in (*_columns(source, table), *_futures(source, table, tables))
    ]
    likely = [each for each in found if each.score > 0] or found
    return sorted(likely, key=lambda each: -each.score)


def instants(source: Source, table: DraftTable) -> ibis.Table:
    """The rows of an event with their time as `happened`, also where that is a time of an entity."""
    rows = source.rows(table.profile.name)
    if table.at is not None:
        return rows.mutate(happened=time_of(rows, table.at))
    noun = str(next(line.value for line in table.lines if line.key == "at")).partition(".")[0]
    reference = next(each for each in source.of(table.profile.name) if file_name(each.column) == table.of[noun])
    at = when_it_happened(source.profiles[reference.target])
    assert at is not None
    parents = source.rows(reference.target)
    times = parents.select(parent_of_it=parents[reference.key].cast("string"), happened=time_of(parents, at))
    return rows.join(times, rows[reference.column].cast("string") == times.parent_of_it)


def first_and_last(rows: ibis.Table) -> tuple[datetime | None, datetime | None]:
    """The first and the last time of events, without those that are yet to come."""
    past = rows.filter(rows.happened <= ibis.now().cast("timestamp"))
    found = past.aggregate(first=past.happened.min(), last=past.happened.max()).to_pyarrow().to_pylist()[0]
    return found["first"], found["last"]


def _columns(source: Source, table: DraftTable) -> Iterator[Candidate]:
    for column in table.profile.columns.values():
        pair = column.two_values
        if pair is None or column.kind not in ("flag", "category") or column.name in table.of.values():
            continue
        rarer = dict(column.values)[pair[0]]
        if rarer < FEWEST:
            continue
        positive, negative = _as_outcome(*pair)
        number = dict(column.values)[positive]
        label = {"column": file_name(column.name), "positive": positive, "negative": negative}
        window, why = _window(source, table, column)
        evidence = (
            f"{column.name} is {positive!r} in {number:,} of {column.filled:,} rows ({share_of(number, column.filled)})"
        )
        named = any(part.startswith(_OUTCOME_WORDS) for part in words(column.name))
        score = (100 if named else 45 if column.kind == "flag" else 30) + (5 if column.filled < column.rows else 0)
        predict = {"each": table.noun, "label": {**label, "window": window}}
        yield Candidate(predict, evidence, score + math.log10(table.rows), table.name, column.name, why)


def _as_outcome(rarer: str, other: str) -> tuple[str, str]:
    """The value that is the outcome: the true one of a flag, else the rarer one."""
    if other.lower() in FLAGS[True] and rarer.lower() in FLAGS[False]:
        return other, rarer
    return rarer, other


def _window(source: Source, table: DraftTable, column: ColumnProfile) -> tuple[str, str]:
    """How long an outcome takes to be known: as long as it is empty at the end of the data, if it is."""
    rows = instants(source, table)
    first, last = first_and_last(rows)
    span = (last - first).days if first and last else 0
    default = "7d" if span >= 70 else "1d"
    if column.filled == column.rows or last is None:
        return default, "? after so long an outcome is final; the tables do not say"
    unknown = rows.filter(rows[column.name].isnull())
    oldest = unknown.aggregate(first=unknown.happened.min()).to_pyarrow()["first"][0].as_py()
    days = math.ceil((last - oldest) / timedelta(days=1)) if oldest else 0
    if oldest and 0 < days <= span / 4:
        return f"{days}d", f"? empty only in the last {days} days: not known yet"
    empty = column.rows - column.filled
    return default, f"? after so long an outcome is final; {empty:,} rows have none, and do not count"


def _futures(source: Source, table: DraftTable, tables: list[DraftTable]) -> Iterator[Candidate]:
    rows = instants(source, table)
    first, last = first_and_last(rows)
    if first is None or last is None or (last - first).days < 14:
        return
    declared = {each.noun for each in tables if each.shape == "entity"}
    lender = str(next(line.value for line in table.lines if line.key == "at")).rpartition(".")[0]
    names = {file_name(name): name for name in table.profile.columns}
    for noun, column in table.of.items():
        if noun == lender or (noun not in declared and not is_person(noun)):
            continue
        if table.profile.columns[names[column]].distinct > 0.7 * table.rows:
            continue
        choices = [
            (days, *_rate(rows, names[column], last, days)) for days in _SPANS if 4 * days <= (last - first).days
        ]
        sensible = [each for each in choices if each[2] and 0.02 <= each[1] / each[2] <= 0.7]
        if not choices or not any(each[2] for each in choices):
            continue
        days, none, active = (sensible or [each for each in choices if each[2]])[0]
        yield from _other_codes(source, table, noun, days, is_person(noun))
        yield _no_event(table, noun, days, none, active, last, (last - first).days, bool(sensible))


def _other_codes(source: Source, table: DraftTable, noun: str, days: int, about_person: bool) -> Iterator[Candidate]:
    """Events whose code is not the usual one: a race that was not finished, an order that was not completed."""
    for reference in source.of(table.profile.name):
        if source.roles[reference.target] != "code" or not about_person:
            continue
        codes = source.rows(reference.table)[reference.column].cast("string").name("code").as_table()
        counted = codes.group_by("code").aggregate(rows=codes.count()).order_by(ibis.desc("rows"), "code").limit(1)
        usual = counted.to_pyarrow().to_pylist()[0]
        condition = {"where": {file_name(reference.column): {"not": usual["code"]}}}
        label = {"count": table.noun, "within": f"{days}d", "at_least": 1, **condition}
        where = {"count": table.noun, "within": f"{3 * days}d", "at_least": 1}
        evidence = (
            f"{reference.column} is {usual['code']!r} ({_meaning(source, reference.target, usual['code'])}) in "
            f"{usual['rows']:,} of {table.rows:,} rows: a {table.noun} that ended otherwise"
        )
        predict = {"each": noun, "every": "30d", "where": where, "label": label}
        yield Candidate(predict, evidence, 55 + math.log10(table.rows), table.name)


def _meaning(source: Source, table: str, code: str) -> str:
    """What a list of codes says of one."""
    rows, key = source.rows(table), str(source.key(table))
    found = rows.filter(rows[key].cast("string") == code).limit(1).to_pyarrow().to_pylist()
    return ", ".join(str(value) for name, value in found[0].items() if name != key) if found else "unknown"


def _no_event(
    table: DraftTable, noun: str, days: int, none: int, active: int, last: datetime, span: int, sensible: bool
) -> Candidate:
    predict = {
        "each": noun,
        "every": "7d" if span <= 1000 else "30d",
        "where": {"count": table.noun, "within": f"{3 * days}d", "at_least": 1},
        "label": {"count": table.noun, "within": f"{days}d", "at_most": 0},
    }
    at = last - timedelta(days=days)
    evidence = (
        f"no {table.noun} within {days} days: so it was for {none:,} of {active:,} {noun} ids "
        f"({share_of(none, active)}) as of {at:%Y-%m-%d}"
    )
    breadth = math.log10(table.rows) + len(table.of) + 0.2 * len(table.columns)
    score = (60 if is_person(noun) else 35) + breadth - (0 if sensible else 100)
    return Candidate(predict, evidence, score, table.name)


def _rate(rows: ibis.Table, column: str, last: datetime, days: int) -> tuple[int, int]:
    """Of the entities with an event in the time before a cut-off, three times as long: how many have none after it."""
    cut = last - timedelta(days=days)
    before = rows.filter((rows.happened >= cut - timedelta(days=3 * days)) & (rows.happened < cut))
    after = rows.filter(rows.happened >= cut)
    active = before.filter(before[column].notnull()).select(id=before[column].cast("string")).distinct()
    seen = after.select(id=after[column].cast("string")).distinct()
    total = int(active.count().execute())
    return total - int(active.semi_join(seen, "id").count().execute()), total


def label_leaks(source: Source, table: DraftTable, label: str) -> set[str]:
    """Columns of an event that say what its label says: they are known when that is, and give it away."""
    rows = source.rows(table.profile.name)
    known = rows.filter(rows[label].notnull())
    total = table.profile.columns[label].filled
    rarest = table.profile.columns[label].values[-1][1]
    found = set()
    for column in table.profile.columns.values():
        if column.name == label or not 1 < column.distinct <= 100 or column.kind in ("time", "id"):
            continue
        counted = known.group_by(value=known[column.name], label=known[label]).aggregate(rows=known.count())
        best = counted.group_by("value").aggregate(right=counted.rows.max())
        right = int(best.right.sum().execute())
        if total - right <= 0.02 * rarest:
            found.add(column.name)
    return found
