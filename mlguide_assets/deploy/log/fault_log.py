"""The log of faults: requests that the API refused or failed on, counted by each server.

    <folder>/<day>-<process>-<random>.json

The prediction log has a durable line for every answer. What was not answered is only counted, in memory, and written
every few seconds: a stranger who is refused must not fill the disk, and a killed server loses its last seconds.
Each file holds all that its server counted on that day, so writing or landing it again changes nothing.
"""

import json
import os
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlguide_assets.prepare.files import replace_file

FIRST_FAULT = 400
"""HTTP statuses from here on: below 500 the request was refused, from there on the server failed."""

Counts = Counter[tuple[str, int]]
"""Requests by endpoint and status."""


class FaultCounter:
    """Counts by endpoint and status. Its owner writes now and then; many threads may count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._new: Counts = Counter()
        self._days: defaultdict[str, Counts] = defaultdict(Counter)
        self._lock = threading.Lock()

    def count(self, endpoint: str, status: int) -> None:
        if status >= FIRST_FAULT:
            with self._lock:
                self._new[endpoint, status] += 1

    def write(self, now: datetime) -> None:
        """Write what was counted on this day, if anything is new; where the disk refuses, it is kept for the next time.

        Args:
            now: UTC.
        """
        with self._lock:
            new, self._new = self._new, Counter()
        if not new:
            return
        day = now.date().isoformat()
        counts = self._days[day] + new
        try:
            replace_file(self._folder / f"{day}-{self._name}.json", json.dumps(as_rows(counts)).encode())
        except OSError:
            with self._lock:
                self._new.update(new)
        else:
            self._days[day] = counts


def files_by_day(folder: Path) -> dict[str, list[Path]]:
    """The files that servers wrote, by day, the oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("????-??-??-*.json")):
        found.setdefault(path.name[: len("2026-01-01")], []).append(path)
    return found


def as_rows(counts: Counts) -> list[tuple[str, int, int]]:
    """Endpoint, status and number of requests."""
    return [(endpoint, status, requests) for (endpoint, status), requests in sorted(counts.items())]


def read_counts(path: Path) -> Counts:
    """What a file has counted; nothing where it is gone or damaged, since counts are not acknowledged to anybody."""
    try:
        return counts_in(path.read_bytes())
    except OSError:
        return Counter()


def counts_in(content: bytes) -> Counts:
    """The counts of a file, by its content; nothing where it is damaged."""
    try:
        return counts_of(json.loads(content))
    except (ValueError, TypeError):
        return Counter()


def counts_of(rows: Iterable[Sequence[Any]]) -> Counts:
    """The counts of `as_rows`, as JSON gives them back."""
    return Counter({(str(endpoint), int(status)): int(requests) for endpoint, status, requests in rows})
