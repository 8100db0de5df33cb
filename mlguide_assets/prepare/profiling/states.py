"""Columns of several values one of which is an outcome, such as the status of an order or the name of a diagnosis."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mlguide_assets.prepare.profiling.candidates import FEWEST, Candidate, lasting, outcome_evidence
from mlguide_assets.prepare.profiling.columns import ColumnProfile, file_name
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.nouns import names_outcome, word_set, words
from mlguide_assets.prepare.profiling.outcome_windows import window_of
from mlguide_assets.prepare.profiling.roles import Source

MOST_STATES = 12
"""A column with more values says what a thing is like, not what became of it."""
STATES = word_set("status result effect severity disposition resolution verdict decision reaction")
"""What columns are called whose values say what became of something."""


@dataclass(frozen=True)
class State:
    """A value of a column that may be an outcome.

    Attributes:
        rows: which have it.
        likeness: how much the value and the name of its column are like an outcome; 0 where nothing is.
        window, why: after so long it is final, and what speaks for that.
    """

    column: ColumnProfile
    value: str
    rows: int
    likeness: int
    window: str
    why: str


def states(source: Source, table: DraftTable) -> Iterator[State]:
    """One value per column of several: the most frequent that is called as outcomes are, else the second of all.

    What only the oldest rows have, or the newest, as those of orders that are still open, is none.
    """
    for column in table.read:
        few = 2 < column.distinct <= MOST_STATES and column.kind == "category"
        rarer = [(value, rows) for value, rows in column.values[1:] if rows >= FEWEST]
        if not few or not rarer or column.name in table.of.values():
            continue
        window, why = window_of(source, table, column)
        among = lasting(source, table, column.name, None, window)
        rarer = [(value, rows) for value, rows in rarer if value in among]
        if not rarer:
            continue
        outcomes = [each for each in rarer if names_outcome(each[0])]
        named = names_outcome(column.name) or bool(STATES & set(words(column.name)))
        # What a test found comes before any property with two values, and after whether somebody comes again.
        likeness = 48 + 7 * bool(outcomes) if named else 15 * bool(outcomes)
        yield State(column, *(outcomes or rarer)[0], likeness, window, why)


def state_candidates(source: Source, table: DraftTable) -> Iterator[Candidate]:
    """That one value is the outcome, and all others are not.

    What is not like an outcome comes after everything else: better a draft to correct than none.
    """
    for state in states(source, table):
        column, value, window, why = state.column, state.value, state.window, state.why
        others = [other for other, _ in column.values if other != value]
        label = {"column": file_name(column.name), "positive": value, "negative": others, "window": window}
        evidence = outcome_evidence(column, repr(value), state.rows)
        final = why.removeprefix("? ").capitalize()
        doubt = f"? which values are the outcome, and which are not; those that are not final: empty. {final}"
        score = state.likeness + math.log10(table.rows) if state.likeness else 0
        yield Candidate({"each": table.noun, "label": label}, evidence, score, table.name, column.name, doubt)
