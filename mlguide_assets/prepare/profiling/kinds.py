"""The kind of a column, guessed from its type, its name and some of its values."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mlguide_assets.define.dates import EXCEL, format_since_1970, formats_that_read, may_be_of_excel
from mlguide_assets.define.schema import DECIMAL_COMMA, ColumnKind
from mlguide_assets.define.values import FLAGS
from mlguide_assets.prepare.profiling.nouns import is_id_name, names_outcome, noun_of_id, word_set, words
from mlguide_assets.prepare.sources.spellings import MORE_NULL_WORDS

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+")
_LEADING_ZERO = re.compile(r"0\d+")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}([. '\u2019\u00a0\u202f]\d{3})+|\d+)(,\d+)?")
_WHOLE_WITH_COMMA = re.compile(r"\d+(,0{1,2})?")
_THOUSANDS_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})*")
_SIGN = "[%‰€$£¥₹]|EUR|USD|GBP|CHF"
_SIGNED = re.compile(
    rf"\(?[+-]?\s*({_SIGN})?\s*(\d{{1,3}}([., '\u2019\u00a0\u202f]\d{{3}})+|\d+)([.,]\d+)?\s*({_SIGN})?\s*-?\)?"
)
_PERIOD = re.compile(r"(19|20)\d\d[-/ ]?([MQW]\d{1,2}|(?<=[-/ ])\d\d)|[A-Z][a-z]{2,8}[- ](19|20)\d\d")
_YEAR_FIRST = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ].*)?")
_OFFSET = re.compile(r"\d{4}.*:\d\d(\.\d*)?\s*(Z|UTC|utc|[+-]\d\d(:?\d\d)?)")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_NESTED = re.compile(r"\{.*\}|\[.*\]", re.DOTALL)
_IDENTIFIER = re.compile(r"(?=[\w-]*\d)[A-Za-z]{0,8}[_-]?[0-9A-Fa-f][\w-]{2,}")
_CODED = word_set("code type status class level zip postal plz postcode category")
_TIMED = word_set("at time timestamp ts date datetime dt epoch when on")
_DATED = word_set("date dates datetime datum fecha data дата")
MOST_WORDS = 4
FEWEST_IDS = 20
"""Of things whose name no column says: fewer values that come again and again are a category."""
MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class Guess:
    """A kind with what speaks for it.

    Attributes:
        doubt: what else it may be, for `# ?`.
        confirm: whether all values must be read to be sure.
        otherwise: what to try where they do not read so.
        fallback: what to say of the text that remains.
        usable: whether a problem file can use the column.
        zoned: whether times carry their zone.
        whole: whether numbers have no fraction.
        wrong: values that do not read as the kind.
    """

    kind: ColumnKind
    format: str | None = None
    remark: str = ""
    doubt: str = ""
    confirm: bool = False
    otherwise: tuple["Guess", ...] = ()
    fallback: str = ""
    usable: bool = True
    zoned: bool = False
    whole: bool = False
    wrong: int = 0

    def but(self, **changes: Any) -> "Guess":
        return replace(self, **changes)


def guess_kind(name: str, type_: Any, examples: list[str], distinct: int, filled: int) -> Guess:
    """The kind of a column.

    Args:
        type_: Ibis' type of it.
        examples: some of its values as text, each once.
        distinct, filled: how many values there are, in how many rows.
    """
    if not filled:
        return Guess("text", remark="empty in every row", usable=False)
    if type_.is_nested() or type_.is_binary() or type_.is_json():
        return Guess("text", remark=f"holds {str(type_).split('<')[0]} values, which are not read", usable=False)
    guess = _of_type(name, type_, examples, distinct, filled)
    if distinct <= 1 and guess.kind != "time" and guess.usable:
        return Guess("category", remark=f"no value but {shortened(examples[0])!r}" if examples else "", usable=False)
    return guess


def _of_type(name: str, type_: Any, examples: list[str], distinct: int, filled: int) -> Guess:
    if type_.is_boolean():
        return Guess("flag")
    if type_.is_timestamp() or type_.is_date():
        return Guess("time", zoned=getattr(type_, "timezone", None) is not None)
    if type_.is_uuid():
        return Guess("id")
    if type_.is_numeric():
        return _of_numbers(name, type_, examples, distinct, filled)
    if type_.is_string():
        return _of_texts(name, examples, distinct, filled)
    return Guess("text", remark=f"of type {type_}, which is not read", usable=False)


def _of_numbers(name: str, type_: Any, examples: list[str], distinct: int, filled: int) -> Guess:
    if (found := _as_excel(name, examples)) is not None:
        return found
    if (found := _as_dates(examples) or _as_epoch(name, examples)) is not None:
        return found
    if not type_.is_integer():
        return _of_two_numbers(name, examples, distinct) or Guess("number")
    return _of_whole_numbers(name, examples, distinct, filled)


def _of_whole_numbers(name: str, examples: list[str], distinct: int, filled: int) -> Guess:
    if names_ids(name, distinct, filled):
        return Guess("id")
    if (found := _of_two_numbers(name, examples, distinct)) is not None:
        return found
    if distinct <= MOST_CATEGORIES and _CODED & set(words(name)):
        return Guess("category", doubt="or number")
    return Guess("number", whole=True)


def _of_two_numbers(name: str, examples: list[str], distinct: int) -> Guess | None:
    """Two whole numbers that are no amounts: 0 and 1, or the -1 and 1, or 1 and 2, that stand for two outcomes.

    In a column with gaps pandas has numbers with a fraction.
    """
    whole = set(map(_without_fraction, examples))
    if distinct != 2 or len(whole) != 2:
        return None
    if whole == {"0", "1"}:
        return Guess("flag")
    return Guess("category") if names_outcome(name) and all(map(_WHOLE.fullmatch, whole)) else None


def _are_flags(examples: list[str], distinct: int) -> bool:
    """Whether these are all values, and one true and one false, or both in the same spellings: `y`, `1`, `n`, `0`.

    Of `t`, `f` and `n`, the third is no flag.
    """
    lower = {text.lower() for text in examples}
    true, false = ({place for place, word in enumerate(spelled) if word in lower} for spelled in FLAGS.values())
    every = len(examples) == distinct and lower <= {*FLAGS[True], *FLAGS[False]}
    return every and bool(true and false) and (distinct == 2 or true == false)


def _of_texts(name: str, examples: list[str], distinct: int, filled: int) -> Guess:
    given = [text for text in examples if text not in MORE_NULL_WORDS] or examples
    if _are_flags(given, distinct):
        return Guess("flag")
    if all(_NUMBER.fullmatch(text) for text in given):
        return _of_digits(name, given, distinct, filled)
    if all(_YEAR_FIRST.fullmatch(text) for text in given):
        zoned = any(_OFFSET.fullmatch(text) for text in given)
        return Guess("time", confirm=True, zoned=zoned, fallback="text that looks like times but does not read as such")
    if (found := _in_a_format(given)) is not None:
        return found
    if all(_UUID.fullmatch(text) for text in given):
        return Guess("id")
    if all(_NESTED.fullmatch(text) for text in given):
        return Guess("text", remark="JSON or lists, which are not read", usable=False)
    if all(_TIME_OF_DAY.fullmatch(text) for text in given):
        return Guess("text", remark="times of day, which are not read", usable=False)
    if any("," in text for text in given) and all(_DECIMAL_COMMA.fullmatch(text) for text in given):
        return _of_commas(name, given, distinct, filled)
    return _of_words(name, given, distinct, filled)


def _of_commas(name: str, given: list[str], distinct: int, filled: int) -> Guess:
    """Numbers as in `1.234,56`; where each could as well be one with commas between thousands, none is guessed.

    Ids with an empty one among them are numbers with a fraction to pandas, which writes 12346 as 12346,0.
    """
    if names_ids(name, distinct, filled) and all(_WHOLE_WITH_COMMA.fullmatch(text) for text in given):
        return Guess("id")
    if all(_THOUSANDS_COMMA.fullmatch(text) for text in given):
        first = shortened(next(text for text in given if "," in text))
        return Guess("text", remark=f"{first!r} may be a fraction or thousands: format: {DECIMAL_COMMA}?", usable=False)
    return Guess("number", format=DECIMAL_COMMA, confirm=True, fallback="mostly numbers with a decimal comma")


def _of_digits(name: str, given: list[str], distinct: int, filled: int) -> Guess:
    if (found := _as_excel(name, given) or _as_dates(given)) is not None:
        return found
    if names_ids(name, distinct, filled):
        return Guess("id")
    if any(_LEADING_ZERO.fullmatch(text) for text in given):
        return Guess("category", remark="digits with leading zeros") if distinct <= MOST_CATEGORIES else Guess("id")
    if (found := _as_epoch(name, given)) is not None:
        return found
    whole = all(_WHOLE.fullmatch(text) for text in given)
    guess = _of_whole_numbers(name, given, distinct, filled) if whole else Guess("number")
    return guess.but(confirm=guess.kind == "number", fallback="mostly numbers, but not all")


def _of_words(name: str, given: list[str], distinct: int, filled: int) -> Guess:
    if names_ids(name, distinct, filled):
        return Guess("id")
    if all(_PERIOD.fullmatch(text) for text in given):
        return Guess("text", remark=f"{shortened(given[0])!r} is no day", usable=False)
    if distinct > FEWEST_IDS and (remark := _why_no_numbers(given)):
        return Guess("text", remark=remark, usable=False)
    longest = sum(len(text.split()) for text in given) / len(given)
    if distinct > MOST_CATEGORIES // 20 and all(_IDENTIFIER.fullmatch(text) for text in given):
        return Guess("id", remark="values look like ids")
    few = distinct <= 20 or (distinct <= MOST_CATEGORIES and distinct <= 0.5 * filled)
    if few and longest <= MOST_WORDS:
        return Guess("category")
    return Guess("text", remark="free text" if longest > MOST_WORDS else "text", usable=False)


def _why_no_numbers(given: list[str]) -> str:
    """Why texts that are meant as numbers do not read as such; '' where they are not meant so.

    Codes, such as those of diagnoses, are also mostly numbers, but more than one of them has letters.
    """
    odd = [text for text in given if not _NUMBER.fullmatch(text)]
    if len(odd) == 1 and len(given) > 1:
        return f"numbers, and {shortened(odd[0])!r}: leave that empty"
    if all(_SIGNED.fullmatch(text) for text in given):
        return f"numbers, but {shortened(odd[0])!r} is more than digits and a point: write the number alone"
    return ""


def names_ids(name: str, distinct: int, filled: int) -> bool:
    """Whether a column holds ids, by its name and by how many there are. A year is no thing with an id.

    >>> names_ids("store_id", 3, 1000), names_ids("key", 3, 1000), names_ids("key", 400, 1000)
    (True, False, True)
    >>> names_ids("yearID", 30, 1000)
    False
    """
    if not is_id_name(name) or noun_of_id(name) == "year":
        return False
    return bool(noun_of_id(name)) or distinct >= FEWEST_IDS or distinct > 0.5 * filled


def _in_a_format(given: list[str]) -> Guess | None:
    """Dates and times that are written in another way than ISO 8601, year first."""
    if not all(any(char.isdigit() for char in text) and len(text) <= 40 for text in given):
        return None
    fitting = formats_that_read(given)
    if not fitting:
        return None
    guesses = [Guess("time", format=format, confirm=True, fallback="text, mostly dates") for format in fitting]
    first, others = guesses[0], guesses[1:]
    if others:
        first = first.but(doubt=f"or {fitting[1]!r}: {shortened(given[0])!r} reads either way, and so do all values")
    return first.but(otherwise=tuple(others), zoned="%z" in fitting[0])


def _as_dates(examples: list[str]) -> Guess | None:
    """Whole numbers of eight digits each of which is a day, such as 20241231."""
    whole = list(map(_without_fraction, examples))
    if len(whole) < 5 or not all(re.fullmatch(r"(19|20)\d{6}", text) for text in whole):
        return None
    try:
        for text in whole:
            datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return None
    return Guess("time", format="%Y%m%d", confirm=True, fallback="whole numbers, mostly days")


def _as_epoch(name: str, examples: list[str]) -> Guess | None:
    """Whole numbers that count from 1970, in a column that is called as times are."""
    whole = list(map(_without_fraction, examples))
    if not _TIMED & set(words(name)) or not all(re.fullmatch(r"\d{1,19}", text) for text in whole):
        return None
    if format := format_since_1970(map(int, whole)):
        return Guess("time", format=format, confirm=True, zoned=True, fallback="mostly counts from 1970")
    return None


def _as_excel(name: str, examples: list[str]) -> Guess | None:
    """Numbers that count days as spreadsheets do, in a column that is called as dates are."""
    if not _DATED & set(words(name)) or not all(_NUMBER.fullmatch(text) for text in examples):
        return None
    if may_be_of_excel(map(float, examples)):
        return Guess("time", format=EXCEL, confirm=True, remark="as spreadsheets count days")
    return None


def _without_fraction(text: str) -> str:
    """A whole number as it was before pandas read it: in a column with gaps, its numbers have a fraction."""
    return re.sub(r"\.0+$", "", text)


def shortened(text: str) -> str:
    """A text for a comment: one line, and not long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 40 else flat[:37] + "..."
