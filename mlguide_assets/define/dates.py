"""How a column writes its times, as a problem file says it: a `strptime` pattern, or what it counts."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

_SOME_DAY = datetime(2024, 5, 17, 22, 41, 39, tzinfo=UTC)

_YEARS_SINCE_1970 = range(10, 130)
"""Numbers that count from 1970 are recognised where they are of 1980 to 2099: units do not overlap there."""
SINCE_1970 = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 0.001}
"""Formats of numbers that count from 1970-01-01 UTC, and how many microseconds one of them is."""

EXCEL = "excel"
"""Format of numbers that count days from 1899-12-30, with the time of day as a fraction, as spreadsheets keep dates."""
_EXCEL_DAYS = range(29_221, 73_051)
"""Such numbers are recognised where they are of 1980 to 2099."""


def parse_format(value: object) -> str:
    """How a column states its times, as a problem file gives it.

    Raises:
        ValueError: no year, month and day can be read by it.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text in SINCE_1970 or text == EXCEL:
        return text
    if not _says_a_day(text):
        raise ValueError(
            "write how the column states year, month and day, such as '%d/%m/%Y' for 31/12/2024, "
            "'%m/%d/%y %H:%M' for 12/31/24 17:00, or '%Y-%m-%dT%H:%M:%S%z'; or, for numbers that count from 1970, "
            f"{', '.join(SINCE_1970)}; or {EXCEL} for days as spreadsheets count them, such as 45322.5"
        )
    return text


_DIRECTIVES = frozenset("YymdHIMSfpbBaAjzGVu%")
"""Those that Python and DuckDB read alike."""


def _says_a_day(pattern: str) -> bool:
    """Whether a pattern reads a day, and the hour, if any, beyond doubt: of 12 hours it says which half of the day."""
    if not {found[1] for found in re.finditer(r"%(.?)", pattern)} <= _DIRECTIVES:
        return False
    try:
        read = datetime.strptime(_SOME_DAY.strftime(pattern), pattern)
    except ValueError:
        return False
    return read.date() == _SOME_DAY.date() and read.hour in (0, _SOME_DAY.hour)


def format_since_1970(numbers: Iterable[float]) -> str | None:
    """The format of numbers all of which would be times of our days, counted from 1970; None where none is.

    >>> format_since_1970([789652009, 1476640644]), format_since_1970([1476640644000]), format_since_1970([20240131])
    ('epoch_s', 'epoch_ms', None)
    """
    given = list(numbers)
    for format, of_a_second in SINCE_1970.items():
        year = 365.2425 * 86_400 * 1_000_000 / of_a_second
        if given and all(_YEARS_SINCE_1970.start * year <= each < _YEARS_SINCE_1970.stop * year for each in given):
            return format
    return None


def may_be_of_excel(numbers: Iterable[float]) -> bool:
    """Whether all numbers would be days of our time as spreadsheets count them.

    >>> may_be_of_excel([45322, 45323.75]), may_be_of_excel([20240131])
    (True, False)
    """
    given = list(numbers)
    return bool(given) and all(_EXCEL_DAYS.start <= each < _EXCEL_DAYS.stop for each in given)


def formats_that_read(texts: list[str]) -> list[str]:
    """The usual formats that read all of some texts, day before month first; several where they are ambiguous."""
    return [format for format in _USUAL if texts and all(_reads(text, format) for text in texts)]


def _reads(text: str, format: str) -> bool:
    try:
        datetime.strptime(text, format)
    except ValueError:
        return False
    return True


_DATES = [
    *(mark.join(parts) for mark in "/.-" for parts in (("%d", "%m", "%Y"), ("%m", "%d", "%Y"))),
    *(mark.join(parts) for mark in "/.-" for parts in (("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%y", "%m", "%d"))),
    *("%Y.%m.%d", "%Y%m%d", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
]
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", " %H:%M:%S %z")
_USUAL = [date + time for date in _DATES for time in _TIMES]
