"""What operators see: metrics for Prometheus, and one line of JSON per event on standard error."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from pydantic_core import to_json

# Versions are numbered problem by problem, and a server may answer for several.
REQUESTS = Counter("mlguide_requests_total", "Answered requests.", ["problem", "path", "status"])
LATENCY = Histogram(
    "mlguide_request_seconds",
    "From the first byte of a request to its answer.",
    ["problem", "path"],
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5),
)
PREDICTION_COUNTER = Counter(
    "mlguide_predictions_total", "Predictions in answers.", ["problem", "model_version", "prediction"]
)
SHADOWED = Counter(
    "mlguide_shadow_predictions_total", "Predictions made in the shadow, never returned.", ["problem", "outcome"]
)
IN_PROGRESS = Gauge(
    "mlguide_requests_in_progress", "Requests being answered.", ["problem"], multiprocess_mode="livesum"
)
FEATURE_AGE = Gauge(
    "mlguide_feature_age_seconds",
    "From the instant of the features to now.",
    ["problem"],
    multiprocess_mode="mostrecent",
)

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Set before this module is imported where several workers answer: each counts in files there, and any adds them up."""


_feature_ages: dict[str, Callable[[], float | None]] = {}


class Metrics:
    """What is counted and measured of one problem: every sample has the label `problem`.

    Args:
        problem: its name, as in `/problems/<name>/`.
    """

    def __init__(self, problem: str) -> None:
        self._problem = problem
        self.in_progress = IN_PROGRESS.labels(problem)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count and time an answered request.

        Args:
            path: of the route, below that of the problem.
        """
        _requests(self._problem, path, status).inc()
        _latency(self._problem, path).observe(seconds)

    def count_predictions(self, version: str, prediction: str, number: int) -> None:
        """Count what a model version answered, by class."""
        PREDICTION_COUNTER.labels(self._problem, version, prediction).inc(number)

    def count_shadowed(self, outcome: str, number: int) -> None:
        """Count predictions in the shadow: logged, dropped or failed."""
        SHADOWED.labels(self._problem, outcome).inc(number)

    @contextlib.contextmanager
    def measuring_feature_age(self, seconds: Callable[[], float | None]) -> Iterator[None]:
        """Within the block, every scrape asks how old the features are; None where nothing can be said."""
        _feature_ages[self._problem] = seconds
        try:
            yield
        finally:
            del _feature_ages[self._problem]


# Finding what counts costs more than counting. There are few paths, and a stranger does not make more of them.
@cache
def _requests(problem: str, path: str, status: int) -> Counter:
    return REQUESTS.labels(problem, path, str(status))


@cache
def _latency(problem: str, path: str) -> Histogram:
    return LATENCY.labels(problem, path)


def exposition() -> bytes:
    """All metrics of all workers and problems, as Prometheus reads them. Asks the stores how old the features are."""
    for problem, age in [*_feature_ages.items()]:
        if (seconds := age()) is not None:
            FEATURE_AGE.labels(problem).set(seconds)
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
