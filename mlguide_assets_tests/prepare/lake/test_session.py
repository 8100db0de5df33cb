"""What a session keeps: expressions that were read, and scratch space."""

import multiprocessing
import os
import signal
from pathlib import Path

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


def die_in_scratch(root: Path) -> None:
    with Lake(root).scratch("It") as folder:
        (folder / "rows").write_text("1")
        os.kill(os.getpid(), signal.SIGKILL)


def test_scratch_of_a_killed_process_goes_with_the_next_and_that_of_one_that_lives_stays(local: Lake) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=die_in_scratch, args=(local.root,))
    killed.start()
    killed.join()
    (left,) = (path for path in local.root.glob(".scratch-*") if path.is_dir())
    with local.scratch("It") as mine, Lake(local.root).scratch("It") as another:
        assert not left.exists()
        assert mine.is_dir()
        assert another.is_dir()
    assert not list(local.root.glob(".scratch-*"))


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
