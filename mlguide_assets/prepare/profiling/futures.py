"""What could be predicted of an entity's future: that it will have no event, or one that is an outcome."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis

from mlguide_assets.english import counted, with_article
from mlguide_assets.prepare.profiling.candidates import Candidate, first_and_last, instants, span_of
from mlguide_assets.prepare.profiling.columns import file_name, ids_of
from mlguide_assets.prepare.profiling.drafting import DraftTable, share_of
from mlguide_assets.prepare.profiling.nouns import is_person, names_outcome
from mlguide_assets.prepare.profiling.roles import Source
from mlguide_assets.prepare.profiling.states import State, states
from mlguide_assets.prepare.profiling.tables import FEWEST_UNITS

_SPANS = (30, 90, 7, 365)
FEWEST_DAYS = 14
_SILENT, _STRUCK = (0.02, 0.7), (0.005, 0.7)
"""The shares without an event, and with one that is an outcome, between which it is worth predicting."""


@dataclass(frozen=True)
class Share:
    """Of the entities that were active before a cut-off, those with an event in so many days after it."""

    days: int
    struck: int
    active: int

    @property
    def silent(self) -> int:
        return self.active - self.struck


def futures(source: Source, table: DraftTable, tables: list[DraftTable]) -> Iterator[Candidate]:
    """Per entity of an event: that it will have none, or where the event is an outcome, such as a failure, one.

    Who is asked about was active before: had an event of the same kind, or where that is an outcome, of another kind.
    """
    if (days_of(source, table) or 0) < FEWEST_DAYS:
        return
    for noun in followed(table, tables):
        yield from _some_value(source, noun, table, tables)
        asked = _busiest(noun, table, tables) if names_outcome(table.noun) else table
        shares, last, span = _shares(source, noun, table, asked)
        if not shares or last is None:
            continue
        if asked is table:
            best, sensible = _best(shares, [share.silent for share in shares], _SILENT)
            yield from _other_codes(source, table, noun, best.days, is_person(noun))
            yield _no_event(table, noun, best, last, span, sensible=sensible)
        else:
            best, sensible = _best(shares, [share.struck for share in shares], _STRUCK)
            yield _some_event(table, noun, asked, best, last, span, sensible=sensible)


def days_of(source: Source, table: DraftTable) -> int | None:
    """How many days the past events of a table go on; None where all lie in the future."""
    first, last = span_of(source, table)
    return None if first is None or last is None else (last - first).days


def followed(table: DraftTable, tables: list[DraftTable]) -> list[str]:
    """The entities of an event that have several, or where it is an outcome, one: those with a table, and persons."""
    declared = {each.noun for each in tables if each.shape == "entity"}
    lender = str(next(line.value for line in table.lines if line.key == "at")).rpartition(".")[0]
    return [
        noun
        for noun in table.of
        if noun != lender
        and (noun in declared or is_person(noun))
        and (names_outcome(table.noun) or table.profile.columns[column_of(table, noun)].distinct <= 0.7 * table.rows)
    ]


def column_of(table: DraftTable, noun: str) -> str:
    """The column of an entity's ids, as the source calls it."""
    return next(name for name in table.profile.columns if file_name(name) == table.of[noun])


def _busiest(noun: str, table: DraftTable, tables: list[DraftTable]) -> DraftTable:
    """Of the other events of an entity, those of which there are most; the same where there are none."""
    others = [each for each in tables if each.shape == "event" and noun in each.of and not names_outcome(each.noun)]
    return max(others, key=lambda each: each.rows, default=table)


def _shares(
    source: Source, noun: str, table: DraftTable, asked: DraftTable, state: State | None = None
) -> tuple[list[Share], datetime | None, int]:
    """Shares as of the last days before the end of the data: of who is asked about, and of what strikes them.

    Args:
        state: which events strike; default: all of the table.
    """
    before, after = (
        rows.select("happened", entity=ids_of(rows, column_of(each, noun))).filter(lambda t: t.entity.notnull())
        for each, rows in ((each, instants(source, each)) for each in (asked, table))
    )
    if state is not None:
        rows = instants(source, table)
        struck = rows.filter(rows[state.column.name].cast("string").isin(state.value.spellings))
        after = struck.select("happened", entity=ids_of(struck, column_of(table, noun)))
    first, last = first_and_last(before)
    _, last_struck = first_and_last(after)
    if first is None or last is None or last_struck is None:
        return [], None, 0
    last = min(last, last_struck)
    span = (last - first).days
    found = [_share(before, after, last, days) for days in _SPANS if 4 * days <= span]
    return [share for share in found if share.active], last, span


def _share(before: ibis.Table, after: ibis.Table, last: datetime, days: int) -> Share:
    cut = last - timedelta(days=days)
    recent = before.filter((before.happened >= cut - timedelta(days=3 * days)) & (before.happened < cut))
    active, later = recent.select("entity").distinct(), after.filter(after.happened >= cut)
    counts = active.aggregate(active=active.count(), struck=active.entity.isin(later.entity).sum()).to_pyarrow()
    found = counts.to_pylist()[0]
    return Share(days, int(found["struck"] or 0), int(found["active"]))


def _best(shares: list[Share], numbers: list[int], bounds: tuple[float, float]) -> tuple[Share, bool]:
    """The first share that is neither too small nor too large; else the first, and False."""
    low, high = bounds
    fitting = [share for share, number in zip(shares, numbers, strict=True) if low <= number / share.active <= high]
    return (fitting or shares)[0], bool(fitting)


def _some_value(source: Source, noun: str, table: DraftTable, tables: list[DraftTable]) -> Iterator[Candidate]:
    """Events one value of which is an outcome: whether a patient's next year has a heart failure among diagnoses."""
    for state in states(source, table):
        asked = _busiest(noun, table, tables)
        shares, last, span = _shares(source, noun, table, asked, state) if state.likeness else ([], None, 0)
        if last is None or not shares:
            continue
        best, sensible = _best(shares, [share.struck for share in shares], _STRUCK)
        if sensible:
            predict = _predict(noun, span, asked.noun, best.days, table.noun, at_least=1)
            predict["label"]["where"] = {file_name(state.column.name): state.value.declared}
            said = f"{with_article(table.noun)} with {state.column.name} = {state.value.name}"
            evidence = f"{said} {_so_it_was(best, best.struck, noun, last)}"
            yield Candidate(predict, evidence, state.likeness - 1 + math.log10(table.rows), table.name)


def _other_codes(source: Source, table: DraftTable, noun: str, days: int, about_person: bool) -> Iterator[Candidate]:
    """Events whose code is not the usual one: a race that was not finished, an order that was not completed."""
    for reference in source.of(table.profile.name):
        if source.roles[reference.target] != "code" or not about_person:
            continue
        codes = ids_of(source.rows(reference.table), reference.column).name("code").as_table()
        by_code = codes.group_by("code").aggregate(rows=codes.count()).order_by(ibis.desc("rows"), "code").limit(1)
        usual = by_code.to_pyarrow().to_pylist()[0]
        condition = {"where": {file_name(reference.column): {"not": usual["code"]}}}
        label = {"count": table.noun, "within": f"{days}d", "at_least": 1, **condition}
        where = {"count": table.noun, "within": f"{3 * days}d", "at_least": 1}
        evidence = (
            f"{reference.column} is {usual['code']!r} ({_meaning(source, reference.target, usual['code'])}) in "
            f"{usual['rows']:,} of {counted(table.rows, 'row')}: {with_article(table.noun)} that ended otherwise"
        )
        predict = {"each": noun, "every": "30d", "where": where, "label": label}
        yield Candidate(predict, evidence, 55 + math.log10(table.rows), table.name)


def _meaning(source: Source, table: str, code: str) -> str:
    """What a list of codes says of one."""
    rows, key = source.rows(table), str(source.key(table))
    found = rows.filter(ids_of(rows, key) == code).limit(1).to_pyarrow().to_pylist()
    return ", ".join(str(value) for name, value in found[0].items() if name != key) if found else "unknown"


def _no_event(table: DraftTable, noun: str, share: Share, last: datetime, span: int, *, sensible: bool) -> Candidate:
    predict = _predict(noun, span, table.noun, share.days, table.noun, at_most=0)
    evidence = f"no {table.noun} {_so_it_was(share, share.silent, noun, last)}"
    breadth = math.log10(table.rows) + len(table.of) + 0.2 * len(table.columns)
    # Of a handful at a time, what becomes of each event says more.
    few = 45 if share.active < FEWEST_UNITS else 0
    score = (60 if is_person(noun) else 35) + breadth - (0 if sensible else 100) - few
    return Candidate(predict, evidence, score, table.name)


def _some_event(
    table: DraftTable, noun: str, asked: DraftTable, share: Share, last: datetime, span: int, *, sensible: bool
) -> Candidate:
    predict = _predict(noun, span, asked.noun, share.days, table.noun, at_least=1)
    evidence = f"at least one {table.noun} {_so_it_was(share, share.struck, noun, last)}"
    score = (80 if is_person(noun) else 65) + math.log10(table.rows) - (0 if sensible else 100)
    return Candidate(predict, evidence, score, table.name)


def _predict(noun: str, span: int, asked: str, days: int, event: str, **bound: int) -> dict[str, Any]:
    return {
        "each": noun,
        "every": "7d" if span <= 1000 else "30d",
        "where": {"count": asked, "within": f"{3 * days}d", "at_least": 1},
        "label": {"count": event, "within": f"{days}d", **bound},
    }


def _so_it_was(share: Share, number: int, noun: str, last: datetime) -> str:
    at = last - timedelta(days=share.days)
    return (
        f"within {counted(share.days, 'day')}: so it was for {number:,} of {share.active:,} {noun} ids "
        f"({share_of(number, share.active)}) as of {at:%Y-%m-%d}"
    )
