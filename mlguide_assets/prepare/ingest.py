"""From a source to accepted tables: read, conform, judge; nothing is kept unless everything may be."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.contracts import Judged, judge
from mlguide_assets.prepare.lake import writing
from mlguide_assets.prepare.sources.reading import describe, read_source

STALE_SECONDS = 86_400


@dataclass(frozen=True)
class Ingested:
    """Tables of a source, judged, with the source in words."""

    judged: Judged
    place: str


@contextmanager
def ingest(
    problem: Problem,
    connection: Any,
    *,
    scratch_below: Path,
    oracle: Path,
    report: Callable[[str], None],
    until: datetime | None = None,
) -> Iterator[Ingested]:
    """Read and judge the three tables of a problem; they live until the context ends.

    Args:
        until: how far a simulated world is seen, from `sources/world_clock.py`; default: to its end.

    Raises:
        InputError: something cannot be read. What a rule blocks is in the result, not raised.
    """
    with writing("What is read", scratch_below):
        scratch_below.mkdir(parents=True, exist_ok=True)
        _forget_killed(scratch_below)
        folder = TemporaryDirectory(dir=scratch_below, prefix="ingest-")
    with folder as name:
        with writing("What is read", scratch_below):
            tables = read_source(problem, connection, scratch=Path(name), oracle=oracle, report=report, until=until)
            judged = judge(tables, problem.rules, connection, scratch=Path(name))
        yield Ingested(judged, describe(problem))


def _forget_killed(scratch_below: Path) -> None:
    """Remove what an ingest that was killed left behind; one that still runs is younger than a day."""
    for folder in scratch_below.glob("ingest-*"):
        if time.time() - folder.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
