"""The prediction log of the API lands in the lake by day, a row per answered case.

Landing merges: what the lake has of a day stays, whatever became of the server's files, and no request is in it twice.
So it may happen at any time and by any clock.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.deploy.log.prediction_log import (
    LANDED,
    days,
    log_bytes,
    read_noted,
    read_segment,
    remove_unused,
    segments,
)
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.host_lock import locked_on_all_hosts
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake

if TYPE_CHECKING:
    from ibis import Table

    from mlguide_assets.prepare.forgetting.forget_list import ForgetList

PREDICTION_LOG = "prediction_log"
KEPT_DAYS = 7
"""Of the server's own files, once they have landed."""

DAMAGED_SUFFIX = ".damaged"
"""Of the file beside a server's that keeps those of its lines that could not be read. It is never removed."""

_BATCH_ROWS = 20_000
_LOCK = ".landing.lock"
_KEY = ["request_id", "model_version", "variant"]
"""What identifies the rows of a line: champion and challenger each have one of a request, and the challenger two where
it has answered for some units and scored in the shadow for others."""

_FILE = "_file"
"""Column of the new rows while they are landed: the number of the file that a row is from."""

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What a line raises that is JSON but not what a server writes."""


def _schema_in(lake: Lake, problem: Problem) -> pa.Schema:
    """The columns of the table, with the types that ids have in the table of features."""
    if not lake.exists(problem.features_table):
        return log_schema(problem.decision)
    # Of the newest partition alone: this run may be about to compute others again, which are damaged.
    known = lake.first_rows(lake.snapshot(problem.features_table), 1).schema
    whole = {field.name: pa.types.is_integer(field.type) for field in known}
    return log_schema(problem.decision, {name: pa.int64() if each else pa.string() for name, each in whole.items()})


MET = ("experiment", "experiment_version", "arm")
"""Columns of the arm that the unit met by the answer; null where it takes part in no experiment."""


@dataclass(frozen=True)
class Landing:
    """What landed: the days that were written, the rows of the table now, and the files of damaged lines."""

    days: tuple[str, ...]
    rows: int
    last_answer: datetime | None
    damaged: tuple[Path, ...] = ()


def land_log(
    folder: Path,
    lake: Lake,
    problem: Problem,
    *,
    today: date,
    most_bytes: float = math.inf,
    forgotten: "ForgetList | None" = None,
) -> Landing:
    """Add what servers have written since a day last landed. Landing twice changes nothing.

    A line that cannot be read is set aside, in a file with `DAMAGED_SUFFIX`; all others land.

    Args:
        folder: where the servers write, see `prediction_log.py`.
        forgotten: whose rows do not land: a server of another host may store a line again that had been erased.
        today: days older than `KEPT_DAYS` lose the servers' files, once they have landed and no server holds them.

    Raises:
        InputError: the disk is full; what had landed is untouched.
    """
    # Two that land at once would each leave out what the other has just removed.
    with writing("The landed prediction log", folder), locked_on_all_hosts(folder / _LOCK, f"landing of {problem.key}"):
        schema = _schema_in(lake, problem)
        _agree_on_types(lake, problem.decision, schema)
        landed = _land_days(folder, lake, problem, schema, forgotten)
        _make_room(folder, today, most_bytes / 2)
    if not lake.exists(PREDICTION_LOG):
        lake.write_partition(PREDICTION_LOG, today.isoformat(), schema.empty_table())
    damaged = tuple(sorted(folder.glob(f"*/*{DAMAGED_SUFFIX}")))
    return Landing(tuple(landed), lake.snapshot(PREDICTION_LOG).rows, _last_answer(lake, landed), damaged)


def _agree_on_types(lake: Lake, decision: Decision, schema: pa.Schema) -> None:
    """Have what landed before keys were known to be texts, or numbers, in the same types: all days at once."""
    if not lake.exists(PREDICTION_LOG):
        return
    known = lake.read(PREDICTION_LOG).schema()
    texts = {name: pa.types.is_string(schema.field(name).type) for name in (*decision.ids, *decision.own_keys)}
    other = {
        name: "string" if is_text else "int64"
        for name, is_text in texts.items()
        if name in known and known[name].is_string() != is_text
    }
    if other:
        each = {day: lake.read(PREDICTION_LOG, partitions=[day]) for day in lake.snapshot(PREDICTION_LOG).partitions}
        same = {day: rows.try_cast(other) for day, rows in each.items()}
        lake.write_partitions(PREDICTION_LOG, Partitions(rebuilt=same, inputs={}))


def _land_days(
    folder: Path, lake: Lake, problem: Problem, schema: pa.Schema, forgotten: "ForgetList | None"
) -> list[str]:
    """The days that were written."""
    written = []
    for day in days(folder):
        sizes = {path.name: path.stat().st_size for path in segments(folder, day)}
        landed = read_noted(folder / day / LANDED)
        if any(landed.get(name) != size for name, size in sizes.items()):
            files = [_batches_of(folder / day / name, problem.decision, schema) for name in sizes]
            if forgotten is not None and forgotten.entries:
                files = [map(partial(_remembered, forgotten=forgotten, problem=problem), each) for each in files]
            _land_day(day, files, schema, lake)
            # Also of files that are gone: they may come again from where hosts share them.
            replace_file(folder / day / LANDED, json.dumps(landed | sizes).encode())
            written.append(day)
    return written


def _make_room(folder: Path, today: date, most_bytes: float) -> None:
    """Remove the files that have landed and that no server holds: of old days, and while there are too many bytes."""
    held = log_bytes(folder)
    for day in days(folder):
        old = date.fromisoformat(day) < today - timedelta(days=KEPT_DAYS)
        for name, size in read_noted(folder / day / LANDED).items():
            if (
                (old or held > most_bytes)
                and (folder / day / name).exists()
                and remove_unused(folder / day / name, size)
            ):
                held -= size
        if not any(path.name != LANDED for path in (folder / day).iterdir()):
            (folder / day / LANDED).unlink(missing_ok=True)
            # A server may have begun a file there meanwhile.
            with contextlib.suppress(OSError):
                (folder / day).rmdir()


def _remembered(batch: pa.RecordBatch, forgotten: "ForgetList", problem: Problem) -> pa.RecordBatch:
    """The rows that are of nobody who was forgotten."""
    from mlguide_assets.prepare.forgetting.forget_list import entities_of

    hashes = {entry.hash for entry in forgotten.entries}
    for entity in entities_of(problem):
        if entity.column in batch.schema.names:
            keys = [key for key in batch[entity.column].unique().to_pylist() if key is not None]
            gone = [key for key in keys if forgotten.hash_of(key, entity) in hashes]
            if gone:
                values = pa.array(gone, batch.schema.field(entity.column).type)
                batch = batch.filter(pc.invert(pc.is_in(batch[entity.column], values)))
    return batch


def _land_day(day: str, new: Sequence[Iterable[pa.RecordBatch]], schema: pa.Schema, lake: Lake) -> None:
    """Write the partition of a day: the new rows, and what the lake has besides.

    Args:
        new: the rows of each file.
    """
    with lake.scratch(f"Table {PREDICTION_LOG!r}") as scratch:
        added = _once(new, schema, lake, scratch / "new.parquet")
        if lake.exists(PREDICTION_LOG) and day in lake.snapshot(PREDICTION_LOG).partitions:
            added = _merged(added, lake, day)
        lake.write_partition(PREDICTION_LOG, day, added)


def _once(new: Sequence[Iterable[pa.RecordBatch]], schema: pa.Schema, lake: Lake, place: Path) -> "Table":
    """The rows of all files; of a line that more than one of them has, those of the first. DuckDB spills many rows.

    A host that was cloned while it served goes on with a copy of the file, which `sharing.py` stores beside the other.

    Args:
        place: where the new rows are kept meanwhile.
    """
    import pyarrow.parquet as pq

    with pq.ParquetWriter(place, schema.append(pa.field(_FILE, pa.int32()))) as writer:
        for number, batches in enumerate(new):
            for batch in batches:
                numbers = pa.array([number] * len(batch), pa.int32())
                writer.write_batch(batch.append_column(_FILE, numbers))
    added = read_parquet(lake.connection, place)
    if len(new) > 1:
        first = added.group_by(_KEY).aggregate({_FILE: added[_FILE].min()})
        added = added.semi_join(first, [*_KEY, _FILE])
    return added.drop(_FILE).order_by("answered_at", *_KEY, "position")


def _merged(added: "Table", lake: Lake, day: str) -> "Table":
    """The new rows, and those of the day in the lake whose lines are not among them."""
    import ibis

    known = lake.read(PREDICTION_LOG, partitions=[day])
    # Of a day that an earlier version landed.
    older = {name: ibis.null(type_) for name, type_ in added.schema().items() if name not in known.columns}
    known = known.mutate(older).select(added.columns).cast(added.schema())
    return added.union(known.anti_join(added, _KEY)).order_by("answered_at", *_KEY, "position")


def _batches_of(path: Path, decision: Decision, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a server's file; the lines that are not what a server writes are set aside."""
    damaged: list[bytes] = []
    for requests in _groups(path, decision, schema, damaged.append):
        try:
            yield _batch([row for _, rows in requests for row in rows], schema)
        except _DAMAGE:
            # A value of the wrong type in one of them; the others land.
            for request, rows in requests:
                try:
                    yield _batch(rows, schema)
                except _DAMAGE:
                    damaged.append(_as_line(request))
    if damaged:
        replace_file(path.with_name(path.name + DAMAGED_SUFFIX), b"".join(damaged), mode=0o600)


_Requests = list[tuple[dict[str, Any], list[dict[str, Any]]]]
"""Each with its rows."""


def _groups(
    path: Path, decision: Decision, schema: pa.Schema, set_aside: Callable[[bytes], None]
) -> Iterator[_Requests]:
    """The requests of a file, as many at a time as make a batch of rows."""
    group: _Requests = []
    waiting = 0
    for request in read_segment(path, set_aside):
        try:
            rows = list(_rows(request, decision, schema))
        except _DAMAGE:
            set_aside(_as_line(request))
            continue
        group.append((request, rows))
        waiting += len(rows)
        if waiting >= _BATCH_ROWS:
            yield group
            group, waiting = [], 0
    if group:
        yield group


def _batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as_line(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def _last_answer(lake: Lake, landed: list[str]) -> datetime | None:
    if not landed:
        return None
    newest: datetime | None = lake.read(PREDICTION_LOG, partitions=landed[-1:]).answered_at.max().to_pyarrow().as_py()
    return newest


def _rows(request: dict[str, Any], decision: Decision, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """The places of an answered request."""
    shared = {
        "request_id": request["request_id"],
        "answered_at": datetime.fromisoformat(request["answered_at"]),
        "endpoint": request["endpoint"],
        "model_version": request["model_version"],
        "published": request["published"],
        "threshold": request["threshold"],
        "latency_ms": request["latency_ms"],
        # Servers of earlier versions did not measure it.
        "scoring_ms": request.get("scoring_ms"),
    }
    for position, row in enumerate(request["rows"]):
        yield shared | {
            # Only where it is not all of the answer.
            "position": row.get("position", position),
            "variant": row["variant"],
            **{name: row[name] for name in decision.ids},
            decision.time: _time(row["instant"]),
            **{name: _as(schema.field(name).type, row.get("keys", {}).get(name)) for name in decision.own_keys},
            "feature_time": _time(row["feature_time"]),
            "features": None if row["features"] is None else json.dumps(row["features"], ensure_ascii=False),
            "probability": row["probability"],
            "decision": row["decision"],
            **{name: row.get(name) for name in MET},
        }


def _as(type_: pa.DataType, value: int | str | None) -> int | str | None:
    """A key of the caller's as the table has it; a text among whole numbers is left out."""
    if value is None or pa.types.is_string(type_):
        return None if value is None else str(value)
    return value if isinstance(value, int) else None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
