"""What a drafted problem file says of a table: lines, each with the evidence for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from mlguide_assets.prepare.profiling.columns import ColumnProfile, TableProfile, as_of, file_name
from mlguide_assets.prepare.profiling.nouns import names_outcome, word_set, words

MOST_EMPTY = 0.95
"""A column that is emptier says too little."""
FEWEST_NAMED, NAMED = 10, 0.99
"""With at least this many rows and this share of different values, a category names its rows, and no run learns from it
(`MAX_NAMED_SHARE` in `train/leakage/suite.py`)."""
FEWEST_NUMBERED = 100
"""Of fewer rows, whole numbers may all differ by chance."""


@dataclass(frozen=True)
class Line:
    """A key of the file with its value.

    Attributes:
        comment: the evidence; `?` at its beginning marks a guess that is to be checked.
        active: False for a suggestion, which is written as a comment.
    """

    key: str
    value: Any
    comment: str = ""
    active: bool = True


@dataclass(frozen=True)
class DraftTable:
    """A table of the drafted file.

    Attributes:
        name: its key in the file.
        noun: of what its rows are, as the file calls it.
        lines: all but the columns.
        columns: those that are read.
        left_out: columns that are not read, and why.
    """

    name: str
    profile: TableProfile
    shape: Literal["entity", "event"]
    noun: str
    lines: tuple[Line, ...]
    columns: tuple[Line, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    of: dict[str, str] = field(default_factory=dict)
    at: ColumnProfile | None = None
    contracts: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return self.profile.table.rows

    @property
    def read(self) -> list[ColumnProfile]:
        """The columns from which something is learned, as the source has them: others are no outcomes either."""
        listed = {line.key for line in self.columns if kind_of(line) != "id"}
        return [column for column in self.profile.columns.values() if file_name(column.name) in listed]


def columns_of(
    profile: TableProfile, used: dict[str, str], ids: dict[str, str]
) -> tuple[list[Line], list[tuple[str, str]]]:
    """The lines of the columns of a table, and what is left out.

    Args:
        used: columns that the file must list, and why.
        ids: columns that hold ids without being of an entity, and the remark on them.
    """
    lines, left_out = [], []
    for column in profile.columns.values():
        remark = ids.get(column.name) or used.get(column.name) or column.remark
        if column.name in ids or (column.kind == "id" and column.name not in used):
            left_out.append((column.name, remark or "an id"))
        elif not column.usable and column.name not in used:
            left_out.append((column.name, column.remark))
        elif _says_too_little(column) and column.name not in used:
            left_out.append((column.name, f"empty in {share_of(column.rows - column.filled, column.rows)} of the rows"))
        elif column.name not in used and _numbers_rows(profile, column):
            left_out.append((column.name, "a number of its own in every row"))
        elif column.name not in used and _names_rows(column):
            left_out.append((column.name, "a value of its own in nearly every row"))
        elif column.name not in used or needs_line(column):
            lines.append(Line(file_name(column.name), _value(column, used), _comment(column, remark)))
    left_out += [(name, f"{path} has no such column") for name, path in profile.table.lacking.items()]
    left_out += [(name, f"its name here would be that of {other}: rename one of them") for name, other in profile.twins]
    return lines, left_out


def _says_too_little(column: ColumnProfile) -> bool:
    """Whether a column is nearly always empty, unless it is called as outcomes are: few payments are ever disputed."""
    return column.filled < (1 - MOST_EMPTY) * column.rows and not names_outcome(column.name)


def _numbers_rows(profile: TableProfile, column: ColumnProfile) -> bool:
    """Whether a model would learn the rows of a table by heart from whole numbers, each of which occurs once."""
    return column.whole and column.name in profile.unique and column.rows >= FEWEST_NUMBERED


def _names_rows(column: ColumnProfile) -> bool:
    """Whether a model would learn the rows by heart from a category that groups none; the leakage alarm stops it."""
    return column.kind == "category" and column.filled >= FEWEST_NAMED and column.distinct > NAMED * column.filled


def needs_line(column: ColumnProfile) -> bool:
    """Whether a column that is named elsewhere must be listed, since the name alone does not say it all."""
    return file_name(column.name) != column.name or (column.is_time and bool(column.format))


def _value(column: ColumnProfile, used: dict[str, str]) -> Any:
    kind = "time" if column.is_time else "id" if column.name in used else column.kind
    more = {"name": column.name} if file_name(column.name) != column.name else {}
    # An id is read as it is written, also where its values would read as numbers in a format.
    more |= {"format": column.format} if column.format and kind != "id" else {}
    return {"kind": kind, **more} if more else kind


def kind_of(line: Line) -> str:
    """The kind in the line of a column, which stands alone or with the name there and the format."""
    return str(line.value["kind"] if isinstance(line.value, dict) else line.value)


def _comment(column: ColumnProfile, remark: str) -> str:
    parts = [part for part in (_content(column), remark) if part]
    if column.filled < column.rows:
        parts.append(f"empty in {share_of(column.rows - column.filled, column.rows)} of the rows")
    if column.wrong:
        parts.append(f"{column.wrong:,} values do not read as {column.kind}")
    doubt = f"? {column.doubt}; " if column.doubt else ""
    return doubt + "; ".join(parts)


def _content(column: ColumnProfile) -> str:
    if column.kind == "time":
        return f"{as_of(column.lowest)} to {as_of(column.highest)}"
    if column.kind == "number" and column.lowest is not None:
        return f"{_number(column.lowest)} to {_number(column.highest)}"
    if column.kind in ("category", "flag") and column.values:
        shown = [_short(value) for value, _ in column.values[:5]]
        return ", ".join(shown) + (f" and {column.distinct - 5:,} more" if column.distinct > 5 else "")
    return f"{column.distinct:,} values" if column.kind == "category" else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.6g}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 24 else flat[:21] + "..."


def share_of(part: int, whole: int) -> str:
    """A share in per cent, never 0 or 100 unless it is.

    >>> share_of(1, 100_000), share_of(1, 3)
    ('less than 0.1 %', '33 %')
    """
    share = 100 * part / whole
    if part and share < 0.1:
        return "less than 0.1 %"
    if part < whole and share > 99.9:
        return "more than 99.9 %"
    return f"{share:.1f} %" if share < 1 or (share > 99 and part < whole) else f"{share:.0f} %"


_UNCHANGING = word_set("dob birth birthday birthdate born gender sex nationality ethnicity brand manufacturer")


def looks_unchanging(names: Iterable[str]) -> list[str]:
    """Columns that, by their names, hold for ever."""
    return [name for name in names if _UNCHANGING & set(words(name))]
