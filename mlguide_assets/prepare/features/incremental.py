"""The table of features by partition: after a day has landed, only the partitions that follow from it are computed.

A row follows from what happened before it, so the fingerprint of a partition covers the rows of every table up to its
end, identified by sums of digests, and which of its outcomes have matured. It knows nothing of any one feature:
whatever is declared, a partition whose fingerprint is the one in the lake would be written again as it is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.decisions.rows import MATURED_AT
from mlguide_assets.prepare.features.building import (
    clock_of,
    deciding_days,
    decisions_of,
    features_of_all,
    features_of_some,
    tables_of,
)
from mlguide_assets.prepare.lake.data_files import Partitions, TableLike
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.prepare.partitions.calendar import KEY, UNDATED, Calendar, day_of
from mlguide_assets.prepare.partitions.rebuilding import current, fingerprint, plan

WHAT = "What features are made of"
_AFTER_ALL = "~"
"""Sorts behind every key of a partition that a text begins: `2025-03~` behind all days of that month."""


@contextmanager
def features_by_partition(lake: Lake, problem: Problem) -> Iterator[Partitions]:
    """The partitions of the table of features, as the tables are now; to be written before the context ends.

    Args:
        problem: resolved.
    """
    tables = tables_of(lake, problem)
    clock = clock_of(tables, problem)
    rows = decisions_of(tables, problem, clock=clock)
    calendar = Calendar.of(clock.date(), problem.final_after)
    spans = _spans(problem, tables, rows, calendar)
    chosen = plan(_inputs(lake, problem, spans, clock), current(lake, problem.features_table))
    with lake.scratch(WHAT) as scratch:
        with writing(WHAT, lake.root):
            features = _computed(
                lake, problem, tables, rows, calendar, clock, chosen.stale, chosen.inputs.keys(), scratch
            )
        yield Partitions(features, chosen.inputs, kept=chosen.kept)


@dataclass(frozen=True)
class _Span:
    """The decisions of a partition: when the last one is, and when the first and the last outcome are final."""

    last: datetime
    first_final: datetime
    last_final: datetime

    def united(self, other: "_Span") -> "_Span":
        """That of both."""
        return _Span(
            max(self.last, other.last),
            min(self.first_final, other.first_final),
            max(self.last_final, other.last_final),
        )


def _spans(
    problem: Problem, tables: Mapping[str, ibis.Table], rows: ibis.Table, calendar: Calendar
) -> dict[str, _Span]:
    """Of every partition that has decisions. By day: to name the partition of each row would take twice as long."""
    spans: dict[str, _Span] = {}
    for day, span in _days(problem, tables, rows):
        key = calendar.key(day)
        spans[key] = spans.get(key, span).united(span)
    return spans


def _days(problem: Problem, tables: Mapping[str, ibis.Table], rows: ibis.Table) -> Iterator[tuple[date, _Span]]:
    if isinstance(problem.predict, PredictEvent):
        # Every event is a decision, and the clock has counted them.
        after = problem.final_after
        for each in deciding_days(tables, problem):
            yield each.day, _Span(each.last, each.first + after, each.last + after)
        return
    time = problem.decision.time
    dated = rows.select(time, MATURED_AT, day=day_of(rows[time]))
    days = dated.group_by("day").aggregate(
        last=dated[time].max(), first_final=dated[MATURED_AT].min(), last_final=dated[MATURED_AT].max()
    )
    for row in days.to_pyarrow().to_pylist():
        yield row.pop("day"), _Span(**row)


def _inputs(lake: Lake, problem: Problem, spans: Mapping[str, _Span], clock: datetime) -> dict[str, str]:
    """What each partition follows from: declarations, all rows up to its end, and which of its outcomes are known."""
    declared = problem.model_dump(mode="json", include={"tables", "predict", "features", "contracts", "history_start"})
    now = {name: lake.snapshot(name) for name in problem.tables}
    ahead = timedelta() if isinstance(problem.predict, PredictEvent) else problem.final_after
    inputs: dict[str, str] = {}
    for key, span in spans.items():
        until = max(f"{key}{_AFTER_ALL}", f"{(span.last + ahead).date()}{_AFTER_ALL}")
        past = {name: _past(problem, name, snapshot, until) for name, snapshot in now.items()}
        inputs[key] = fingerprint(problem.features_table, declared, past, _known(span, clock), code_of=__name__)
    return inputs


def _past(problem: Problem, name: str, snapshot: Snapshot, until: str) -> Any:
    """Identifies the rows of a table up to a partition: rows and digest of events, which add up, so that months that
    become a year are the same past as before; else the content of the whole table.

    Events of a time of their own are digested with the rows of the entities that they name (`digests`), so that a new
    entity changes nothing before its first event.
    """
    landed = snapshot.notes.get("landed")
    if landed is None:
        covered_by_events = isinstance(problem.predict, PredictEvent) and _is_digested_with_events(problem, name)
        return None if covered_by_events else snapshot.content_hash
    before = [sums for key, sums in landed.items() if key <= until and key != UNDATED]
    return [sum(rows for rows, _ in before), sum(total for _, total in before)]


def _is_digested_with_events(problem: Problem, name: str) -> bool:
    """Whether every event that can look at an entity table has a time of its own."""
    table = problem.schema.entity_tables.get(name)
    if table is None:
        return False
    naming = [each for each in problem.schema.event_tables.values() if table.entity in each.of]
    return all(each.own_time for each in naming)


def _known(span: _Span, clock: datetime) -> str:
    """Which outcomes of a partition have matured: all, none, or as many as the data's clock says."""
    if span.last_final <= clock:
        return "all"
    return "none" if span.first_final > clock else clock.isoformat()


def _computed(
    lake: Lake,
    problem: Problem,
    tables: Mapping[str, ibis.Table],
    rows: ibis.Table,
    calendar: Calendar,
    clock: datetime,
    stale: list[str],
    every: Any,
    scratch: Path,
) -> dict[str, TableLike]:
    """The features of the partitions that are computed again, each as a table."""
    if not stale:
        return {}
    time = problem.decision.time
    if len(stale) == len(every):
        features = features_of_all(tables, problem, clock=clock)
    else:
        asked = rows.filter(calendar.among(rows[time], stale))
        features = features_of_some(tables, lake.engine.stored(asked, scratch / "asked.parquet"), problem)
    keyed = features.mutate({KEY: calendar.keys(features[time])})
    return lake.engine.sorted_partitions(keyed, stale, problem.decision.order, scratch / "features")
