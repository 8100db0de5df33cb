"""The prediction log of the API lands in the lake by day, a row per answered pair.

Landing merges: what the lake has of a day stays, whatever became of the server's files, and no request is in it twice.
So it may happen at any time and by any clock.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlguide_assets.deploy.prediction_log import days, log_bytes, read_segment, remove_unused, segments
from mlguide_assets.prepare.engine import read_parquet
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.data_files import TableLike
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.locking import locked

PREDICTION_LOG = "prediction_log"
KEPT_DAYS = 7
"""Of the server's own files, once they have landed."""

DAMAGED_SUFFIX = ".damaged"
"""Of the file beside a server's that keeps those of its lines that could not be read. It is never removed."""

_BATCH_ROWS = 20_000
_LANDED = "landed.json"
_LOCK = ".landing.lock"
_KEY = ["request_id", "model_version", "variant"]
"""What identifies the rows of a line: champion and challenger each have one of a request, and the challenger two where
it has answered for some users and scored in the shadow for others."""

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What a line raises that is JSON but not what a server writes."""

SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("answered_at", pa.timestamp("us")),
        ("endpoint", pa.string()),
        ("variant", pa.string()),
        ("model_version", pa.string()),
        ("user_id", pa.int64()),
        ("email_id", pa.int64()),
        ("delivered_at", pa.timestamp("us")),
        ("feature_time", pa.timestamp("us")),
        ("published", pa.string()),
        ("features", pa.string()),
        ("probability", pa.float64()),
        ("threshold", pa.float64()),
        ("decision", pa.string()),
        ("latency_ms", pa.float64()),
        ("scoring_ms", pa.float64()),
        ("experiment", pa.string()),
        ("experiment_version", pa.int64()),
        ("arm", pa.string()),
    ]
)
"""Of the table. `features` is JSON, since every model version may have features of its own."""


MET = ("experiment", "experiment_version", "arm")
"""Columns of the arm that the user met by the answer; null where they take part in no experiment."""


@dataclass(frozen=True)
class Landing:
    """What landed: the days that were written, the rows of the table now, and the files of damaged lines."""

    days: tuple[str, ...]
    rows: int
    last_answer: datetime | None
    damaged: tuple[Path, ...] = ()


def land_log(folder: Path, lake: Lake, *, today: date, most_bytes: float = math.inf) -> Landing:
    """Add what servers have written since a day last landed. Landing twice changes nothing.

    A line that cannot be read is set aside, in a file with `DAMAGED_SUFFIX`; all others land.

    Args:
        folder: where the servers write, see `prediction_log.py`.
        today: days older than `KEPT_DAYS` lose the servers' files, once they have landed and no server holds them.

    Raises:
        InputError: the disk is full; what had landed is untouched.
    """
    # Two that land at once would each leave out what the other has just removed.
    with writing("The landed prediction log", folder), locked(folder / _LOCK):
        landed = _land_days(folder, lake)
        _make_room(folder, today, most_bytes / 2)
    if not lake.exists(PREDICTION_LOG):
        lake.write_partition(PREDICTION_LOG, today.isoformat(), SCHEMA.empty_table())
    damaged = tuple(sorted(folder.glob(f"*/*{DAMAGED_SUFFIX}")))
    return Landing(tuple(landed), lake.snapshot(PREDICTION_LOG).rows, _last_answer(lake, landed), damaged)


def _land_days(folder: Path, lake: Lake) -> list[str]:
    """The days that were written."""
    written = []
    for day in days(folder):
        sizes = {path.name: path.stat().st_size for path in segments(folder, day)}
        landed = read_noted(folder / day / _LANDED)
        if any(landed.get(name) != size for name, size in sizes.items()):
            _land_day(folder / day, list(sizes), lake)
            replace_file(folder / day / _LANDED, json.dumps(sizes).encode())
            written.append(day)
    return written


def _make_room(folder: Path, today: date, most_bytes: float) -> None:
    """Remove the files that have landed and that no server holds: of old days, and while there are too many bytes."""
    held = log_bytes(folder)
    for day in days(folder):
        old = date.fromisoformat(day) < today - timedelta(days=KEPT_DAYS)
        for name, size in read_noted(folder / day / _LANDED).items():
            if (
                (old or held > most_bytes)
                and (folder / day / name).exists()
                and remove_unused(folder / day / name, size)
            ):
                held -= size
        if not any(path.name != _LANDED for path in (folder / day).iterdir()):
            (folder / day / _LANDED).unlink(missing_ok=True)
            # A server may have begun a file there meanwhile.
            with contextlib.suppress(OSError):
                (folder / day).rmdir()


def _land_day(folder: Path, names: list[str], lake: Lake) -> None:
    """Write the partition of a day: the rows of these files, and what the lake has besides."""
    day = folder.name
    batches = (batch for name in names for batch in _batches_of(folder / name))
    new = pa.RecordBatchReader.from_batches(SCHEMA, batches)
    if not lake.exists(PREDICTION_LOG) or day not in lake.snapshot(PREDICTION_LOG).partitions:
        lake.write_partition(PREDICTION_LOG, day, new)
        return
    with lake.scratch(f"Table {PREDICTION_LOG!r}") as scratch:
        lake.write_partition(PREDICTION_LOG, day, _merged(new, lake, day, scratch / "new.parquet"))


def _merged(new: pa.RecordBatchReader, lake: Lake, day: str, place: Path) -> TableLike:
    """The new rows, and those of the day in the lake whose lines are not among them. DuckDB spills where they are many.

    Args:
        place: where the new rows are kept meanwhile.
    """
    import ibis
    import pyarrow.parquet as pq

    with pq.ParquetWriter(place, SCHEMA) as writer:
        for batch in new:
            writer.write_batch(batch)
    added = read_parquet(lake.connection, place)
    known = lake.read(PREDICTION_LOG, partitions=[day])
    # Of a day that an earlier version landed.
    older = {name: ibis.null(type_) for name, type_ in added.schema().items() if name not in known.columns}
    known = known.mutate(**older).select(added.columns)
    return added.union(known.anti_join(added, _KEY)).order_by("answered_at", *_KEY, "position")


def _batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a server's file; the lines that are not what a server writes are set aside."""
    damaged: list[bytes] = []
    for requests in _groups(path, damaged.append):
        try:
            yield _batch([row for _, rows in requests for row in rows])
        except _DAMAGE:
            # A value of the wrong type in one of them; the others land.
            for request, rows in requests:
                try:
                    yield _batch(rows)
                except _DAMAGE:
                    damaged.append(_as_line(request))
    if damaged:
        replace_file(path.with_name(path.name + DAMAGED_SUFFIX), b"".join(damaged), mode=0o600)


_Requests = list[tuple[dict[str, Any], list[dict[str, Any]]]]
"""Each with its rows."""


def _groups(path: Path, set_aside: Callable[[bytes], None]) -> Iterator[_Requests]:
    """The requests of a file, as many at a time as make a batch of rows."""
    group: _Requests = []
    waiting = 0
    for request in read_segment(path, set_aside):
        try:
            rows = list(_rows(request))
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


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _as_line(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def read_noted(path: Path) -> dict[str, Any]:
    """What landing noted; nothing where it is gone or damaged: then all lands again."""
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _last_answer(lake: Lake, landed: list[str]) -> datetime | None:
    if not landed:
        return None
    newest: datetime | None = lake.read(PREDICTION_LOG, partitions=landed[-1:]).answered_at.max().to_pyarrow().as_py()
    return newest


def _rows(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pairs of an answered request."""
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
            "user_id": row["user_id"],
            "email_id": row["email_id"],
            "delivered_at": _time(row["instant"]),
            "feature_time": _time(row["feature_time"]),
            "features": None if row["features"] is None else json.dumps(row["features"], ensure_ascii=False),
            "probability": row["probability"],
            "decision": row["decision"],
            **{name: row.get(name) for name in MET},
        }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
