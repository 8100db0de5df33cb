"""Reading a source's dates and times: UTC without a zone, or null for what does not read as one.

Text is read as ISO 8601, year first in four digits, or in the format that the problem file states for the column. A
date that two readings allow is read in neither, and a number is a time only where a format says what it counts.
"""

import re
from datetime import UTC, date, datetime

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.dates import EXCEL, SINCE_1970, formats_that_read
from mlguide_assets.define.schema import TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.functions import duckdb_function
from mlguide_assets.prepare.features.events import timestamp_of
from mlguide_assets.prepare.sources.spellings import to_text

_YEAR_FIRST = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ].*)?$"
OFFSET = r"(:\d\d(\.\d*)?)\s*(Z|UTC|utc|[+-]\d\d(:?\d\d){0,2})$"
"""`UTC` behind a time, as BigQuery writes it, is an offset, too."""
_NO_SECONDS = r"([T ]\d{1,2}:\d\d)(Z|[+-]\d\d(:?\d\d)?)$"
_INFINITE = ("infinity", "+infinity", "-infinity")
_NUMBER = r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?"
_LAST_YEAR = 9999
_LAST_MICROSECOND = 253_402_300_799_999_999
"""Of that year, since 1970."""
_LAST_DAY = _LAST_MICROSECOND // 86_400_000_000
_EXCEL_1970 = 25_569
"""1970-01-01 as spreadsheets count days."""
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "j": 3}
"""Digits of parts of a time."""
_FOUR_DIGITS = 1000
_MILLISECONDS_OF_DAY = 86_400_000
_LOOKED_AT = 1000


def read_times(column: ibis.Column, format: str | None = None, timezone: str = "UTC") -> ibis.Column:
    """A column of texts, dates or times as times; other types have no times.

    A time with a zone becomes UTC without one: the session's zone is UTC.

    Args:
        format: a `strptime` pattern, one of `SINCE_1970`, or `EXCEL`; texts and numbers, such as 20241231, are read in
            it and in no other.
        timezone: of times that carry no zone. An hour that a change of clocks repeats is the second of the two.
    """
    given = column.type()
    if format in SINCE_1970 and (given.is_string() or given.is_numeric()):
        time = _since_1970(column, SINCE_1970[format])
    elif format == EXCEL and (given.is_string() or given.is_numeric()):
        time = _in_utc(_of_excel(column), timezone)
    elif format and (given.is_string() or given.is_numeric()):
        time = _strptime(to_text(column).strip(), format)
        time = time if "%z" in format else _in_utc(time, timezone)
    elif given.is_string():
        time = _read_text(column.strip(), timezone)
    elif given.is_date() or given.is_timestamp():
        has_zone = given.is_timestamp() and given.timezone is not None
        time = column.cast("timestamp") if has_zone else _in_utc(column.cast("timestamp"), timezone)
    else:
        return ibis.null("timestamp")
    # Databases know infinite times, of which no age can be taken.
    return ibis.ifelse(time.year().between(1, _LAST_YEAR), time, ibis.null("timestamp"))


def without_infinity(column: ibis.Column) -> ibis.Column:
    """A column with null for an infinite time, as an open end is, and for any other that is not in the years 1 to 9999.

    PostgreSQL and DuckDB know infinite times, and write them as text to CSV.
    """
    given = column.type()
    nothing = ibis.null(given.copy(nullable=True))
    if given.is_string():
        return ibis.ifelse(column.lower().isin(_INFINITE), nothing, column)
    if given.is_date():
        return ibis.ifelse(column.between(ibis.literal(date.min), ibis.literal(date.max)), column, nothing)
    if given.is_timestamp():
        zone = UTC if given.timezone else None
        first, last = (ibis.literal(each.replace(tzinfo=zone)) for each in (datetime.min, datetime.max))
        # Of nanoseconds, those years have no literals.
        time = column.cast(dt.Timestamp(timezone=given.timezone))
        return ibis.ifelse(time.between(first, last), column, nothing)
    return column


def refuse_another_format(column: ibis.Column, name: str, table: TableName, *, place: str) -> None:
    """Refuse a column of texts most of which are no times in ISO 8601, and say which formats read them.

    Args:
        name: what we call the column.

    Raises:
        InputError: the problem file must state the format.
    """
    if not column.type().is_string():
        return
    text = column.strip().nullif("").name("text")
    given = text.as_table().filter(lambda rows: rows.text.notnull()).limit(_LOOKED_AT)
    looked = given.select("text", read=read_times(given.text).notnull()).to_pyarrow().to_pylist()
    other = [row["text"] for row in looked if not row["read"]]
    if 2 * len(other) <= len(looked):
        return
    # Counts since 1970 and days of a spreadsheet are the contract's to explain, as it does where they are no text.
    if all(re.fullmatch(_NUMBER, text) for text in other) and not formats_that_read(other):
        return
    # A few that are broken otherwise must not hide the format of the rest.
    fitting = formats_that_read(other) or formats_that_read(sorted(other)[:1])
    key = f"tables.{table}.columns.{name}.format"
    if not fitting:
        advice = f"state its format in the problem file, as {key}: '%d/%m/%Y %H:%M', or write times as 2024-12-31 17:00"
    elif len(fitting) == 1:
        advice = f"if that is {fitting[0]!r}, state it in the problem file, as {key}: {fitting[0]!r}"
    else:
        advice = (
            f"that can be read as {' or as '.join(map(repr, fitting[:3]))}: say which in the problem file, as {key}"
        )
    raise InputError(f"{place}: times in {name!r} are written as {other[0]!r}, which is not ISO 8601; {advice}.")


def _in_utc(time: ibis.Column, timezone: str) -> ibis.Column:
    """Times of a zone's clocks as UTC."""
    if timezone == "UTC":
        return time
    zoned = duckdb_function("timezone", (dt.string, dt.timestamp), dt.Timestamp(timezone="UTC"))
    return _within_years(zoned(ibis.literal(timezone), time).cast("timestamp"))


def _within_years(utc: ibis.Column) -> ibis.Column:
    """Times that their zone moved out of the years 1 to 9999 stay at their end: 9999-12-31 is open in New York, too."""
    first, last = (ibis.literal(each, "timestamp") for each in (datetime.min, datetime.max))
    day = ibis.interval(days=2)
    return ibis.cases(
        ((utc < first) & (utc > first - day), first), ((utc > last) & (utc < last + day), last), else_=utc
    )


def _read_text(text: ibis.Column, timezone: str) -> ibis.Column:
    """Text as a time, UTC where it names an offset: a plain cast would drop the offset in silence.

    Names of zones are not read: in DuckDB 1.5 one of them shifts the rows that follow it. Nor are years of two digits,
    which DuckDB takes for the first century.
    """
    nothing = ibis.null("string")
    text = ibis.ifelse(text.re_search(_YEAR_FIRST), text, nothing)
    has_offset = text.re_search(OFFSET)
    offset = ibis.ifelse(has_offset, text, nothing).re_replace(OFFSET, r"\1\3").re_replace("(?i)utc$", "Z")
    zoned = _within_years(offset.re_replace(_NO_SECONDS, r"\1:00\2").try_cast("timestamp('UTC')").cast("timestamp"))
    return ibis.coalesce(zoned, _in_utc(ibis.ifelse(has_offset, nothing, text).try_cast("timestamp"), timezone))


def _since_1970(count: ibis.Column, unit: float) -> ibis.Column:
    """Numbers that count from 1970 as times, to the microsecond. A `float64` holds those of this millennium."""
    micros = count.try_cast("float64") * unit
    known = ibis.ifelse(micros.abs() <= _LAST_MICROSECOND, micros, ibis.null("float64"))
    return timestamp_of(known.round().cast("int64"))


def _of_excel(days: ibis.Column) -> ibis.Column:
    """Days as spreadsheets count them as times, to the millisecond: a fraction of a day has no exact microseconds."""
    since_1970 = days.try_cast("float64") - _EXCEL_1970
    known = ibis.ifelse(since_1970.abs() <= _LAST_DAY, since_1970, ibis.null("float64"))
    return timestamp_of((known * _MILLISECONDS_OF_DAY).round().cast("int64") * 1_000)


def _strptime(text: ibis.Column, format: str) -> ibis.Column:
    """Text as a time in a format; UTC where the format has an offset. A year of four digits has no fewer."""
    found = dt.Timestamp(timezone="UTC") if "%z" in format else dt.timestamp
    if format.endswith("%z"):
        text = text.re_replace("(?i)z$", "+00:00")
    if re.fullmatch(f"(%[{''.join(_WIDTHS)}])+", format):
        text = _with_all_digits(text, sum(_WIDTHS[each] for each in format[1::2]))
    read = duckdb_function("try_strptime", (dt.string, dt.string), found)
    time = read(text, ibis.literal(format)).cast("timestamp")
    # DuckDB takes the 24 of 31/12/24 for a year of the first century.
    return ibis.ifelse(time.year() >= _FOUR_DIGITS, time, ibis.null("timestamp")) if "%Y" in format else time


def _with_all_digits(text: ibis.Column, width: int) -> ibis.Column:
    """Digits alone as they were before a program took them for a number: 60105.0 is 060105, the 5th of January 2006.

    DuckDB would read 60105 as 2060-10-05.
    """
    digits = text.re_replace(r"^(\d+)\.0+$", r"\1")
    return ibis.ifelse(digits.length() < width, digits.lpad(width, "0"), digits)
