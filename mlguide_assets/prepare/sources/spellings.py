"""How values may be written: one table of spellings per type, the same for CSV, Parquet and databases.

A reader takes a source's column, whatever its type, `without_null_words`, and gives ours, with null for what does
not read as such.
Times are read in `times.py`. What a reader refuses is explained in `prepare/contracts/unreadable_values.py`.
"""

from collections.abc import Callable, Sequence

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.prediction import ColumnLabel, Limit
from mlguide_assets.define.values import FLAGS, SPACES, TITLED_FLAGS, WHOLE_WITH_FRACTION

NULL_WORDS = ("", "NULL", "Null", "null", "(null)", "<null>", r"\N", "NaN", "nan", "NAN", "-nan", "<NA>", "NaT", "None",
              "#N/A", "N/A", "n/a")  # fmt: skip
"""How dumps, pandas and spreadsheets write that there is no value. `NA` is none of them in a text: it is Namibia."""
MORE_NULL_WORDS = ("NA", "na", "none", "nil", "-", "--")
"""These mean it where a number or a time is expected."""

_WHOLE = r"^[+-]?\d{1,19}(\.0*|,0+)?$"
_GROUPED = r"^[+-]?[1-9]\d{0,2}[.,]000$"
"""1.000 is one, or a thousand where a point groups digits; so is 1,000."""
_THOUSANDS = ". '\u2019\u00a0\u202f"
_MOSTLY = 0.95
EXACT, EXACT_SINGLE = 2**53, 2**24
"""Above these, floating-point numbers of 64 or 32 bits no longer represent every whole number."""


def without_null_words(column: ibis.Column, *, in_text: bool) -> ibis.Column:
    """A column with null where the source writes that there is no value, and texts `without_spaces_around`."""
    if column.type().is_floating():
        return ibis.ifelse(column.isnan(), ibis.null(column.type()), column)
    if not column.type().is_string():
        return column
    text = without_spaces_around(column)
    words = NULL_WORDS if in_text else (*NULL_WORDS, *MORE_NULL_WORDS)
    return ibis.ifelse(is_among(text, words), ibis.null("string"), text)


def without_spaces_around(text: ibis.Column) -> ibis.Column:
    """As `define.values.without_spaces` has it, by a pattern: DuckDB's trim of so many marks takes twice as long."""
    mark = f"[{SPACES}]"
    return ibis.ifelse(text.re_search(f"^{mark}|{mark}$"), text.re_replace(f"^{mark}+|{mark}+$", ""), text)


def is_among(text: ibis.Column, words: Sequence[str]) -> ibis.Column:
    """Whether a text is one of some words; null where there is none.

    By a list, since DuckDB joins all columns to a table for each `IN` of more than a few words: the memory for a table
    of many columns then grows with the square of their number.
    """
    return ibis.ifelse(text.notnull(), ibis.literal(list(words), "array<string>").contains(text), ibis.null("boolean"))


def read_numbers(column: ibis.Column) -> ibis.Column:
    """Whole numbers of 64 bits. Nothing is rounded, and no digits are guessed."""
    given = column.type()
    nothing = ibis.null("int64")
    if given.is_string():
        number = column.try_cast("int64")
        whole = column.re_search(_WHOLE) & ~column.re_search(_GROUPED)
        # As a database writes it, which is nearly always and takes no pattern.
        return ibis.cases(
            (number.cast("string") == column, number),
            (whole, column.re_replace(r"[.,]0*$", "").try_cast("int64")),
            else_=nothing,
        )
    if given.is_floating():
        # Cast and compared, since DuckDB's floor of NaN, of an infinity or of 1e300 ends the query.
        whole = column.try_cast("int64")
        exact = (whole.cast("float64") == column) & (column.abs() <= (EXACT if given == dt.float64 else EXACT_SINGLE))
        return ibis.ifelse(exact, whole, nothing)
    if given.is_decimal():
        return ibis.ifelse(column % 1 == 0, column.try_cast("int64"), nothing)
    return column.try_cast("int64") if given.is_integer() else nothing


def read_fractions(column: ibis.Column) -> ibis.Column:
    """Numbers with or without a fraction, as 64-bit floating point. Digits are not guessed: `1,5` does not read."""
    given = column.type()
    if not (given.is_string() or given.is_numeric()):
        return ibis.null("float64")
    number = cast_numbers(column)
    return ibis.ifelse(number.isinf() | number.isnan(), ibis.null("float64"), number)


def cast_numbers(column: ibis.Column) -> ibis.Column:
    """As 64-bit floating point; null for text that is no number. Infinities and NaN stay."""
    number = column.try_cast("float64")
    if not column.type().is_string():
        return number
    # DuckDB takes the underscore of 1_000 for one between digits, as in a program.
    return ibis.ifelse(column.contains("_"), ibis.null("float64"), number)


def read_decimal_comma(column: ibis.Column) -> ibis.Column:
    """Numbers as in `1.234,56`: a comma before the fraction, and a point, a space or an apostrophe between thousands.

    A column of numbers, as Parquet has it, is read as it is.
    """
    if not column.type().is_string():
        return read_fractions(column)
    column = column.strip()
    digits = column.re_replace(f"[{_THOUSANDS}]", "").replace(",", ".")
    grouped = column.re_search(rf"^[+-]?(\d{{1,3}}([{_THOUSANDS}]\d{{3}})+|\d+)(,\d+)?$")
    return ibis.ifelse(grouped, digits.try_cast("float64"), ibis.null("float64"))


def number_reader(decimal_comma: bool) -> Callable[[ibis.Column], ibis.Column]:
    """How the numbers of a file are read, which says of none of its columns how they are written."""
    return read_decimal_comma if decimal_comma else cast_numbers


def read_flags(column: ibis.Column) -> ibis.Column:
    """Truth values, in any of the spellings of `FLAGS`."""
    if column.type().is_boolean():
        return column
    lower = read_texts(column).lower()
    return ibis.cases(*((is_among(lower, words), truth) for truth, words in FLAGS.items()), else_=ibis.null("boolean"))


def are_whole_numbers(column: ibis.Column) -> bool:
    """Whether the ids of a column are whole numbers, but for a few that are mistakes; `007` is text."""
    given = column.type()
    if given.is_integer() and given != dt.uint64:
        return True
    # Hashes of 64 bits without a sign are too large for half of them, and are texts, as they are from CSV.
    if not (given.is_integer() or given.is_string() or given.is_floating() or given.is_decimal()):
        return False
    zeros = column.re_search(r"^[+-]?0\d") if given.is_string() else ibis.literal(False)
    whole = read_numbers(column).notnull() & ~zeros
    counted = column.as_table().aggregate(given=column.count(), whole=whole.sum()).to_pyarrow().to_pylist()[0]
    return int(counted["whole"] or 0) >= _MOSTLY * int(counted["given"])


def to_text(column: ibis.Column) -> ibis.Column:
    """A column of any type as text. A number that is whole is written without a fraction; texts stay as they are."""
    text = column.cast("string")
    if column.type().is_floating() or column.type().is_decimal():
        return ibis.coalesce(read_numbers(column).cast("string"), text)
    return text


def read_texts(column: ibis.Column) -> ibis.Column:
    """Categories, in the spelling of `canonical_text`: a value has one text, whatever the type of its column."""
    text = to_text(column)
    if not column.type().is_string():
        return text
    # The pattern is tried on texts that end in a zero, since few do.
    return ibis.cases(
        (is_among(text, TITLED_FLAGS), text.lower()),
        (text.endswith("0") & text.re_search(WHOLE_WITH_FRACTION), text.re_replace(r"\.0+$", "")),
        else_=text,
    )


def read_labels(column: ibis.Column, label: ColumnLabel) -> ibis.Column:
    """A label as the problem file writes it, from any spelling that means the same.

    That is another value of its list, another case, and where both outcomes are flags, any flag: `true`, `1` and `Y`
    are "yes". What means neither stays as it is, for the contract to refuse.
    """
    text = read_texts(column)
    positive, negative = label_spellings(label)
    lower = text.lower()
    return ibis.cases(
        (is_among(text, label.positives), label.positive),
        (is_among(text, label.negatives), label.negative),
        (is_among(lower, positive), label.positive),
        (is_among(lower, negative), label.negative),
        else_=text,
    )


def read_outcomes(column: ibis.Column, numbers: ibis.Column, limit: Limit) -> ibis.Column:
    """The names of outcomes that a limit of numbers separates. What is not a number stays, for the contract to refuse.

    Args:
        column: as the source has it.
        numbers: the same, read as numbers; null where it is none.
    """
    positive, negative = limit.in_words
    reached = numbers <= limit.at_most if limit.at_least is None else numbers >= limit.at_least
    return ibis.cases((reached, positive), (~reached, negative), else_=read_texts(column))


def label_spellings(label: ColumnLabel) -> tuple[list[str], list[str]]:
    """What else, in lower case, means the positive and the negative outcome of a label."""
    positive, negative = ({text.lower() for text in texts} for texts in (label.positives, label.negatives))
    if positive & negative:
        # They differ in case alone, so case matters.
        return [], []
    for truth, words in FLAGS.items():
        others = FLAGS[not truth]
        if positive.intersection(words) and negative.intersection(others):
            return sorted(positive | set(words) - negative), sorted(negative | set(others) - positive)
    return sorted(positive), sorted(negative)
