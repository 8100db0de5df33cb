"""`send_features` by partition: after a day has landed, the partitions from the first that changed are made anew.

What a row says of the past follows from its own partition and all before it. So of the sends before those that
change, only the last month and the label window are looked at one by one; what is older enters as one count per
user. These are whole numbers: the rows are those that a computation over everything gives, byte by byte.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.core import CORE, UNSENT
from mlguide_assets.prepare.engine import pattern_of, read_parquet
from mlguide_assets.prepare.features.history import (
    RECENT_DAYS,
    micros,
    user_records,
    with_email_history,
    with_user_records,
)
from mlguide_assets.prepare.features.moment import DAY
from mlguide_assets.prepare.features.tables import HISTORY, KEYS, completed, events_of, microseconds, user_history
from mlguide_assets.prepare.lake import Lake, Partitions, Query, Snapshot, writing
from mlguide_assets.prepare.partitions import UNDATED, Calendar
from mlguide_assets.prepare.rebuilding import bucketed, current, fingerprint, notes_of, per_partition, plan

FEATURES = "send_features"
WHAT = "What features are made of"
_EPOCH = datetime(1970, 1, 1)


@contextmanager
def rebuilt_send_features(lake: Lake, problem: Problem) -> Iterator[Partitions]:
    """The partitions of `send_features`, as `core_users` is now; to be written before the context ends."""
    core = lake.snapshot(CORE)
    spans = _spans(lake, core)
    newest = _clock(lake, core)
    chosen = plan(_inputs(core, spans, newest, problem), current(lake, FEATURES))
    with lake.scratch(WHAT) as scratch:
        with writing(WHAT, lake.root):
            anew = _anew(lake, core, chosen.stale, spans, newest, problem, scratch)
        yield Partitions(anew, chosen.inputs, kept=chosen.kept)


@dataclass(frozen=True)
class _Span:
    """The first and the last delivery of a partition, in microseconds since 1970."""

    first: int
    last: int


def _spans(lake: Lake, core: Snapshot) -> dict[str, _Span]:
    """Of every partition that has sends."""
    paths = {str(path): key for key in _dated(core) for path in lake.files(CORE, partitions=[key], snapshot_id=core.id)}
    if not paths:
        return {}
    rows = read_parquet(lake.connection, *map(Path, paths), file_names=True)
    at = microseconds(rows.delivered_at)
    spans = rows.group_by("filename").aggregate(first=at.min(), last=at.max()).to_pyarrow().to_pylist()
    return {paths[row.pop("filename")]: _Span(**row) for row in spans}


def _clock(lake: Lake, core: Snapshot) -> int:
    """The data's, in microseconds since 1970; 0 where there is no send."""
    keys = _dated(core)
    found = data_clock(lake.read(CORE, partitions=keys, snapshot_id=core.id)) if keys else None
    return (found - _EPOCH) // timedelta(microseconds=1) if found else 0


def _dated(core: Snapshot) -> list[str]:
    return sorted(core.partitions.keys() - {UNDATED, UNSENT})


def _files(lake: Lake, core: Snapshot, keys: list[str]) -> list[str]:
    return [pattern_of(path) for path in lake.files(CORE, partitions=keys, snapshot_id=core.id)]


def _inputs(core: Snapshot, spans: Mapping[str, _Span], newest: int, problem: Problem) -> dict[str, str]:
    """What each partition follows from: its own rows, all rows before it, and which of its labels have matured.

    The rows before are told by sums, so that months which become a year are the same past as before.
    """
    landed = notes_of(core)["landed"]
    asked = [problem.label.model_dump(mode="json"), problem.themes, problem.categories]
    rows = total = 0
    inputs: dict[str, str] = {}
    for key in _dated(core):
        known = _known(spans.get(key), newest, problem.label.window)
        inputs[key] = fingerprint(FEATURES, asked, core.partitions[key].inputs, rows, total, known)
        rows, total = rows + landed[key][0], total + landed[key][1]
    return inputs


def _known(span: _Span | None, newest: int, window: timedelta) -> str:
    """Which labels of a partition have matured: all, none, or as many as the data's clock says."""
    if span is None or span.last + micros(window) <= newest:
        return "all"
    return "none" if span.first + micros(window) > newest else str(newest)


def _anew(
    lake: Lake,
    core: Snapshot,
    stale: list[str],
    spans: Mapping[str, _Span],
    newest: int,
    problem: Problem,
    scratch: Path,
) -> Mapping[str, Query]:
    if not stale:
        return {}
    rows = _histories(lake, core, stale, spans, problem)
    histories = bucketed(lake.connection, rows, stale, scratch / "histories")

    def complete(histories: ibis.Table, core: ibis.Table) -> ibis.Table:
        return completed(histories, events_of(core, problem), problem, newest=ibis.literal(newest))

    of_core = lake.read(CORE, partitions=stale[:1], snapshot_id=core.id)
    schemas = {"histories": rows.drop("partition").schema(), "core": of_core.schema()}
    places = {key: {"histories": histories[key], "core": _files(lake, core, [key])} for key in stale}
    return per_partition(lake.connection, complete, schemas, places)


def _histories(
    lake: Lake, core: Snapshot, stale: list[str], spans: Mapping[str, _Span], problem: Problem
) -> ibis.Table:
    """Keys, outcome, both histories and `partition` of the sends in the partitions that are made anew."""
    # Nothing that comes later is part of a history.
    past = [key for key in _dated(core) if key <= stale[-1]]
    events = events_of(lake.read(CORE, partitions=past, snapshot_id=core.id), problem).select(*KEYS, *HISTORY)
    first = min((spans[key].first for key in stale if key in spans), default=None)
    rows = user_history(events, problem) if stale == past else _recent_histories(events, first, problem)
    calendar = Calendar(date.fromisoformat(notes_of(core)["open_from"]))
    rows = rows.mutate(partition=calendar.keys(rows.delivered_at))
    if stale != past:
        rows = rows.filter(rows.partition.isin(stale))
    return with_email_history(rows, events, label_window=problem.label.window).drop("theme", "category")


def _recent_histories(events: ibis.Table, first: int | None, problem: Problem) -> ibis.Table:
    """The history of the users of each send from an instant on; of sends shortly before it, some of theirs.

    Args:
        first: in microseconds since 1970; None where there is no send at all to tell of.
    """
    if first is None:
        return user_history(events.limit(0), problem)
    cut = first - max(micros(problem.label.window), max(RECENT_DAYS.values()) * DAY)
    asked = events.filter(events["at"] >= first).select("user_id").distinct()
    theirs = events.semi_join(asked, "user_id")
    older, recent = theirs.filter(theirs["at"] < cut), theirs.filter(theirs["at"] >= cut)
    records = user_records(older, themes=problem.themes, categories=problem.categories)
    return with_user_records(user_history(recent, problem), records)
