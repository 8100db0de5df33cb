"""`send_features` by partition: after a day has landed, the partitions from the first that changed are made anew.

What a row says of the past follows from its own partition and all before it. So of the sends before those that
change, only the last month and the label window are looked at one by one; what is older enters as one count per
user. These are whole numbers: the rows are those that a computation over everything gives, byte by byte.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.clock import last_day
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
from mlguide_assets.prepare.lake.data_files import Partitions, Query
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.prepare.partitions import UNDATED, Calendar
from mlguide_assets.prepare.rebuilding import bucketed, current, fingerprint, notes_of, per_partition, plan

FEATURES = "send_features"
WHAT = "What features are made of"


@contextmanager
def rebuilt_send_features(lake: Lake, problem: Problem) -> Iterator[Partitions]:
    """The partitions of `send_features`, as `core_users` is now; to be written before the context ends."""
    core = lake.snapshot(CORE)
    days = _days(lake, core)
    spans, newest = _spans(days), _clock(days)
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


@dataclass(frozen=True)
class _Day:
    """A day of a partition: its sends, and the first and the last delivery in microseconds since 1970."""

    partition: str
    day: date
    rows: int
    first: int
    last: int


def _days(lake: Lake, core: Snapshot) -> list[_Day]:
    """Every day of every partition that has sends with a time. One pass."""
    paths = {str(path): key for key in _dated(core) for path in lake.files(CORE, partitions=[key], snapshot_id=core.id)}
    if not paths:
        return []
    rows = read_parquet(lake.connection, *map(Path, paths), file_names=True)
    rows = rows.select("filename", day=rows.delivered_at.date(), at=microseconds(rows.delivered_at))
    days = rows.group_by("filename", "day").aggregate(rows=rows.count(), first=rows["at"].min(), last=rows["at"].max())
    return [_Day(paths[row.pop("filename")], **row) for row in days.to_pyarrow().to_pylist()]


def _spans(days: Iterable[_Day]) -> dict[str, _Span]:
    """Of every partition that has sends."""
    spans: dict[str, _Span] = {}
    for each in days:
        known = spans.get(each.partition, _Span(each.first, each.last))
        spans[each.partition] = _Span(min(known.first, each.first), max(known.last, each.last))
    return spans


def _clock(days: Iterable[_Day]) -> int:
    """The data's, in microseconds since 1970, as `data_clock` has it; 0 where there is no send."""
    rows = Counter[date]()
    for each in days:
        rows[each.day] += each.rows
    newest = last_day(rows)
    return max((each.last for each in days if each.day == newest), default=0)


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
        inputs[key] = fingerprint(FEATURES, asked, core.partitions[key].inputs, rows, total, known, code_of=__name__)
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
    rows = _histories(lake, core, stale, spans, problem, scratch)
    histories = bucketed(lake.connection, rows, stale, scratch / "histories")

    def complete(histories: ibis.Table, core: ibis.Table) -> ibis.Table:
        return completed(histories, events_of(core, problem), problem, newest=ibis.literal(newest))

    of_core = lake.read(CORE, partitions=stale[:1], snapshot_id=core.id)
    schemas = {"histories": rows.drop("partition").schema(), "core": of_core.schema()}
    places = {key: {"histories": histories[key], "core": _files(lake, core, [key])} for key in stale}
    return per_partition(lake.connection, complete, schemas, places)


def _histories(
    lake: Lake, core: Snapshot, stale: list[str], spans: Mapping[str, _Span], problem: Problem, scratch: Path
) -> ibis.Table:
    """Keys, outcome, both histories and `partition` of the sends in the partitions that are made anew."""
    # Nothing that comes later is part of a history.
    past = [key for key in _dated(core) if key <= stale[-1]]
    events = events_of(lake.read(CORE, partitions=past, snapshot_id=core.id), problem).select(*KEYS, *HISTORY)
    first = min((spans[key].first for key in stale if key in spans), default=None)
    rows = user_history(events, problem) if stale == past else _recent_histories(lake, events, first, problem, scratch)
    calendar = Calendar(date.fromisoformat(notes_of(core)["open_from"]))
    rows = rows.mutate(partition=calendar.keys(rows.delivered_at))
    if stale != past:
        rows = rows.filter(rows.partition.isin(stale))
    return with_email_history(rows, events, label_window=problem.label.window).drop("theme", "category")


def _recent_histories(lake: Lake, events: ibis.Table, first: int | None, problem: Problem, scratch: Path) -> ibis.Table:
    """The history of the users of each send from an instant on; of sends shortly before it, some of theirs.

    Args:
        first: in microseconds since 1970; None where there is no send at all to tell of.
        scratch: a folder for the ids of these users.
    """
    if first is None:
        return user_history(events.limit(0), problem)
    cut = first - max(micros(problem.label.window), max(RECENT_DAYS.values()) * DAY)
    # Found once, where the engine would find them twice.
    asked = events.filter(events["at"] >= first).select("user_id").distinct()
    lake.connection.to_parquet(asked, scratch / "asked.parquet")
    asked = read_parquet(lake.connection, scratch / "asked.parquet")
    theirs = events.semi_join(asked, "user_id")
    older, recent = theirs.filter(theirs["at"] < cut), theirs.filter(theirs["at"] >= cut)
    histories = user_history(recent, problem)
    records = user_records(older, themes=problem.themes, categories=problem.categories)
    # The other recent sends count, and are not asked about.
    return with_user_records(histories.filter(histories["at"] >= first), records)
