"""Why a value does not read as the type of its column, and what to write instead.

Plain text in, plain text out. How values are read: `sources/spellings.py` and `sources/times.py`.
"""

import re
import unicodedata
from datetime import UTC, datetime

from mlguide_assets.define.dates import EXCEL, SINCE_1970, format_since_1970, formats_that_read, may_be_of_excel
from mlguide_assets.define.schema import DECIMAL_COMMA, EntityTable, EventTable
from mlguide_assets.prepare.sources.names import plain

_MINUS = "\\-\u2010-\u2015\u2212"
"""What may be meant for a minus, within brackets of a pattern."""
_OTHER_MINUS = dict.fromkeys((*range(8208, 8214), 8722), "-")
_FORMATS = {"seconds": "epoch_s", "milliseconds": "epoch_ms", "microseconds": "epoch_us", "nanoseconds": "epoch_ns"}


def cause_of_value(table: EntityTable | EventTable, unreadable: str) -> str:
    """Of the first value of `column=value, column=value` that does not read as its type."""
    column, _, rest = unreadable.partition("=")
    others = "|".join(map(re.escape, table.columns))
    value = re.split(rf", (?:{others})=", rest)[0].strip()
    if plain(value) == plain(table.columns[column].name or column):
        return f"{column} holds {value!r}, its own name: a second header stands among the rows; remove that line"
    format = table.columns[column].format
    match table.columns[column].kind:
        case "time":
            return cause_of_time(column, value, format)
        case "number":
            return (
                cause_of_decimal_comma(column, value) if format == DECIMAL_COMMA else cause_of_fraction(column, value)
            )
        case "flag":
            return f"{column} must be a flag, and {value[:40]!r} is none; write true and false, yes and no, or 1 and 0"
        case kind:
            return cause_of_number(column, value, is_id=kind == "id")


def cause_of_decimal_comma(column: str, text: str) -> str:
    """The same of a column whose numbers have a decimal comma, as the problem file states.

    >>> cause_of_decimal_comma("amount", "12.5")
    "amount must be a number with a decimal comma, as its format says, and '12.5' has a point there; write 12,5"
    """
    must = f"{column} must be a number with a decimal comma, as its format says, and {text[:40]!r}"
    if re.fullmatch(r"[+-]?\d*\.\d+", text, re.ASCII):
        return f"{must} has a point there; write {text.replace('.', ',')}"
    return f"{must} is none; write it as in 1.234,56, and leave it empty where it is not known"


def cause_of_fraction(column: str, text: str) -> str:
    """Why a text is not a number, and what to write instead.

    >>> cause_of_fraction("amount", "16.80 EUR")
    "amount must be a number, and '16.80 EUR' is more than one; write the number alone, as in 16.80"
    """
    must = f"{column} must be a number, and {text[:40]!r}"
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", text):
        point = text.replace(",", "")
        if text.count(",") > 1 or "." in text:
            return f"{must} has commas between thousands; write it without, as in {point}"
        return (
            f"{must} can be {point} or {text.replace(',', '.')}; write {point} without a comma if it is the first, and "
            f"state format: decimal_comma for the column in the problem file if it is the second"
        )
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}", text):
        return (
            f"{must} has points between thousands; state format: decimal_comma for the column in the problem file, or "
            f"write it without, as in {text.replace('.', '')}"
        )
    if re.fullmatch(r"[+-]?[1-9]\d?(,\d{2})+,\d{3}(\.\d+)?", text):
        return f"{must} has commas between digits; write it without, as in {text.replace(',', '')}"
    if re.fullmatch(r"[+-]?[\d.' \u2019\u00a0\u202f]*,\d+", text):
        return (
            f"{must} has a comma for its decimal point; state format: decimal_comma for the column in the problem "
            f"file, or write a point"
        )
    if re.fullmatch(r"[+-]?inf(inity)?", text.lower()):
        return f"{must} is infinite; leave it empty where it is not known"
    return _cause_of_any_number(must, text) or f"{must} is none; leave it empty where it is not known"


def cause_of_number(column: str, text: str, *, is_id: bool) -> str:
    """Why a text is not a whole number, and what to write instead.

    >>> cause_of_number("age", "1,5", is_id=False)
    "age must be a whole number, and '1,5' has a fraction; round it in the source"
    """
    shown = repr(text[:40])
    must = f"{column} must be a whole number, and {shown}"
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}([.,'\u2019\u00a0 _]\d{3})+", text):
        digits = re.sub(r"[^\d+-]", "", text)
        return f"{must} can be {digits} or a number with a fraction; write digits alone, as in {digits}"
    if re.fullmatch(r"[+-]?\d+(\.0*)?", text):
        return f"{must} is too large, or was a floating-point number that lost digits; write it as a 64-bit integer"
    if re.fullmatch(r"[+-]?\d+,0{1,2}", text):
        return (
            f"{must} has a decimal comma; write {text.partition(',')[0]}, or state {{kind: number, format: "
            f"decimal_comma}} for the column in the problem file"
        )
    if re.fullmatch(r"[+-]?\d*[.,]\d+", text):
        return f"{must} has a fraction; round it in the source"
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text):
        return f"{must} was written as a floating-point number, which loses digits; write all digits"
    if re.fullmatch(r"[+-]?inf(inity)?", text.lower()):
        return f"{must} is infinite; leave it empty where it is not known"
    if is_id:
        return (
            f"{column} must be a whole number of at most 64 bits, as nearly all ids of this kind are, and {shown} is "
            f"text; write the ids in one form in the source, alike in all tables"
        )
    none = f"{must} is not; leave it empty where it is missing or not known, and write digits alone otherwise"
    return _cause_of_any_number(must, text) or none


def _cause_of_any_number(must: str, text: str) -> str | None:
    """Why a text that means a number does not read as one; None where it means none."""
    if text.lower() in ("true", "false"):
        return f"{must} is a flag; write 1 and 0 if these are meant"
    if re.fullmatch(r"[+-]?\d{1,3}([ '\u2019\u00a0\u202f]\d{3})+(\.\d+)?", text):
        return f"{must} has marks between thousands; write it without, as in {re.sub(r'[^0-9.+-]', '', text)}"
    if re.fullmatch(r"\(\d+(\.\d+)?\)", text):
        return f"{must} is how accounts write a negative one; write -{text[1:-1]}"
    digits = unicodedata.normalize("NFKC", text.translate(_OTHER_MINUS))
    if digits != text and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", digits):
        return f"{must} is written with other signs than 0 to 9 and -; write {digits}"
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?-", text):
        return f"{must} has its minus behind; write -{text[:-1]}"
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+", text):
        return f"{must} is too large; leave it empty where it is not known"
    if not text.startswith("#") and (alone := _number_within(text)):
        return f"{must} is more than one; write the number alone, as in {alone}"
    return None


def _number_within(text: str) -> str | None:
    """The number of a text that has a unit or a currency beside it. A mark that may be a minus is none of them.

    >>> [_number_within(text) for text in ("$5", "7.5 %", "about 3 kg", "12 of 20", "soon", "5-")]
    ['5', '7.5', '3', None, None, None]
    """
    found = re.fullmatch(rf"[^\d{_MINUS}+]*([+-]?[0-9]+(?:\.[0-9]+)?)[^\d{_MINUS}]*", text)
    return found[1] if found else None


def cause_of_time(column: str, text: str, format: str | None = None) -> str:
    """Why a text is not a time, and what to write instead.

    >>> cause_of_time("paid", "2024-01-31", "%d/%m/%Y")
    "paid must be a time in its format '%d/%m/%Y', and '2024-01-31' is none; write it as 31/01/2024"
    """
    shown = repr(text[:40])
    if format is not None and (format in SINCE_1970 or format == EXCEL) and _unit_since_1970(text) is None:
        return f"{column} must be a number, as its format {format} says, and {shown} is none; write all times so"
    if format is not None and format not in SINCE_1970 and format != EXCEL:
        example = datetime(2024, 1, 31, 10, tzinfo=UTC).strftime(format)
        return f"{column} must be a time in its format {format!r}, and {shown} is none; write it as {example}"
    if re.fullmatch(r"[0-9]{8}(\.0+)?", text) and (found := formats_that_read([text[:8]])):
        return (
            f"{column} must be a time, and {shown} looks like a day; state format: {found[0]!r} for the column in the "
            f"problem file, or write 2024-01-31 10:00:00"
        )
    if unit := _unit_since_1970(text):
        return (
            f"{column} must be a time, and {shown} looks like {unit} since 1970; state format: {_FORMATS[unit]} for "
            f"the column in the problem file, or write 2024-01-31 10:00:00 (UTC)"
        )
    if re.fullmatch(r"\d{5}(\.\d+)?", text) and may_be_of_excel([float(text)]):
        return (
            f"{column} must be a time, and {shown} looks like a day as spreadsheets count them; state format: excel "
            f"for the column in the problem file, or write 2024-01-31 10:00:00"
        )
    return f"{column} must be a time, and {shown} is none; write it as 2024-01-31 10:00:00, in UTC or with its offset"


def _unit_since_1970(text: str) -> str | None:
    if not re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", text):
        return None
    format = format_since_1970([float(text)])
    return next((unit for unit, each in _FORMATS.items() if each == format), None)
