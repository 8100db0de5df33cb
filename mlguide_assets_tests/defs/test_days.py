"""Partitions follow the data: they end with the day that can be scored, and shrink where data were taken back."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from mlguide_assets.defs.days import known_days
from mlguide_assets.defs.workspace import SCORING_DATES, Workspace

FIRST = date(2025, 3, 1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def land(workspace: Workspace, *, first: int, last: int) -> list[str]:
    """Sends on days of March; the days that can be scored."""
    days = [FIRST + timedelta(days=place - 1) for place in range(first, last + 1)]
    rows = {"day": days, "rows": [9] * len(days), "digest": ["a"] * len(days)}
    workspace.lake.write("landed_days", pa.table(rows))
    return [day.isoformat() for day in (*days, FIRST + timedelta(days=last))]


@pytest.mark.parametrize(("first", "last"), [(5, 9), (5, 12), (5, 7), (2, 9), (6, 9)])
def test_partitions_are_the_days_that_can_be_scored_in_their_order(
    first: int, last: int, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    workspace = Workspace(root=str(tmp_path))
    assert known_days(instance, workspace) == []
    for bounds in ((5, 9), (first, last)):
        wanted = land(workspace, first=bounds[0], last=bounds[1])
        assert known_days(instance, workspace) == wanted
        assert list(instance.get_dynamic_partitions(str(SCORING_DATES.name))) == wanted
