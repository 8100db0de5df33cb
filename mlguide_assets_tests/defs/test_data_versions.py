"""The version of an asset's data is its content: what is written again unchanged makes nothing downstream stale."""

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from mlguide_assets.defs.workspace import LakeIOManager, Workspace

DAYS = dg.StaticPartitionsDefinition(["2026-01-01", "2026-01-02"])


def version(instance: dg.DagsterInstance, home: Path, values: list[int], *, day: str | None = None) -> str:
    """The data version of a table of these values, once it is materialised."""

    @dg.asset(partitions_def=DAYS if day else None)
    def numbers() -> dg.Output[pa.Table]:
        return dg.Output(pa.table({"number": values}))

    workspace = Workspace(root=str(home))
    resources = {"io_manager": LakeIOManager(workspace=workspace)}
    assert dg.materialize([numbers], instance=instance, resources=resources, partition_key=day).success
    event = instance.get_latest_materialization_event(numbers.key)
    assert event is not None
    assert event.asset_materialization is not None
    tags = event.asset_materialization.tags or {}
    return tags["dagster/data_version"]


@pytest.mark.parametrize("day", [None, "2026-01-01"])
def test_equal_content_is_the_same_version(instance: dg.DagsterInstance, tmp_path: Path, day: str | None) -> None:
    first = version(instance, tmp_path, [1, 2], day=day)
    assert version(instance, tmp_path, [1, 2], day=day) == first
    assert version(instance, tmp_path, [1, 3], day=day) != first
    assert version(instance, tmp_path, [1, 2], day=day) == first


def test_a_day_that_is_written_again_leaves_the_versions_of_the_others(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    first = version(instance, tmp_path, [1], day="2026-01-01")
    assert version(instance, tmp_path, [2], day="2026-01-02") != first
    assert version(instance, tmp_path, [1], day="2026-01-01") == first
