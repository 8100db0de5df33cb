"""The logs of the API land in the lake by day: a row per answered pair, and counts of what was not answered."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlguide_assets.deploy.fault_log import counted, files_by_day
from mlguide_assets.deploy.prediction_log import days, read_segment, segments
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake import Lake, Snapshot

PREDICTION_LOG = "prediction_log"
KEPT_DAYS = 7
"""Of the server's own files, once they have landed."""

_BATCH_ROWS = 20_000
_LANDED = "landed.json"

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
    ]
)
"""Of the table. `features` is JSON, since every model version may have features of its own."""

REQUEST_FAULTS = "request_faults"
FAULTS = pa.schema([("day", pa.date32()), ("endpoint", pa.string()), ("status", pa.int64()), ("requests", pa.int64())])


@dataclass(frozen=True)
class Landing:
    """What landed: the days that were written, and the rows of the table now."""

    days: tuple[str, ...]
    rows: int
    last_answer: datetime | None


def land_log(folder: Path, lake: Lake, *, today: date) -> Landing:
    """Write each day whose files have grown since it last landed; whole, so that landing twice changes nothing.

    Args:
        folder: where the servers write, see `prediction_log.py`.
        today: days older than `KEPT_DAYS` lose the server's files, once they have landed.

    Raises:
        InputError: a file is no longer what the server wrote, or the disk is full; what had landed is untouched.
    """
    landed = []
    for day in days(folder):
        sizes = {path.name: path.stat().st_size for path in segments(folder, day)}
        if sizes and sizes != _landed(folder / day):
            rows = (row for path in segments(folder, day) for request in read_segment(path) for row in _rows(request))
            lake.write_partition(PREDICTION_LOG, day, pa.RecordBatchReader.from_batches(SCHEMA, _batches(rows)))
            replace_file(folder / day / _LANDED, json.dumps(sizes).encode())
            landed.append(day)
        if date.fromisoformat(day) < today - timedelta(days=KEPT_DAYS):
            _forget(folder, day)
    if not lake.exists(PREDICTION_LOG):
        lake.write_partition(PREDICTION_LOG, today.isoformat(), SCHEMA.empty_table())
    return Landing(tuple(landed), lake.snapshot(PREDICTION_LOG).rows, _last_answer(lake, landed))


def land_faults(folder: Path, lake: Lake, *, today: date) -> Snapshot:
    """Write the counts of each day whose files are there, whole, so that landing twice changes nothing.

    Args:
        folder: where the servers write, see `fault_log.py`.
        today: days older than `KEPT_DAYS` lose the servers' files, once they have landed.
    """
    if not lake.exists(REQUEST_FAULTS):
        lake.write_partition(REQUEST_FAULTS, today.isoformat(), FAULTS.empty_table())
    for day, paths in files_by_day(folder).items():
        rows = [
            {"day": date.fromisoformat(day), "endpoint": endpoint, "status": status, "requests": requests}
            for (endpoint, status), requests in sorted(counted(paths).items())
        ]
        lake.write_partition(REQUEST_FAULTS, day, pa.Table.from_pylist(rows, schema=FAULTS))
        if date.fromisoformat(day) < today - timedelta(days=KEPT_DAYS):
            for path in paths:
                path.unlink()
    return lake.snapshot(REQUEST_FAULTS)


def _landed(folder: Path) -> dict[str, int] | None:
    """The sizes of the files when the day was last landed; None where it was not, or nobody knows."""
    try:
        sizes: dict[str, int] = json.loads((folder / _LANDED).read_bytes())
    except (OSError, ValueError):
        return None
    return sizes


def _forget(folder: Path, day: str) -> None:
    """Remove the files of a day. Renamed first: half of a day must never land in place of the whole."""
    for path in folder.glob(".landed-*"):
        shutil.rmtree(path, ignore_errors=True)
    aside = (folder / day).rename(folder / f".landed-{day}")
    shutil.rmtree(aside, ignore_errors=True)


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
    }
    for position, row in enumerate(request["rows"]):
        yield shared | {
            "position": position,
            "variant": row["variant"],
            "user_id": row["user_id"],
            "email_id": row["email_id"],
            "delivered_at": _time(row["instant"]),
            "feature_time": _time(row["feature_time"]),
            "features": None if row["features"] is None else json.dumps(row["features"], ensure_ascii=False),
            "probability": row["probability"],
            "decision": row["decision"],
        }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    remaining = iter(rows)
    while some := list(islice(remaining, _BATCH_ROWS)):
        columns = [pa.array([row[field.name] for row in some], field.type) for field in SCHEMA]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
