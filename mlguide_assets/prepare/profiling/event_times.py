"""Which of its times says when an event happened, and which when its row was written."""

import re
from collections.abc import Iterable

import ibis

from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, seconds, time_of
from mlguide_assets.prepare.profiling.nouns import names_outcome, singular, word_set, words

_HAPPENED = word_set("at date time timestamp datetime when day occurred event happened ts dt")
_WRITTEN = word_set("loaded inserted ingested written recorded synced received etl imported known extracted")
_CHANGED = word_set("updated modified changed edited refreshed")
_LATER = word_set(
    "shipped delivered returned due end ended until closed cancelled canceled expiry expires refunded paid resolved "
    "completed finished estimated expected planned scheduled fp1 fp2 fp3 approved processed last next to thru through"
)
_NOW = word_set(
    "active inactive current currently alive balance lifetime total totals count counts recent recently average avg "
    "cumulative streak mrr arr tenure recency ltv clv points spend spent "
    "reputation karma followers views votes upvotes downvotes"
)
_COUNT = word_set("count counts num number n nb total")
_REACTION = word_set("view like dislike favorite favourite upvote downvote vote comment answer reply retweet download")
_REACTIONS = word_set("views likes dislikes favorites favourites upvotes downvotes votes retweets")
"""What others do with a thing that somebody has published, and how many times."""
_RATED = word_set("score points")
"""In a table with such counts, what sums them up."""
_FORESEEN = word_set(
    "due expiry expires estimated expected planned scheduled promised limit deadline last next to thru through until"
)
_NEVER = word_set("dob birth birthday birthdate born")
_COUNTED = ("year", "month", "week", "day", "hour")
MOST_PER_ID = 1.02
"""The most values per id on average where each id has one: 2 % may be mistakes in the data."""
_HIGHEST = {"month": 12, "week": 53, "hour": 24}
_FIRST_YEAR, _LAST_YEAR = 1000, 2200
"""Whole numbers beyond these are no years of a calendar, such as those of an employee with a company."""
_YEAR = re.compile(r"(1\d|2[01])\d\d")
_PERIODS = word_set("year month week quarter period date yearmonth yyyymm")
_PERIOD = re.compile(r"(19|20)\d\d[-/. ]?[MQW]?\d{1,2}|(\d\d?|Q[1-4])[-/. ](19|20)\d\d|[A-Za-z]{3,9}[-/. ](19|20)?\d\d")
_NAMED_MONTH = re.compile(r"[A-Z][a-z]{2,8}[- ](19|20)\d\d")
_BEGAN = word_set(
    "created creation joined signup signed registered registration opened since started start begin added first "
    "enrolled launched introduced activated onboarded issued established hired known_from"
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
    counted = parts_of_dates(profile)
    if {"year", "month"} <= counted.keys():
        *parts, last = (counted[word] for word in _COUNTED if word in counted)
        together = f"{', '.join(parts)} and {last} say together when its rows happened"
        return f"{together}: write them as one column, such as 2024-01-31 10:00"
    undated = [name for word, name in counted.items() if word == "year"] or [
        column.name for column in profile.columns.values() if _is_period(column)
    ]
    if undated:
        return f"{undated[0]} is no day: write the one by which a row is known, such as 2024-12-31"
    if counted:
        first = next(iter(counted.values()))
        return f"{first} counts from a day that it does not say: write it as a date, such as 2024-01-31"
    return "no column says when its rows happened"


def parts_of_dates(profile: TableProfile) -> dict[str, str]:
    """Which columns hold the year, the month, the day of something: that word → the column."""
    return {
        word: column.name
        for column in profile.columns.values()
        for word in map(singular, words(column.name))
        if word in _COUNTED and _may_be_of_a_calendar(column, word)
    }


def _may_be_of_a_calendar(column: ColumnProfile, word: str) -> bool:
    """Whether a column that is called like a part of a date may be one: no age, and no number of years or months.

    A day or an hour may also count on from a day that is not said, so its name must end with it: `pan_day`, `days`.
    """
    names = words(column.name)
    if column.kind not in ("number", "integer", "category") or _NEVER & set(names):
        return False
    if column.kind == "category" and word == "year":
        # All rows may be of one year; then no bounds are known.
        return bool(column.values) and all(_YEAR.fullmatch(value) for value, _ in column.values)
    if column.kind == "category":
        return singular(names[-1]) == word and not _is_period(column)
    if word == "year":
        of_a_century = column.lowest >= _FIRST_YEAR and column.highest <= _LAST_YEAR
        return column.whole and (of_a_century or names == ["year"])
    names_it = names[-1] == word or (names == ["days"] and word == "day")
    return names_it and column.highest <= _HIGHEST.get(word, column.highest)


def _is_period(column: ColumnProfile) -> bool:
    """Whether a column holds months, quarters or weeks with their year, such as 2024-01, Mar-2018 or 202401."""
    if column.values and all(_NAMED_MONTH.fullmatch(value) for value, _ in column.values):
        return True
    if not _PERIODS & set(words(column.name)):
        return False
    bounds = [str(int(each)) for each in (column.lowest, column.highest) if column.whole]
    values = [value for value, _ in column.values] or bounds
    return bool(values) and all(_PERIOD.fullmatch(value) for value in values)


def _fits(column: ColumnProfile) -> int:
    parts = set(words(column.name))
    return (
        2 * bool(_HAPPENED & parts) - 2 * bool((_LATER | _FORESEEN) & parts) + (len(parts) == 1) + bool(_BEGAN & parts)
    )


def comes_later(name: str) -> bool:
    """Whether a column is called as what is known only some time after the event: when it was delivered, its status.

    >>> comes_later("shipped_date"), comes_later("order_status"), comes_later("ordered_at")
    (True, True, False)
    """
    return bool({*_LATER, "status"} & set(words(name)))


def is_of_now(name: str) -> bool:
    """Whether a column of a thing is called as what changes while it lives: its status, balance, or number of orders.

    >>> [is_of_now(name) for name in ("status", "is_active", "total_logins", "n_defaults", "tenure_months")]
    [True, True, True, True, True]
    >>> [is_of_now(name) for name in ("Reputation", "UpVotes", "plan", "credit_limit")]
    [True, True, False, False]
    """
    parts = words(name)
    return bool(_NOW & set(parts)) or comes_later(name) or names_outcome(name) or parts[:1] in (["n"], ["num"], ["nb"])


def counts_on(names: Iterable[str]) -> list[str]:
    """Of the columns of an event, those that grow after it, such as the views of a question: a table has them of today.

    >>> counts_on(["ViewCount", "AnswerCount", "likes", "Score", "amount"])
    ['ViewCount', 'AnswerCount', 'likes', 'Score']
    >>> counts_on(["score", "item_count"])
    []
    """
    parts = {name: set(words(name)) for name in names}
    counts = [name for name, each in parts.items() if each & _REACTIONS or _counts_reactions(each)]
    return [name for name, each in parts.items() if name in counts or (counts and each <= _RATED)]


def _counts_reactions(parts: set[str]) -> bool:
    return bool(parts & _COUNT) and bool({singular(part) for part in parts} & _REACTION)


def may_be_of_an_outcome(name: str) -> bool:
    """Whether a time may be that of an outcome: not of a birth, nor of when the row was written or changed.

    >>> may_be_of_an_outcome("closed_at"), may_be_of_an_outcome("updated_at")
    (True, False)
    """
    return not (_CHANGED | _WRITTEN | _NEVER) & set(words(name))


def is_foreseen(name: str) -> bool:
    """Whether a time is called as what was expected, not as what happened.

    >>> is_foreseen("due_date"), is_foreseen("closed_at")
    (True, False)
    """
    return bool(_FORESEEN & set(words(name)))


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
        late = seconds(written) - seconds(happened)
        counted = rows.aggregate(before=(written < happened).sum(), longest=late.max())
        found = counted.to_pyarrow().to_pylist()[0]
        if not found["before"]:
            return column, f"never before {at.name}; at most {_span(found['longest'] or 0)} later"
    return None


def _span(late: float) -> str:
    return f"{late / 86400:,.1f} days" if late >= 86400 else f"{late / 3600:,.1f} hours"


def one_time_per_id(profile: TableProfile, column: str, at: ColumnProfile, rows: ibis.Table) -> bool:
    """Whether all rows of an id have the same time: then it is a part of the event, such as a basket, no entity."""
    ids = rows.filter(rows[column].notnull())
    pairs = ids.select(id=ids[column], at=time_of(ids, at)).distinct().count().execute()
    return int(pairs) <= MOST_PER_ID * profile.columns[column].distinct
