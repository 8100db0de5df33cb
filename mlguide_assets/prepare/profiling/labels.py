"""What could be predicted: a column of an event with a few values, a number of it that becomes large or small, or
which events an entity has in its future."""

import math
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import ibis

from mlguide_assets.define.values import as_flag
from mlguide_assets.english import counted
from mlguide_assets.prepare.profiling.candidates import (
    FEWEST,
    Candidate,
    instants,
    lasting,
    outcome_evidence,
    says_of_the_day,
    span_of,
)
from mlguide_assets.prepare.profiling.columns import ColumnProfile, Outcome, as_of, file_name, number_of, outcome_of
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.futures import FEWEST_DAYS, column_of, days_of, followed, futures
from mlguide_assets.prepare.profiling.limits import limits, other_limits
from mlguide_assets.prepare.profiling.nouns import is_person, is_plain_id, names_label, names_outcome, words
from mlguide_assets.prepare.profiling.outcome_windows import window_of
from mlguide_assets.prepare.profiling.roles import Source
from mlguide_assets.prepare.profiling.states import MOST_STATES, STATES, says_which, state_candidates

MOST_VALUES = 100
"""Of a column with more, no value says by itself what became of a row."""
RARELY = 0.02
"""Where a column is filled, an outcome that is so much rarer than elsewhere does not occur, but for mistakes."""
MOST_OTHERS = 6
"""The most numbers to offer as labels where nothing else can be predicted and no name is that of an outcome."""


def label_candidates(source: Source, tables: list[DraftTable]) -> list[Candidate]:
    """All that could be predicted, the best first."""
    events = [table for table in tables if table.shape == "event" and not _at_once(source, table)]
    found = [
        candidate
        for table in events
        for candidate in (
            *_columns(source, table),
            *state_candidates(source, table),
            *limits(source, table),
            *futures(source, table, tables),
        )
    ]
    likely = [each for each in found if each.score > 0]
    if not likely:
        others = (candidate for table in events for candidate in other_limits(source, table))
        likely = [*found, *islice(others, MOST_OTHERS)]
    return sorted(likely, key=lambda each: -each.score)


def _columns(source: Source, table: DraftTable) -> Iterator[Candidate]:
    for column in table.read:
        pair = column.two_values
        if pair is None or column.kind not in ("flag", "category") or column.name in table.of.values():
            continue
        if pair[0].rows < FEWEST:
            continue
        positive, negative = _as_outcome(*pair)
        label = {
            "column": file_name(column.name),
            "positive": positive.declared,
            "negative": negative.declared,
        }
        window, why = window_of(source, table, column)
        of = outcome_of(instants(source, table), column)
        if positive.name not in lasting(source, table, column.name, of, window):
            continue
        if says_of_the_day(source, table, column):
            continue
        if not as_flag(positive.name) and not names_outcome(positive.name):
            why = f"? {positive.name} rather than {negative.name}, as it is rarer; {why.removeprefix('? ')}"
        evidence = outcome_evidence(column, repr(positive.name), positive.rows)
        score = _likeness(column, table) + (5 if column.filled < column.rows else 0)
        predict = {"each": table.noun, "label": {**label, "window": window}}
        yield Candidate(predict, evidence, score + math.log10(table.rows), table.name, column.name, why)


def _likeness(column: ColumnProfile, table: DraftTable) -> int:
    """How much a column of two values is like an outcome."""
    if says_which(column, table):
        return 30
    if names_outcome(column.name):
        return 110 if names_label(column.name) else 100
    if {*STATES, "event"} & set(words(column.name)):
        return 70
    # What was damaged had something happen to it; what is fragile was so before.
    happened = words(column.name)[-1:] and words(column.name)[-1].endswith("ed")
    return (45 if column.kind == "flag" else 30) + (10 if happened else 0)


def _as_outcome(rarer: Outcome, other: Outcome) -> tuple[Outcome, Outcome]:
    """The value that is the outcome: the true one of a flag, else the rarer one."""
    if as_flag(other.name) is True and as_flag(rarer.name) is False:
        return other, rarer
    return rarer, other


def label_leaks(source: Source, table: DraftTable, best: Candidate) -> set[str]:
    """Columns of an event that say what its label says: they are known when that is, and give it away."""
    rows = source.rows(table.profile.name)
    known = rows.filter(rows[best.column].notnull()).mutate(label=lambda t: best.is_positive(t, table))
    total, positives = known.count().execute(), int(known.label.sum().execute() or 0)
    rarest = min(positives, total - positives)
    found = set()
    for column in table.profile.columns.values():
        if column.name == best.column or column.kind in ("time", "id"):
            continue
        if column.filled < column.rows and _is_filled_by_outcome(known, column, positives / total):
            found.add(column.name)
        if column.distinct <= 1 or (column.distinct > MOST_VALUES and column.kind not in ("number", "integer")):
            continue
        # Of many numbers, whether it is zero may say it, as the tip of who tipped and of who did not.
        value = known[column.name] if column.distinct <= MOST_VALUES else number_of(known, column) == 0
        by_value = known.group_by(value=value, label=known.label).aggregate(rows=known.count())
        best_guess = by_value.group_by("value").aggregate(right=by_value.rows.max())
        if total - int(best_guess.right.sum().execute()) <= 0.02 * rarest:
            found.add(column.name)
    return found


def _is_filled_by_outcome(known: ibis.Table, column: ColumnProfile, rate: float) -> bool:
    """Whether a column is filled where an outcome is, and hardly elsewhere, as the days until a patient came again."""
    filled = known.filter(known[column.name].notnull())
    counts = filled.aggregate(rows=filled.count(), positives=filled.label.sum()).to_pyarrow().to_pylist()[0]
    rows, positives = counts["rows"], int(counts["positives"] or 0)
    return any(
        rows * share >= FEWEST and with_it <= RARELY * rows * share
        for with_it, share in ((positives, rate), (rows - positives, 1 - rate))
    )


def why_none(source: Source, tables: list[DraftTable]) -> str:
    """Per event, why none of its columns is an outcome and why nobody's future is one."""
    events = [table for table in tables if table.shape == "event"]
    return "; ".join(f"{each.name}: {_why_not(source, each, tables)}" for each in events)


def _why_not(source: Source, table: DraftTable, tables: list[DraftTable]) -> str:
    if day := _at_once(source, table):
        return f"all its rows are of {as_of(day)}, and a model is tested on later ones"
    return f"{_no_column(table)}, and {_no_future(source, table, tables)}"


def _at_once(source: Source, table: DraftTable) -> datetime | None:
    """The time of all rows, such as that of a snapshot: of one time, nothing can be tested on what came later."""
    first, last = span_of(source, table)
    return first if first == last else None


def _nobody(table: DraftTable, nouns: list[str]) -> str:
    """Why none of the ids of an event, which no table lists, is of anybody that has a future."""
    plain = [table.of[noun] for noun in nouns if is_plain_id(table.of[noun])]
    told = [noun for noun in nouns if table.of[noun] not in plain]
    unlisted = [f"no table lists the {' or '.join(told)} ids"] if told else []
    unsaid = [f"{name} does not say whose ids it holds: rename it, such as to customer_id" for name in plain]
    return ", and ".join((*unlisted, *unsaid))


def _no_column(table: DraftTable) -> str:
    columns = [column for column in table.profile.columns.values() if column.values and not column.is_time]
    always = [f"{each.name} has no value but {each.values[0][0]!r}" for each in columns if each.distinct == 1]
    seldom = [
        f"{each.name} is {rarer.name!r} in {rarer.rows} of {counted(each.filled, 'row')}"
        f"{', nearly all of them old, or new' if rarer.rows >= FEWEST else ''}"
        for each in columns
        if each.two_values
        for rarer in each.two_values[:1]
    ]
    return " and ".join((*seldom[:2], *always[:2])) or f"no column has 2 to {MOST_STATES} values"


def _no_future(source: Source, table: DraftTable, tables: list[DraftTable]) -> str:
    days = days_of(source, table)
    if days is None:
        return "all its times lie in the future"
    if days < FEWEST_DAYS:
        return f"it goes on for {counted(days, 'day')}, not for {FEWEST_DAYS}"
    declared = {each.noun for each in tables if each.shape == "entity"}
    alone = [noun for noun in table.of if noun not in declared and not is_person(noun)]
    if alone and not followed(table, tables):
        again = [noun for noun in alone if column_of(table, noun) not in table.profile.unique]
        return _nobody(table, again) if again else "no column holds ids that come again"
    return "hardly any id comes again"
