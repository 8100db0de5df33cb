"""Kinds of values that problem files hold beside numbers and texts: flags, durations, schedules, time zones."""

import re
import string
import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
"""Names of problems, entities, events, experiments and arms."""

OWNER_PATTERN = r"^(team:[\w.-]+|[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"
"""What Dagster takes for the owner of an asset."""

FLAGS = {
    True: ("true", "t", "yes", "y", "on", "1", "1.0"),
    False: ("false", "f", "no", "n", "off", "0", "0.0"),
}
"""How a flag is written, in any case: in a source as in a problem file."""


def as_flag(text: str) -> bool | None:
    """What a text means as a flag; None where it is none.

    >>> [as_flag(text) for text in ("Yes", "0", "maybe")]
    [True, False, None]
    """
    return next((truth for truth, words in FLAGS.items() if text.lower() in words), None)


def as_instant(text: str) -> date | datetime | None:
    """What a text means as a time: a day, or an instant in UTC without a zone; None where it is none.

    >>> as_instant("2024-05-31"), as_instant("2024-05-31 08:00+02:00")
    (datetime.date(2024, 5, 31), datetime.datetime(2024, 5, 31, 6, 0))
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    except (ValueError, OverflowError):
        return None


WHOLE_WITH_FRACTION = r"^(-?(?:0|[1-9]\d*))\.0+$"
"""Digits of a whole number that a program or a database wrote with a fraction of zeros."""
TITLED_FLAGS = ("True", "False", "TRUE", "FALSE")
"""How pandas and spreadsheets write to a text what Parquet and databases have as a truth value."""


SPACES = string.whitespace + "".join(
    map(chr, (0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x200E, 0x200F, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060))
)
SPACES += "\u3000\ufeff"
"""What nobody sees around a text: spaces of any script, and marks of no width, of direction and of byte order."""


def without_spaces(text: str) -> str:
    """A text as it is read from a source: without the spaces around it (`spellings.without_spaces_around`)."""
    return text.strip(SPACES)


def canonical_text(text: str) -> str:
    """A category as it is read from any source (`spellings.read_texts`): without spaces around it, in one spelling.

    One value has one text, whatever the format of its file: pandas writes 7 of a column with gaps as `7.0`. Ids keep
    their spelling: 1 and 1.0 may be two sections, and the list of the forgotten holds hashes of them.

    >>> [canonical_text(text) for text in (" VIP", "7.0", "True", "1.50", "007")]
    ['VIP', '7', 'true', '1.50', '007']
    """
    text = without_spaces(text)
    return text.lower() if text in TITLED_FLAGS else re.sub(WHOLE_WITH_FRACTION, r"\1", text, flags=re.ASCII)


def _text(value: Any) -> str:
    """A value of YAML as a column of text has it: `true` and `1` are not the same."""
    if value is None:
        raise ValueError("this value is empty; write one, in quotes where it is a word of YAML, such as 'null'")
    return canonical_text(str(value))


def as_texts(value: Any) -> tuple[str, ...]:
    """One value of YAML, or a list of them, as texts."""
    return tuple(_text(each) for each in (value if isinstance(value, list | tuple) else [value]))


Texts = Annotated[tuple[str, ...], BeforeValidator(as_texts)]
"""Values of a column, each as its text."""
CanonicalText = Annotated[str, AfterValidator(canonical_text)]
"""A value of a column of texts. What YAML has as a number or a truth value is refused: a bare no may mean Norway."""


_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "w": "weeks"}


def _parse_duration(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*([wdhms])", value.strip())):
        try:
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError as error:
            raise ValueError("that is longer than time can be counted; write a shorter one") from error
    if isinstance(value, timedelta):
        return value
    raise ValueError("write a number and a unit (w, d, h, m or s), such as 7d, 36h or 2w")


def _format_duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Duration = Annotated[timedelta, BeforeValidator(_parse_duration), PlainSerializer(_format_duration)]
Share = Annotated[float, Field(gt=0, lt=1)]


def slug(value: str) -> str:
    """A value as part of a column name."""
    return re.sub(r"\W+", "_", value.lower()).strip("_")


def ascii_name(value: str) -> str:
    """A text as a name of letters from a to z, digits and underscores, as Dagster's names are.

    >>> ascii_name("Aufträge"), ascii_name("größe in cm"), ascii_name("цена")
    ('Auftrage', 'grosse_in_cm', 'u0446_u0435_u043d_u0430')
    """
    if re.fullmatch(r"\w+", value, re.ASCII):
        return value
    letters = unicodedata.normalize("NFKD", value.replace("ß", "ss"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    named = re.sub(r"[^\x00-\x7f]", lambda letter: f"_u{ord(letter[0]):04x}_", plain)
    return re.sub(r"[^A-Za-z0-9]+", "_", named).strip("_")


def asset_name(value: str) -> str:
    """The same with a letter first, as an asset's name begins.

    >>> asset_name("Aufträge"), asset_name("2019-Oct")
    ('Auftrage', 'table_2019_Oct')
    """
    plain = ascii_name(value)
    return plain if plain[:1].isalpha() else f"table_{plain}".rstrip("_")


_CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _parse_cron(value: object) -> object:
    fields = value.split() if isinstance(value, str) else []
    known = [_is_cron_field(field, *bounds) for field, bounds in zip(fields, _CRON_FIELDS, strict=False)]
    if len(fields) != len(_CRON_FIELDS) or not all(known):
        raise ValueError("write five fields (minute, hour, day, month, weekday), such as '0 3 * * *' for 3 every night")
    return " ".join(fields)


def _is_cron_field(field: str, least: int, most: int) -> bool:
    for part in field.split(","):
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None or match[3] == "0" or (match[3] and match[1] and not match[2]):
            return False
        bounds = [int(number) for number in (match[1], match[2]) if number]
        if bounds != sorted(bounds) or any(not least <= number <= most for number in bounds):
            return False
    return True


_OF_THE_MACHINE = re.compile(r"(?i)localtime|posixrules|factory|(posix|right)/.*")
"""Names that Python finds beside the IANA list, and the engines do not know, or read as of their own machine."""


def _parse_timezone(value: object) -> object:
    """A zone of the IANA list, as that spells it."""
    from zoneinfo import ZoneInfo, available_timezones

    given = str(value).strip()
    if not _OF_THE_MACHINE.fullmatch(given):
        try:
            return ZoneInfo(given).key
        except (ValueError, OSError, LookupError):
            if match := next((name for name in available_timezones() if name.lower() == given.lower()), None):
                return match
    raise ValueError("write a time zone of the IANA list, such as UTC or Europe/Berlin")


Cron = Annotated[str, BeforeValidator(_parse_cron)]
TimeZone = Annotated[str, BeforeValidator(_parse_timezone)]
