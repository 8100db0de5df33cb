"""The log of faults: requests that the API refused or failed on, counted by each server.

    <folder>/<day>-<process>-<random>.jsonl

The prediction log has a durable line for every answer. What was not answered is only counted, in memory, and written
every few seconds: a stranger who is refused must not fill the disk, and a killed server loses its last seconds.
"""

import contextlib
import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

FIRST_FAULT = 400
"""HTTP statuses from here on: below 500 the request was refused, from there on the server failed."""

Counts = Counter[tuple[str, int]]
"""Requests by endpoint and status."""


class FaultCounter:
    """Counts by endpoint and status. Its owner writes now and then; many threads may count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._counts: Counts = Counter()
        self._lock = threading.Lock()

    def count(self, endpoint: str, status: int) -> None:
        if status >= FIRST_FAULT:
            with self._lock:
                self._counts[endpoint, status] += 1

    def write(self, now: datetime) -> None:
        """Append what was counted since the last time, if anything; where the disk refuses, it is kept for the next.

        Args:
            now: UTC.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        rows = [[endpoint, status, requests] for (endpoint, status), requests in sorted(counts.items())]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / f"{now:%Y-%m-%d}-{self._name}.jsonl").open("ab") as log:
                log.write(json.dumps(rows).encode() + b"\n")
        except OSError:
            with self._lock:
                self._counts.update(counts)


def files_by_day(folder: Path) -> dict[str, list[Path]]:
    """The files that servers wrote, by day, the oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        found.setdefault(path.name[: len("2026-01-01")], []).append(path)
    return found


def counted(paths: Iterable[Path]) -> Counts:
    """All that some files have counted. What a kill tore is left out: nobody was told that it is kept."""
    counts: Counts = Counter()
    for path in paths:
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError):
                for endpoint, status, requests in json.loads(line or b"[]"):
                    counts[endpoint, status] += requests
    return counts
