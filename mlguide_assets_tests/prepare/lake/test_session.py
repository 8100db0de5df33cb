"""What a session keeps: expressions that were read, and scratch space."""

import os

from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.session import READINGS
from mlguide_assets_tests.prepare.lake.tables import numbers, values


def test_files_that_are_read_again_are_the_same_expression(local: Lake) -> None:
    local.write("t", numbers(1))
    first = local.read("t")
    assert local.read("t") is first
    local.write("t", numbers(2))
    assert values(local) == [2]
    assert first.to_pyarrow()["n"].to_pylist() == [1]


def test_a_lake_keeps_only_some_expressions(local: Lake) -> None:
    for number in range(READINGS + 1):
        local.write_partition("t", f"{number:03d}", numbers(number))
    reads = [local.read("t", partitions=[f"{number:03d}"]) for number in range(READINGS + 1)]
    assert local.read("t", partitions=["000"]) is not reads[0]
    assert local.read("t", partitions=[f"{READINGS:03d}"]) is reads[-1]


def test_scratch_is_removed_and_so_is_what_a_killed_process_left_a_day_ago(local: Lake) -> None:
    left, young = local.root / ".scratch-left", local.root / ".scratch-young"
    for folder in (left, young):
        folder.mkdir(parents=True)
    os.utime(left, (0, 0))
    with local.scratch("It") as folder:
        (folder / "file").write_text("")
        assert not left.exists()
    assert not folder.exists()
    assert young.exists()
