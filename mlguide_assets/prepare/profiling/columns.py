"""What is in a column: how many values, which, and what kind they are of.

A kind is guessed from some values and then held against all of them, so that what is said of all rows is true.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import ibis

from mlguide_assets.define.internal_names import INTERNAL_NAMES
from mlguide_assets.define.schema import DECIMAL_COMMA, ColumnKind
from mlguide_assets.define.values import as_flag
from mlguide_assets.prepare.profiling.kinds import Guess, guess_kind, shortened
from mlguide_assets.prepare.profiling.listing import ListedTable
from mlguide_assets.prepare.sources.names import plain
from mlguide_assets.prepare.sources.spellings import MORE_NULL_WORDS, number_reader, read_texts
from mlguide_assets.prepare.sources.times import read_times

EXAMPLES = 400
EXACT_BELOW = 300_000
"""Values are counted exactly in tables of up to so many rows."""
AT_A_TIME = 20
"""Columns whose values are counted together."""
MOST_WRONG = 0.01
"""A column of times may hold so many values that are none."""
FEW = 50
"""A column with at most so many values has them listed."""


@dataclass(frozen=True)
class Outcome:
    """A value of a column in all its spellings, the most frequent first, and the rows that have one of them."""

    spellings: tuple[str, ...]
    rows: int

    @property
    def name(self) -> str:
        return self.spellings[0]

    @property
    def declared(self) -> str | list[str]:
        """As a problem file writes it."""
        return list(self.spellings) if len(self.spellings) > 1 else self.name


@dataclass(frozen=True)
class ColumnProfile:
    """What is known of a column.

    Attributes:
        name: as the source has it.
        filled: rows with a value.
        distinct: how many values there are; exact up to `FEW`, else within some per cent.
        values: up to `FEW` of them as text, the most frequent first, with the rows that have each.
        whole: whether numbers have no fraction.
        lowest, highest: of numbers and times.
    """

    name: str
    rows: int
    filled: int
    distinct: int
    kind: ColumnKind
    format: str | None = None
    remark: str = ""
    doubt: str = ""
    usable: bool = True
    zoned: bool = False
    whole: bool = False
    wrong: int = 0
    values: tuple[tuple[str, int], ...] = ()
    lowest: Any = None
    highest: Any = None
    typical_length: int = 0

    @property
    def is_time(self) -> bool:
        return self.usable and self.kind == "time"

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Its values, the most frequent first: `Yes` and `yes` are one, and so are the flags that mean the same.

        Where one alone would remain, their case matters.
        """
        by_meaning: dict[str | bool | None, list[tuple[str, int]]] = {}
        for value, rows in self.values:
            by_meaning.setdefault(as_flag(value) if self.kind == "flag" else value.lower(), []).append((value, rows))
        spelled = by_meaning.values() if len(by_meaning) > 1 else [[each] for each in self.values]
        found = (Outcome(tuple(value for value, _ in each), sum(rows for _, rows in each)) for each in spelled)
        return tuple(sorted(found, key=lambda outcome: -outcome.rows))

    @property
    def two_values(self) -> tuple[Outcome, Outcome] | None:
        """The rarer and the more frequent one, where a column has two."""
        return (self.outcomes[1], self.outcomes[0]) if len(self.outcomes) == 2 else None


@dataclass(frozen=True)
class TableProfile:
    """A table with what is known of its columns.

    Attributes:
        unique: the columns each of which is unique.
        twins: columns that would be called in the file as another one is, and that one: they are not looked at.
    """

    table: ListedTable
    columns: dict[str, ColumnProfile]
    unique: tuple[str, ...] = ()
    twins: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def times(self) -> list[ColumnProfile]:
        return [column for column in self.columns.values() if column.is_time]


def profile_table(table: ListedTable, connection: Any) -> TableProfile:
    """Look at every column of a table."""
    counts = _counts(table, connection)
    rows = connection.table(table.view)
    # What the file needs no other name for comes first.
    named: dict[str, str] = {}
    for name in sorted(table.types, key=lambda name: file_name(name) != name):
        named.setdefault(file_name(name), name)
    twins = [(name, named[file_name(name)]) for name in table.types if named[file_name(name)] != name]
    own = [name for name in table.types if named[file_name(name)] == name]
    columns = {name: _profile(rows, name, table, connection, *counts[name]) for name in own}
    columns |= {each.name: each for each in _with_bounds(rows, [*columns.values()])}
    return TableProfile(table, columns, tuple(_unique(table, columns, connection)), tuple(twins))


def file_name(name: str) -> str:
    """A name of the source as a name in the file: letters, digits and underscores, and none that computing needs.

    >>> file_name("delivered at"), file_name("TX_AMOUNT"), file_name("_value")
    ('delivered_at', 'TX_AMOUNT', 'value')
    """
    if name.isidentifier() and name.lower() not in INTERNAL_NAMES:
        return name
    return plain(name) or "column"


def time_of(rows: ibis.Table, column: ColumnProfile) -> ibis.Value:
    """A column of times as they will be read."""
    return read_times(rows[column.name], column.format)


def ids_of(rows: ibis.Table, column: str) -> ibis.Column:
    """A column of ids as text: 7 is the one that another table writes as 7.0 or 7,0, as whole numbers are read."""
    text = read_texts(rows[column])
    if not rows[column].type().is_string():
        return text
    return ibis.ifelse(text.re_search(r"^\d+,0{1,2}$"), text.re_replace(r",0+$", ""), text)


def seconds(time: ibis.Value) -> ibis.Value:
    """A time as seconds since 1970, with their fraction, where Ibis expects a whole number of DuckDB."""
    return time.epoch_seconds().cast("float64")


def outcome_of(rows: ibis.Table, column: ColumnProfile) -> ibis.Value:
    """The name of the outcome that a row has."""
    names = {spelling: outcome.name for outcome in column.outcomes for spelling in outcome.spellings[1:]}
    text = rows[column.name].cast("string")
    return text.substitute(names) if names else text


def number_of(rows: ibis.Table, column: ColumnProfile) -> ibis.Column:
    """A column of numbers as they will be read."""
    return number_reader(column.format == DECIMAL_COMMA)(rows[column.name])


def identifier(name: str) -> str:
    """The name of a column or table in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _counts(table: ListedTable, connection: Any) -> dict[str, tuple[int, int]]:
    """Per column: rows with a value, and how many values there are, about or exactly."""
    distinct = "count(DISTINCT {})" if table.rows <= EXACT_BELOW else "approx_count_distinct({})"
    filled = {name: f"count({identifier(name)})" for name in table.types}
    values = {
        name: distinct.format(identifier(name)) if _is_simple(type_) else "0" for name, type_ in table.types.items()
    }
    counts, found = (_asked(expressions, table, connection) for expressions in (filled, values))
    return {name: (counts[name], found[name]) for name in table.types}


def _asked(expressions: Mapping[str, str], table: ListedTable, connection: Any) -> dict[str, int]:
    """A number of each column, asked of some at a time: the values of all columns at once may not fit into memory."""
    found: dict[str, int] = {}
    names = list(expressions)
    for first in range(0, len(names), AT_A_TIME):
        some = names[first : first + AT_A_TIME]
        asked = ", ".join(expressions[name] for name in some)
        row = connection.con.execute(f"SELECT {asked} FROM {table.view}").fetchone()
        found |= dict(zip(some, row, strict=True))
    return found


def _profile(
    rows: ibis.Table, name: str, table: ListedTable, connection: Any, filled: int, distinct: int
) -> ColumnProfile:
    values: tuple[tuple[str, int], ...] = ()
    if filled and 0 < distinct <= FEW * 1.2:
        values = _values(table, name, connection)
        distinct = len(values)
    examples = _examples(table, name, connection, filled) if distinct else []
    guess = _confirmed(rows, name, guess_kind(name, table.types[name], examples, distinct, filled))
    length = sum(map(len, examples)) // max(len(examples), 1)
    return ColumnProfile(
        name, table.rows, filled, distinct, guess.kind, guess.format, guess.remark, guess.doubt, guess.usable,
        guess.zoned, guess.whole, guess.wrong, values if distinct <= FEW else (), typical_length=length,
    )  # fmt: skip


def _is_simple(type_: Any) -> bool:
    return not (type_.is_nested() or type_.is_binary())


def _values(table: ListedTable, name: str, connection: Any) -> tuple[tuple[str, int], ...]:
    found = connection.con.execute(
        f"SELECT {identifier(name)}::VARCHAR AS value, count(*) AS number FROM {table.view} "
        f"WHERE {identifier(name)} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {2 * FEW}"
    )
    return tuple(found.fetchall())


def _examples(table: ListedTable, name: str, connection: Any, filled: int) -> list[str]:
    """Different values as text, from all over the table, the same each time."""
    step = max(table.rows // (10 * EXAMPLES), 1)
    # DuckDB's own `rowid` is that of a column where the table has one of this name.
    numbered = f"SELECT {identifier(name)}::VARCHAR AS value, row_number() OVER () - 1 AS place FROM {table.view}"
    found = connection.con.execute(
        f"SELECT DISTINCT value FROM ({numbered}) WHERE value IS NOT NULL "
        f"AND (place % {step} = 0 OR {filled} < {10 * EXAMPLES}) ORDER BY hash(value) LIMIT {EXAMPLES}"
    )
    return [value for (value,) in found.fetchall()]


def _confirmed(rows: ibis.Table, name: str, guess: Guess) -> Guess:
    """The guess, if nearly all values read as it says; else that they are text."""
    if not guess.usable or not guess.confirm:
        return guess
    candidates = [guess, *guess.otherwise]
    checked = [each.but(wrong=_wrong(rows, name, each)) for each in candidates]
    right = [each for each in checked if not each.wrong]
    if right:
        return right[0].but(doubt="" if len(right) == 1 else right[0].doubt)
    best = min(checked, key=lambda each: each.wrong)
    if best.kind == "time" and best.wrong <= MOST_WRONG * int(rows[name].count().execute()):
        return best.but(doubt="")
    texts = _wrong_texts(rows[name], best).as_table()
    wrong = texts.filter(texts.wrong.notnull()).order_by("wrong").limit(1).to_pyarrow().to_pylist()
    example = f", such as {shortened(wrong[0]['wrong'])!r}" if guess.fallback and wrong else ""
    return Guess("text", remark=(guess.fallback or "text") + example, usable=False)


def _wrong(rows: ibis.Table, name: str, guess: Guess) -> int:
    """How many values do not read as the guess says."""
    return int(rows.aggregate(wrong=_wrong_texts(rows[name], guess).count()).to_pyarrow()["wrong"][0].as_py() or 0)


def _wrong_texts(column: ibis.Column, guess: Guess) -> ibis.Column:
    """The values that do not read as the guess says, as text; null for all others."""
    text = column if column.type().is_string() else column.cast("string")
    is_wrong = text.notnull() & ~text.isin(MORE_NULL_WORDS) & _value(column, guess.kind, guess.format).isnull()
    return ibis.ifelse(is_wrong, text, ibis.null("string")).name("wrong")


def _with_bounds(rows: ibis.Table, columns: list[ColumnProfile]) -> Iterator[ColumnProfile]:
    """The columns of numbers and times, with the lowest and the highest value: of some at a time, in one pass."""
    ranged = [each for each in columns if each.filled and each.usable and each.kind in ("time", "number", "integer")]
    for first in range(0, len(ranged), AT_A_TIME):
        some = ranged[first : first + AT_A_TIME]
        values = [_value(rows[each.name], each.kind, each.format) for each in some]
        ends = [
            end.name(f"{name} {place}")
            for place, value in enumerate(values)
            for name, end in (("lowest", value.min()), ("highest", value.max()))
        ]
        found = rows.aggregate(ends).to_pyarrow().to_pylist()[0]
        for place, column in enumerate(some):
            yield replace(column, lowest=found[f"lowest {place}"], highest=found[f"highest {place}"])


def _value(column: ibis.Column, kind: ColumnKind, format: str | None) -> ibis.Column:
    """A time or a number, as it is read."""
    if kind == "time":
        return read_times(column, format)
    return number_reader(format == DECIMAL_COMMA)(column)


def _unique(table: ListedTable, columns: Mapping[str, ColumnProfile], connection: Any) -> list[str]:
    """The columns each of which has a value of its own in every row, exactly."""
    likely = [
        column.name
        for column in columns.values()
        if column.filled == table.rows
        and column.distinct >= 0.7 * table.rows
        and column.kind not in ("time", "flag")
        and not table.types[column.name].is_floating()
    ]
    if not likely or table.rows <= EXACT_BELOW:
        return [name for name in likely if columns[name].distinct == table.rows]
    found = _asked({name: f"count(DISTINCT {identifier(name)})" for name in likely}, table, connection)
    return [name for name in likely if found[name] == table.rows]


def as_of(value: Any) -> str:
    """A time as a comment shows it."""
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)
