"""How the parts of a declaration are put into words: spans, comparisons, the parts of the calendar.

What a feature means in general is put together in `catalogue.py`, what a value of it says of a case in
`deploy/serving/phrases.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlguide_assets.define.prediction import Comparison
from mlguide_assets.english import counted, duration

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_NEWEST = ("newest", "second newest", "third newest")


@dataclass(frozen=True)
class CalendarWords:
    """A part of the calendar.

    Attributes:
        first, last: its values, both included.
        meaning: a sentence; what is to be known of the values follows a semicolon.
        phrase: from a value to what it says.
    """

    first: int
    last: int
    meaning: str
    phrase: Callable[[Any], str]


CALENDAR: Mapping[str, CalendarWords] = {
    "hour": CalendarWords(0, 23, "Hour of the day, UTC.", lambda value: f"hour {value:g} UTC"),
    "day_of_week": CalendarWords(
        0, 6, "Day of the week, UTC; Monday is 0.", lambda value: f"a {_DAYS[int(value) % 7]}"
    ),
    "day_of_month": CalendarWords(1, 31, "Day of the month, UTC.", lambda value: f"day {value:g} of the month"),
    "month": CalendarWords(1, 12, "Month of the year, UTC.", lambda value: f"in {_MONTHS[int(value) - 1]}"),
    "day_of_year": CalendarWords(1, 366, "Day of the year, UTC.", lambda value: f"day {value:g} of the year"),
}
"""By `define.features.CalendarPart`."""


def span_in_words(span: timedelta) -> str:
    """How long a window is. One of a day has 24 hours, whenever they begin: it is no day of the calendar.

    >>> [span_in_words(timedelta(days=days)) for days in (0.5, 1, 1.5, 7)]
    ['12 hours', '24 hours', '36 hours', '7 days']
    """
    return duration(span) if span != timedelta(days=1) else counted(24, "hour")


def nth_newest(nth: int) -> str:
    """Which of the events so far, from 1 for the newest.

    >>> nth_newest(1), nth_newest(2), nth_newest(4)
    ('newest', 'second newest', '4th newest')
    """
    return _NEWEST[nth - 1] if nth <= len(_NEWEST) else f"{nth}th newest"


def comparison_in_words(asked: Comparison, equals: str = "") -> str:
    """What the value of a column must be.

    Args:
        equals: what stands before values that are asked for by themselves.

    >>> comparison_in_words(Comparison(at_least=2, at_most=5)), comparison_in_words(Comparison(one_of=("a", "b")), "= ")
    ('≥ 2 and ≤ 5', '= a or b')
    """
    said = [f"{equals}{' or '.join(asked.one_of)}"] if asked.one_of else []
    if asked.not_:
        said.append(f"other than {' or '.join(asked.not_)}")
    if asked.at_least is not None:
        said.append(f"≥ {asked.at_least:g}")
    if asked.at_most is not None:
        said.append(f"≤ {asked.at_most:g}")
    return " and ".join(said)
