"""Judging the sends by partition: only those whose rows, users or emails have changed since they were last judged.

What the rules found in the others is kept with the table, so that results and quarantined rows are always those of
all rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal

import ibis

from mlguide_assets.define.contracts import NotAfter, Rule, Unique
from mlguide_assets.define.tables import TableName
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.contracts import (
    RuleResult,
    Tally,
    accepted_rows,
    mark,
    results_of,
    rows_set_aside,
    rules_of,
    tallies,
)
from mlguide_assets.prepare.digests import DayOfSends, days_of_sends, digest
from mlguide_assets.prepare.engine import read_parquet_below
from mlguide_assets.prepare.lake import Partitions, Query, Snapshot
from mlguide_assets.prepare.partitions import Calendar
from mlguide_assets.prepare.rebuilding import Plan, bucketed, fingerprint, partition_of, per_partition, plan

SENDS: Literal["user_emails"] = "user_emails"


@dataclass(frozen=True)
class SendsNotes:
    """What `user_emails` remembers of its last writing, for the next one and for what is computed from it.

    Args:
        open_from: see `Calendar`.
        landed: per partition rows and digest of the source, which add up.
        tallies: per partition what the rules found.
        references: digests of the users and emails that the sends were judged by.
    """

    open_from: str
    landed: Mapping[str, tuple[int, int]]
    tallies: Mapping[str, Mapping[str, Any]]
    references: Mapping[str, str]


@dataclass(frozen=True)
class JudgedSends:
    """The outcome for the sends, as partitions of `user_emails` and of `quarantined_rows`."""

    results: tuple[RuleResult, ...]
    accepted: Partitions
    quarantined: Partitions


def judge_sends(
    sends: ibis.Table,
    accepted: Mapping[TableName, ibis.Table],
    rules: tuple[Rule, ...],
    connection: Any,
    *,
    label_window: timedelta,
    scratch: Path,
    before: Snapshot | None,
    set_aside_before: Snapshot | None,
    now: datetime,
) -> JudgedSends:
    """Judge what has changed, as `contracts.judge` would judge all.

    Args:
        sends: conformed rows of the source.
        accepted: the profiles and emails that they may refer to.
        scratch: a folder for the marked rows; it must outlive the result.
        before: `user_emails` as it is in the lake, if it is.
        set_aside_before: `quarantined_rows` as they are.
        now: when the sends were read, UTC.
    """
    own = rules_of(SENDS, rules)
    days = days_of_sends(sends, accepted["user_profiles"], accepted["email_content"])
    calendar = Calendar.of(_newest(days, own, now), label_window)
    landed = _landed(days, calendar)
    known: Mapping[str, Any] = before.notes.get("tallies", {}) if before else {}
    chosen = _plan(landed, own, known, before, set_aside_before)

    stale = _of_partitions(sends, calendar, chosen, days)
    anew = _judge_stale(stale, chosen.stale, own, accepted, connection, scratch, now)
    found = {**{key: Tally(**known[key]) for key in chosen.kept}, **anew.tallies}
    notes = SendsNotes(
        open_from=calendar.open_from.isoformat(),
        landed=landed,
        tallies={key: asdict(tally) for key, tally in sorted(found.items())},
        references={table: digest(rows) for table, rows in accepted.items()},
    )
    set_aside = set_aside_before.partitions if set_aside_before else {}
    return JudgedSends(
        results=tuple(results_of(SENDS, own, found.values())),
        accepted=Partitions(anew.accepted, chosen.inputs, kept=chosen.kept, notes=asdict(notes)),
        quarantined=Partitions(
            anew.quarantined,
            chosen.inputs,
            kept={key: set_aside[key] for key in chosen.kept if _sets_aside(found[key], own)},
        ),
    )


def _newest(days: list[DayOfSends], rules: list[Rule], now: datetime) -> date:
    """The day that the data have reached, of those that no rule forbids."""
    slack = min((rule.slack for rule in rules if isinstance(rule, NotAfter)), default=timedelta.max)
    latest = now.date() + slack if slack < date.max - now.date() else date.max
    return last_day({each.day: each.rows for each in days if each.day and each.day <= latest}) or date.min


def _landed(days: list[DayOfSends], calendar: Calendar) -> dict[str, tuple[int, int]]:
    landed: dict[str, tuple[int, int]] = {}
    for each in days:
        rows, total = landed.get(calendar.key(each.day), (0, 0))
        landed[calendar.key(each.day)] = (rows + each.rows, total + each.digest)
    return dict(sorted(landed.items()))


def _plan(
    landed: Mapping[str, tuple[int, int]],
    rules: list[Rule],
    known: Mapping[str, Any],
    before: Snapshot | None,
    set_aside_before: Snapshot | None,
) -> Plan:
    asked = [rule.model_dump(mode="json") for rule in rules]
    # Doubles of what is not bound to a time may be in any partition, and then all depend on all.
    local = all("delivered_at" in rule.columns for rule in rules if isinstance(rule, Unique))
    all_rows = None if local else list(landed.items())
    inputs = {key: fingerprint(SENDS, asked, what, all_rows) for key, what in landed.items()}
    set_aside = set_aside_before.partitions if set_aside_before else {}
    # The two tables are written one after the other, and a run may be killed in between.
    torn = [
        key
        for key in inputs
        if key not in known
        # What was in the future may no longer be.
        or any(known[key]["violations"].get(rule.fact) for rule in rules if isinstance(rule, NotAfter))
        or (_sets_aside(Tally(**known[key]), rules) and (key not in set_aside or set_aside[key].inputs != inputs[key]))
    ]
    return plan(inputs, before, never_keep=torn)


def _sets_aside(tally: Tally, rules: list[Rule]) -> bool:
    return any(tally.violations.get(rule.fact) for rule in rules if rule.action == "quarantine")


def _of_partitions(sends: ibis.Table, calendar: Calendar, chosen: Plan, days: list[DayOfSends]) -> ibis.Table:
    """The rows of the partitions that are made anew, with the column `partition`."""
    stale = [each.day for each in days if calendar.key(each.day) in chosen.inputs.keys() - chosen.kept.keys()]
    first = min((day for day in stale if day is not None), default=date.max)
    # By time first, which costs a tenth of naming the partition of every row.
    if chosen.kept and first > date.min:
        sends = sends.filter(sends.delivered_at.isnull() | (sends.delivered_at >= datetime.combine(first, time())))
    sends = sends.mutate(partition=calendar.keys(sends.delivered_at))
    return sends.filter(sends.partition.isin(chosen.stale)) if chosen.kept else sends


@dataclass(frozen=True)
class _Anew:
    tallies: Mapping[str, Tally]
    accepted: Mapping[str, Query]
    quarantined: Mapping[str, Query]


def _judge_stale(
    sends: ibis.Table,
    keys: list[str],
    rules: list[Rule],
    accepted: Mapping[TableName, ibis.Table],
    connection: Any,
    scratch: Path,
    now: datetime,
) -> _Anew:
    if not keys:
        return _Anew({}, {}, {})
    places = bucketed(connection, mark(sends, rules, accepted, now=now), keys, scratch / SENDS)
    marked = read_parquet_below(connection, scratch / SENDS, "*/*.parquet")
    marked = marked.mutate(partition=partition_of(marked.filename)).drop("filename")
    found = tallies(marked, SENDS, rules)
    columns = {"marked": marked.drop("partition").schema()}

    def queries(of: Callable[[ibis.Table, TableName, list[Rule]], ibis.Table], keys: list[str]) -> dict[str, Query]:
        where = {key: {"marked": places[key]} for key in keys}
        return per_partition(connection, lambda marked: of(marked, SENDS, rules), columns, where)

    aside = [key for key in keys if _sets_aside(found[key], rules)]
    return _Anew(found, queries(accepted_rows, keys), queries(rows_set_aside, aside))
