"""Columns of several values one of which is an outcome, such as the status of an order or the name of a diagnosis."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mlguide_assets.define.values import FLAGS
from mlguide_assets.prepare.profiling.candidates import (
    FEWEST,
    Candidate,
    instants,
    lasting,
    outcome_evidence,
    says_of_the_day,
)
from mlguide_assets.prepare.profiling.columns import ColumnProfile, Outcome, file_name, outcome_of
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.nouns import names_outcome, noun, word_set, words
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
        likeness: how much the value and the name of its column are like an outcome; 0 where nothing is.
        window, why: after so long it is final, and what speaks for that.
    """

    column: ColumnProfile
    value: Outcome
    likeness: int
    window: str
    why: str


def says_which(column: ColumnProfile, table: DraftTable) -> bool:
    """Whether a category of events that are outcomes themselves says only which: `failure` of a table of failures."""
    return column.kind == "category" and names_outcome(table.noun) and noun(words(column.name), "") == table.noun


def states(source: Source, table: DraftTable) -> Iterator[State]:
    """One value per column of several: the most frequent that is called as outcomes are, else the second of all.

    What only the oldest rows have, or the newest, as those of orders that are still open, is none.
    """
    for column in table.read:
        few = 2 < len(column.outcomes) <= MOST_STATES and column.kind == "category"
        rarer = [outcome for outcome in column.outcomes[1:] if outcome.rows >= FEWEST]
        if not few or not rarer or column.name in table.of.values():
            continue
        window, why = window_of(source, table, column)
        among = lasting(source, table, column.name, outcome_of(instants(source, table), column), window)
        rarer = [outcome for outcome in rarer if outcome.name in among]
        if not rarer or says_of_the_day(source, table, column):
            continue
        outcomes = [each for each in rarer if names_outcome(each.name)]
        named = names_outcome(column.name) or bool(STATES & set(words(column.name)))
        named = named and not says_which(column, table)
        # What a test found comes before any property with two values, and after whether somebody comes again.
        likeness = 48 + 7 * bool(outcomes) if named else 15 * bool(outcomes)
        yield State(column, (outcomes or rarer)[0], likeness, window, why)


def _none_of_it(column: ColumnProfile) -> Outcome | None:
    """The value that says that there was none of what the column is called: of `readmitted`, 'NO' beside '<30'."""
    values = [each for each in column.outcomes if each.name.lower() in (*FLAGS[False], "none", "never")]
    return values[0] if names_outcome(column.name) and len(values) == 1 else None


def _without(column: ColumnProfile, outcome: Outcome) -> list[str]:
    return [value for value, _ in column.values if value not in outcome.spellings]


def state_candidates(source: Source, table: DraftTable) -> Iterator[Candidate]:
    """That one value is the outcome, and all others are not.

    What is not like an outcome comes after everything else: better a draft to correct than none.
    """
    for state in states(source, table):
        column, window, why = state.column, state.window, state.why
        none = _none_of_it(column)
        one, rest = none or state.value, _without(column, none or state.value)
        positive, negative = (rest, one.declared) if none else (one.declared, rest)
        label = {"column": file_name(column.name), "positive": positive, "negative": negative, "window": window}
        rows = column.filled - none.rows if none else state.value.rows
        evidence = outcome_evidence(column, f"not {none.name!r}" if none else repr(state.value.name), rows)
        final = why.removeprefix("? ").capitalize()
        doubt = f"? which values are the outcome, and which are not; those that are not final: empty. {final}"
        likeness = 90 if none else state.likeness
        score = likeness + math.log10(table.rows) if likeness else 0
        yield Candidate({"each": table.noun, "label": label}, evidence, score, table.name, column.name, doubt)
