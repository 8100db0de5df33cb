"""The key of a table: one column, several, or an id with the time from which a row holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import ibis

from mlguide_assets.english import agreeing, counted
from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, time_of
from mlguide_assets.prepare.profiling.kinds import FEWEST_IDS
from mlguide_assets.prepare.profiling.nouns import (
    is_id_name,
    is_thing,
    noun_of_id,
    noun_of_table,
    word_set,
    words,
)

_NAMING = word_set("code name number no nr ref email sku slug login symbol")
_FROM = word_set("from start begin effective since")
_TO = word_set("to end until expiry expires thru through")
MOSTLY = 0.8
MOST_OVERLAPPING = 0.05
"""Of the rows that another row of their id follows, those that may end after it begins: mistakes."""


@dataclass(frozen=True)
class HistoryOf:
    """An id with several rows, each of which holds from a time to another."""

    key: str
    from_: str
    to: str
    evidence: str


def best_key(profile: TableProfile) -> str | None:
    """The unique column that is most likely meant as the key; None where none looks like one."""
    names = list(profile.columns)
    likely = [
        name
        for name in profile.unique
        if is_id_name(name)
        or profile.columns[name].kind == "id"
        or _NAMING & set(words(name))
        or (names[0] == name and profile.table.rows > 1)
    ]
    return min(likely, key=lambda name: (*_rank(profile, name), names.index(name)), default=None)


def _rank(profile: TableProfile, name: str) -> tuple[bool, bool, bool]:
    """Its own id comes before other ids, these before other columns."""
    own = is_id_name(name) and noun_of_id(name) in ("", noun_of_table(profile.name))
    return not own, not is_id_name(name), profile.columns[name].kind not in ("id", "number")


def excess_rows(rows: ibis.Table, columns: Sequence[str]) -> int:
    """How many rows repeat the values of these columns: 0 where the columns are a key."""
    distinct = rows.select(*columns).distinct().count().execute()
    return int(rows.count().execute()) - int(distinct)


def composite_key(rows: ibis.Table, first: Sequence[str], others: Iterable[str]) -> tuple[list[str], int]:
    """Columns that identify a row: `first`, and as few of the others as are needed, each time the most telling one.

    Returns:
        The columns, and how many rows still repeat their values.
    """
    chosen = list(dict.fromkeys(first))
    excess = excess_rows(rows, chosen) if chosen else int(rows.count().execute())
    left = [name for name in others if name not in chosen]
    if chosen and excess:
        # Of many rows usually few repeat: only these have to be told apart.
        alike = rows.mutate(alike=ibis._.count().over(group_by=chosen)).filter(ibis._.alike > 1)
        rows = rows.get_backend().create_table(f"alike_{uuid4().hex}", alike, temp=True)
    while excess and left:
        repeated = {name: excess_rows(rows, [*chosen, name]) for name in left}
        best = min(left, key=lambda name: repeated[name])
        if repeated[best] == excess:
            break
        chosen, excess = [*chosen, best], repeated[best]
        left.remove(best)
    return chosen, excess


def find_history(profile: TableProfile, rows: ibis.Table) -> HistoryOf | None:
    """The id and the two times of a table whose rows follow each other per id, hardly any of which overlap."""
    ids = [each for each in profile.columns.values() if _may_be_repeated_id(each, profile)]
    ids.sort(key=lambda each: not _is_called_as_ids(each))
    starts = [each for each in profile.times if _FROM & set(words(each.name))]
    ends = [each for each in profile.times if _TO & set(words(each.name))]
    for key in ids:
        for start in starts:
            for end in ends:
                if found := _follows(rows, profile, key, start, end):
                    return found
    return None


def _may_be_repeated_id(column: ColumnProfile, profile: TableProfile) -> bool:
    if column.filled < column.rows or column.name in profile.unique or column.distinct < 2:
        return False
    plain = column.distinct >= FEWEST_IDS and not profile.table.types[column.name].is_floating()
    return _is_called_as_ids(column) or (plain and column.kind in ("number", "category", "text"))


def _is_called_as_ids(column: ColumnProfile) -> bool:
    return is_id_name(column.name) or column.kind == "id" or is_thing(column.name)


def _follows(
    rows: ibis.Table, profile: TableProfile, key: ColumnProfile, start: ColumnProfile, end: ColumnProfile
) -> HistoryOf | None:
    spans = rows.select(key=rows[key.name], start=time_of(rows, start), end=time_of(rows, end))
    spans = spans.mutate(next=spans.start.lead().over(group_by="key", order_by="start"))
    followed = spans.filter(spans.next.notnull())
    found = followed.aggregate(
        rows=followed.count(),
        joined=(followed.end == followed.next).sum(),
        apart=(followed.end <= followed.next).sum(),
        a_day_apart=(followed.end + ibis.interval(days=1) == followed.next).sum(),
    )
    values = found.to_pyarrow().to_pylist()[0]
    pairs, joined, apart, days = (int(values[name] or 0) for name in ("rows", "joined", "apart", "a_day_apart"))
    stated = _is_called_as_ids(key) and {"valid", "effective"} & {*words(start.name), *words(end.name)}
    overlapping = pairs - apart
    follow = max(joined, days) >= MOSTLY * pairs
    if not pairs or overlapping > MOST_OVERLAPPING * pairs or not (follow or stated):
        return None
    none = f"no two rows of one {key.name} overlap, in {profile.table.of_rows}"
    few = (
        f"? {overlapping:,} of {counted(profile.table.rows, 'row')} {agreeing(overlapping, 'overlap')} the next of its "
        f"{key.name}"
    )
    evidence = f"{few if overlapping else none}; {joined:,} of {pairs:,} follow at once"
    if days > joined:
        evidence = (
            f"? {days:,} of {pairs:,} end the day before the next begins: a row holds until before its {end.name}, so "
            "that day has none; write it a day later"
        )
    return HistoryOf(key.name, start.name, end.name, evidence)
