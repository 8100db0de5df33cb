"""Numbers of an event that could be predicted: whether one is large, as a delay may be, or small, as a rating.

Any other number could be predicted, too, and is offered where nothing else can be: better a draft to correct than none.
"""

import math
from collections.abc import Iterator

import ibis

from mlguide_assets.prepare.profiling.candidates import (
    FEWEST,
    Candidate,
    instants,
    lasting,
    outcome_evidence,
    says_of_the_day,
)
from mlguide_assets.prepare.profiling.columns import FEW, ColumnProfile, file_name, number_of
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.event_times import parts_of_dates
from mlguide_assets.prepare.profiling.nouns import names_outcome, word_set, words
from mlguide_assets.prepare.profiling.outcome_windows import window_of
from mlguide_assets.prepare.profiling.roles import Source

TAIL = 0.1
"""The share of the rows that a drafted limit asks for, at its end of the numbers."""
FEWEST_NUMBERS = 5
"""Of a number that is not called as outcomes are, so few values are kinds of something."""
MOST = 0.5
"""With more rows than this share, the outcome would be the usual one."""
_LARGE_IS_BAD = word_set("delay delays wait waiting duration loss losses damage claim claims refund downtime lateness")
_SMALL_IS_BAD = word_set("rating ratings score scores stars grade grades satisfaction nps")


def limits(source: Source, table: DraftTable) -> Iterator[Candidate]:
    """What could be predicted of the numbers of an event that are called as outcomes are, with a limit for each."""
    for column in _numbers(table):
        named = bool(_LARGE_IS_BAD & set(words(column.name))) or names_outcome(column.name)
        small = bool(_SMALL_IS_BAD & set(words(column.name)))
        if (named or small) and column.distinct > (2 if small else FEW):
            score = 20 + (5 if column.filled < column.rows else 0) + math.log10(table.rows)
            yield from _candidate(source, table, column, score, small=small)


def other_limits(source: Source, table: DraftTable) -> Iterator[Candidate]:
    """The same of any number."""
    of_dates = parts_of_dates(table.profile).values()
    for column in _numbers(table):
        if column.distinct > FEWEST_NUMBERS and column.name not in of_dates:
            yield from _candidate(source, table, column, 0, small=False)


def _numbers(table: DraftTable) -> list[ColumnProfile]:
    return [each for each in table.read if each.kind in ("number", "integer") and each.name not in table.of.values()]


def _candidate(
    source: Source, table: DraftTable, column: ColumnProfile, score: float, *, small: bool
) -> Iterator[Candidate]:
    """That a number is beyond a limit, unless too few rows are, or most."""
    limit, number = _limit(source.rows(table.profile.name), column, small=small)
    if not FEWEST <= number <= MOST * column.filled:
        return
    key, side = ("at_most", "at most") if small else ("at_least", "at least")
    window, why = window_of(source, table, column)
    values = number_of(instants(source, table), column)
    if not lasting(source, table, column.name, values <= limit if small else values >= limit, window):
        return
    if says_of_the_day(source, table, column):
        return
    label = {"column": file_name(column.name), "positive": {key: limit}, "window": window}
    evidence = outcome_evidence(column, f"{side} {limit:g}", number)
    doubt = f"? the limit from which on it costs you; {why.removeprefix('? ')}"
    yield Candidate({"each": table.noun, "label": label}, evidence, score, table.name, column.name, doubt)


def _limit(rows: ibis.Table, column: ColumnProfile, *, small: bool) -> tuple[float, int]:
    """A round number with about a tenth of the rows beyond it, or on it, and how many these are."""
    number = number_of(rows, column)
    at = rows.aggregate(at=number.quantile(TAIL if small else 1 - TAIL)).to_pyarrow()["at"][0].as_py()
    limit = float(f"{float(at or 0):.2g}")
    beyond = number <= limit if small else number >= limit
    return limit, int(rows.aggregate(rows=beyond.sum()).to_pyarrow()["rows"][0].as_py() or 0)
