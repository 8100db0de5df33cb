"""What a server has logged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlguide_assets.deploy.log.prediction_log import read_segment, segments


def read_day(folder: Path, day: str) -> Iterator[dict[str, Any]]:
    """All requests of a day."""
    for path in segments(folder, day):
        yield from read_segment(path)
