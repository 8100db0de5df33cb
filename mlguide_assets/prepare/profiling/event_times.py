"""Which of its times says when an event happened, and which when its row was written."""

import ibis

from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, time_of
from mlguide_assets.prepare.profiling.nouns import singular, word_set, words

_HAPPENED = word_set("at date time timestamp datetime when day occurred event happened ts dt")
_WRITTEN = word_set("loaded inserted ingested written recorded synced received etl imported known extracted")
_CHANGED = word_set("updated modified changed edited refreshed")
_LATER = word_set(
    "shipped delivered returned due end ended until closed cancelled canceled expiry expires refunded paid resolved "
    "completed finished estimated expected planned scheduled fp1 fp2 fp3 approved processed last next to thru through"
)
_NEVER = word_set("dob birth birthday birthdate born")
_COUNTED = ("year", "month", "week", "day", "hour")
_BEGAN = word_set(
    "created joined signup signed registered registration opened since started start begin added first enrolled "
    "launched introduced activated onboarded issued established hired known_from"
)


def when_it_happened(profile: TableProfile) -> ColumnProfile | None:
    """The time of an event that is most likely meant, where a table has one that nearly all rows fill."""
    likely = [
        column
        for column in profile.times
        if column.filled >= 0.95 * column.rows and not (_NEVER | _WRITTEN | _CHANGED) & set(words(column.name))
    ]
    order = list(profile.columns)
    return max(likely, key=lambda column: (_fits(column), column.filled, -order.index(column.name)), default=None)


def why_no_time(profile: TableProfile) -> str:
    """Why no column says when the rows of a table happened, and what would."""
    numbers = {
        word: column.name
        for column in profile.columns.values()
        if column.kind in ("number", "integer", "category")
        for word in map(singular, words(column.name))
        if word in _COUNTED
    }
    if {"year", "month"} <= numbers.keys():
        *parts, last = (numbers[word] for word in _COUNTED if word in numbers)
        together = f"{', '.join(parts)} and {last} say together when its rows happened"
        return f"{together}: write them as one column, such as 2024-01-31 10:00"
    if numbers.keys() == {"year"}:
        return f"{numbers['year']} is no day: write the one by which a row is known, such as 2024-12-31"
    if numbers:
        first = next(iter(numbers.values()))
        return f"{first} counts from a day that it does not say: write it as a date, such as 2024-01-31"
    return "no column says when its rows happened"


def _fits(column: ColumnProfile) -> int:
    parts = set(words(column.name))
    return 2 * bool(_HAPPENED & parts) - 2 * bool(_LATER & parts) + (len(parts) == 1) + bool(_BEGAN & parts)


def when_it_began(profile: TableProfile) -> ColumnProfile | None:
    """The time from which on an entity exists, by its name."""
    likely = [
        column
        for column in profile.times
        if _BEGAN & set(words(column.name)) and not (_NEVER | _LATER) & set(words(column.name))
    ]
    return max(likely, key=lambda column: column.filled, default=None)


def when_it_was_written(profile: TableProfile, at: ColumnProfile, rows: ibis.Table) -> tuple[ColumnProfile, str] | None:
    """The time at which a row was written, never before it happened, with the evidence."""
    for column in profile.times:
        if column is at or not _WRITTEN & set(words(column.name)) or column.filled < column.rows:
            continue
        written, happened = time_of(rows, column), time_of(rows, at)
        # DuckDB's intervals are months, days and nanoseconds, which Arrow does not read as durations.
        late = written.epoch_seconds() - happened.epoch_seconds()
        counted = rows.aggregate(before=(written < happened).sum(), longest=late.max())
        found = counted.to_pyarrow().to_pylist()[0]
        if not found["before"]:
            return column, f"never before {at.name}; at most {_span(found['longest'] or 0)} later"
    return None


def _span(seconds: int) -> str:
    return f"{seconds / 86400:,.1f} days" if seconds >= 86400 else f"{seconds / 3600:,.1f} hours"


def one_time_per_id(profile: TableProfile, column: str, at: ColumnProfile, rows: ibis.Table) -> bool:
    """Whether all rows of an id have the same time: then it is a part of the event, such as a basket, no entity."""
    ids = rows.filter(rows[column].notnull())
    pairs = ids.select(id=ids[column], at=time_of(ids, at)).distinct().count().execute()
    return int(pairs) <= 1.02 * profile.columns[column].distinct
