"""What operators see: metrics for Prometheus, and one line of JSON per event on standard error."""

import asyncio
import contextlib
import logging
import os
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from pydantic_core import to_json

REQUESTS = Counter("mlguide_requests_total", "Answered requests.", ["path", "status"])
LATENCY = Histogram(
    "mlguide_request_seconds",
    "From the first byte of a request to its answer.",
    ["path"],
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5),
)
PREDICTIONS = Counter("mlguide_predictions_total", "Predictions in answers.", ["model_version", "prediction"])
SHADOWED = Counter("mlguide_shadow_predictions_total", "Predictions made in the shadow, never returned.", ["outcome"])
IN_PROGRESS = Gauge("mlguide_requests_in_progress", "Requests being answered.", multiprocess_mode="livesum")
FEATURE_AGE = Gauge(
    "mlguide_feature_age_seconds", "From the instant of the features to now.", multiprocess_mode="mostrecent"
)

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Set before this module is imported where several workers answer: each counts in files there, and any adds them up."""


def count_request(path: str, status: int, seconds: float) -> None:
    """Count and time an answered request."""
    _requests(path, status).inc()
    _latency(path).observe(seconds)


# Finding what counts costs more than counting. There are few paths, and a stranger does not make more of them.
@cache
def _requests(path: str, status: int) -> Counter:
    return REQUESTS.labels(path, str(status))


@cache
def _latency(path: str) -> Histogram:
    return LATENCY.labels(path)


def exposition() -> bytes:
    """All metrics of all workers, as Prometheus reads them."""
    if MULTIPROCESS not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class JsonLines(logging.Formatter):
    """An event as one line of JSON: time, level, where, what, and the fields that the caller gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return to_json(event).decode()


class AccessLog:
    """Writes a line per request, as `JsonLines` would; `logging` would cost every request five times more.

    Belongs to the event loop. Lines of requests that are answered together are written together, right after.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, **fields: Any) -> None:
        event = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "info",
            "logger": __name__,
            "message": "request",
            **fields,
        }
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(to_json(event) + b"\n")

    def _write(self) -> None:
        lines = b"".join(self._lines)
        self._lines.clear()
        # A reader who went away is no reason to fail a request.
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), lines)


def log_as_json() -> None:
    """Have everything that is logged in this process written as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
