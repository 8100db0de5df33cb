"""The lake under many processes: killed writers, full disks, writers and readers at once. All of it real."""

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import LakePlace
from mlguide_assets_tests.object_store import ObjectServer, enter
from mlguide_assets_tests.prepare.ingesting import ingested
from mlguide_assets_tests.processes import PROCESSES, in_two_processes, is_killed
from mlguide_assets_tests.samples import sample_problem, write_sample

BIG_ROWS = 3_000_000
PARTITIONS = 8


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def noise(lake: Lake, rows: int) -> Any:
    return lake.connection.sql(f"SELECT i AS n, hash(i)::VARCHAR AS noise FROM range({rows}) AS r(i)")


def die_at_call(last: int, function: str, suffix: str = "") -> None:
    """Kill this process where a method of Path is called the n-th time on a path with the suffix."""
    original, calls = getattr(Path, function), 0

    def call_or_die(self: Path, *arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += self.suffix == suffix or not suffix
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments, **named)

    setattr(Path, function, call_or_die)


def write_and_die_at_rename(root: Path, rename: int) -> None:
    lake = Lake(root)
    die_at_call(rename, "replace")
    for number in (100, 101):
        lake.write_partition("t", "2024-01-02", numbers(number))


def replace_and_die_at_rename(root: Path, rename: int) -> None:
    lake = Lake(root)
    kept = {"2024-01-01": lake.snapshot("t").partitions["2024-01-01"]}
    die_at_call(rename, "replace")
    for number in (100, 101):
        lake.write_partitions("t", Partitions({"2024-01-02": numbers(number), "2024-01": numbers()}, {}, kept=kept))


def write_and_die_cleaning(root: Path) -> None:
    lake = Lake(root)
    die_at_call(1, "unlink", ".parquet")
    for number in range(8):
        lake.write_partition("t", "2024-01-02", numbers(number))


def write_big(root: Path) -> None:
    lake = Lake(root)
    lake.write_partition("t", "2024-01-02", noise(lake, BIG_ROWS))


def write_to_full_disk(root: Path) -> list[str]:
    """Write as Arrow and as DuckDB writes, and return what went wrong."""
    lake, told = Lake(root), []
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for data in (noise(lake, 100_000).to_pyarrow(), noise(lake, 100_000)):
        try:
            lake.write("t", data)
        except InputError as error:
            told.append(str(error))
    return told


def ingest_on_full_disk(source: Path, scratch: Path) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
    with pytest.raises(InputError) as caught:
        ingested(sample_problem(source), connect(), scratch)
    return str(caught.value)


def write_partitions_and_read(root: Path, table: str, name: str) -> None:
    lake = Lake(root)
    for day in range(PARTITIONS):
        lake.write_partition(table, f"{name}-{day}", numbers(day))
        for found in lake.tables():
            lake.read(found).count().execute()


def append(root: Path) -> None:
    lake = Lake(root)
    for number in range(PARTITIONS):
        lake.append("t", numbers(number))


def write_the_same(root: Path) -> dict[str, str]:
    lake = Lake(root)
    rows = lake.connection.sql(
        "SELECT i AS n, (i % 7)::VARCHAR AS s, TIMESTAMP '1969-01-01' + to_hours(i) AS at FROM range(300000) AS r(i)"
    )
    lake.write("duck", rows.order_by("s", "n"))
    lake.write("arrow", pa.table({"n": list(range(50_000)), "s": [str(i % 7) for i in range(50_000)]}))
    return {name: snapshot.partitions["all"].sha256 for name, snapshot in lake.tables().items()}


def values(lake: Lake) -> list[int]:
    return sorted(lake.read("t").select("n").to_pyarrow()["n"].to_pylist())


def assert_recovers(lake: Lake) -> None:
    """The next write works, and no file is left that a kept snapshot does not name."""
    lake.write_partition("t", "2024-01-03", numbers(7))
    kept = lake.history("t")
    assert kept[-1] == lake.snapshot("t")
    assert 7 in values(lake)
    folder = lake.root / "t"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    data = {f"data/{file.file}" for snapshot in kept for file in snapshot.partitions.values()}
    assert found == data | {f"snapshots/{snapshot.id}.json" for snapshot in kept} | {"current", ".lock"}


@pytest.mark.parametrize("rename", [1, 2, 3, 4, 5])
def test_a_writer_killed_at_any_rename_leaves_the_previous_snapshot(tmp_path: Path, rename: int) -> None:
    lake = Lake(tmp_path)
    lake.write_partition("t", "2024-01-01", numbers(1, 2))
    process = PROCESSES.Process(target=write_and_die_at_rename, args=(tmp_path, rename))
    process.start()
    assert is_killed(process)
    # Three renames make a write: data, manifest, pointer.
    assert values(lake) == ([1, 2] if rename <= 3 else [1, 2, 100])
    assert lake.snapshot("t").sequence == (1 if rename <= 3 else 2)
    assert_recovers(lake)


@pytest.mark.parametrize("rename", [2, 3, 4])
def test_so_does_a_writer_of_several_partitions(tmp_path: Path, rename: int) -> None:
    lake = Lake(tmp_path)
    for day in (1, 2, 3):
        lake.write_partition("t", f"2024-01-0{day}", numbers(day))
    process = PROCESSES.Process(target=replace_and_die_at_rename, args=(tmp_path, rename))
    process.start()
    assert is_killed(process)
    # Two for the data, one for the manifest, and the pointer last.
    assert values(lake) == [1, 2, 3]
    assert lake.snapshot("t").sequence == 3
    assert_recovers(lake)


def test_a_writer_killed_while_cleaning_leaves_what_it_wrote(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write_partition("t", "2024-01-01", numbers(1, 2))
    process = PROCESSES.Process(target=write_and_die_cleaning, args=(tmp_path,))
    process.start()
    assert is_killed(process)
    # The sixth write is the first to leave a file that no kept snapshot names.
    assert values(lake) == [1, 2, 5]
    assert_recovers(lake)


def test_a_writer_killed_within_a_big_file_leaves_the_previous_snapshot(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    before = lake.write_partition("t", "2024-01-01", numbers(1, 2))
    process = PROCESSES.Process(target=write_big, args=(tmp_path,))
    process.start()
    data = tmp_path / "t" / "data"
    while not any(path.stat().st_size > 100_000 for path in data.glob(".*.tmp")):
        assert process.is_alive()
        time.sleep(0.002)
    process.kill()
    assert is_killed(process)
    assert list(data.glob(".*.tmp"))
    assert lake.snapshot("t") == before
    assert values(lake) == [1, 2]
    assert_recovers(lake)


def test_a_full_disk_is_reported_in_one_sentence_and_leaves_the_previous_snapshot(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    before = lake.write("t", numbers(1, 2))
    [told] = in_two_processes(write_to_full_disk, (tmp_path,))
    assert len(told) == 2
    for sentence in told:
        assert "\n" not in sentence
        assert sentence.startswith(f"Table 't' could not be written to {tmp_path / 't'} (")
        assert "File too large" in sentence
        assert "free space" in sentence
    assert lake.snapshot("t") == before
    assert values(lake) == [1, 2]
    assert_recovers(lake)


def test_a_disk_that_fills_while_a_source_is_read_is_reported_in_one_sentence(tmp_path: Path) -> None:
    source = write_sample(tmp_path / "shop")
    [told] = in_two_processes(ingest_on_full_disk, (source, tmp_path / "lake"))
    assert told.startswith(f"What is read could not be written to {tmp_path / 'lake' / 'scratch'} (")
    assert "File too large" in told
    assert "free space" in told
    assert "\n" not in told
    assert not list((tmp_path / "lake" / "scratch").iterdir())


def test_two_processes_write_different_tables_while_both_read(tmp_path: Path) -> None:
    in_two_processes(write_partitions_and_read, (tmp_path, "left", "p"), (tmp_path, "right", "p"))
    tables = Lake(tmp_path).tables()
    assert {name: (len(table.partitions), table.rows) for name, table in tables.items()} == {
        "left": (PARTITIONS, PARTITIONS),
        "right": (PARTITIONS, PARTITIONS),
    }


def test_two_processes_that_write_one_table_lose_nothing(tmp_path: Path) -> None:
    in_two_processes(write_partitions_and_read, (tmp_path, "t", "a"), (tmp_path, "t", "b"))
    written = Lake(tmp_path).snapshot("t")
    assert sorted(written.partitions) == [f"{name}-{day}" for name in "ab" for day in range(PARTITIONS)]
    assert written.sequence == 2 * PARTITIONS


def test_two_processes_that_append_to_one_table_lose_nothing(tmp_path: Path) -> None:
    in_two_processes(append, (tmp_path,), (tmp_path,))
    assert values(Lake(tmp_path)) == sorted([*range(PARTITIONS), *range(PARTITIONS)])


def test_equal_data_is_equal_bytes_in_two_processes(tmp_path: Path) -> None:
    first, second = in_two_processes(write_the_same, (tmp_path / "a",), (tmp_path / "b",))
    assert first == second
    assert len(first) == 2


def write_in_turn(environment: dict[str, str], place: LakePlace, name: str) -> None:
    enter(environment)
    lake = Lake(place)
    for number in range(4):
        lake.append("record", numbers(number))
        lake.write_partition("t", f"{name}{number}", numbers(number))


def test_two_processes_on_two_hosts_lose_nothing(remote: Lake, objects: ObjectServer, tmp_path: Path) -> None:
    places = [LakePlace(tmp_path / name, remote.place.address) for name in "ab"]
    in_two_processes(write_in_turn, *((objects.environment, place, place.root.name) for place in places))
    assert sorted(remote.read_arrow("record")["n"].to_pylist()) == sorted([*range(4), *range(4)])
    assert sorted(remote.snapshot("t").partitions) == [f"{name}{number}" for name in "ab" for number in range(4)]
    assert remote.snapshot("t").sequence == remote.snapshot("record").sequence == 8


def write_and_die(environment: dict[str, str], place: LakePlace, put: int) -> None:
    enter(environment)
    import obstore

    original, calls = obstore.put, 0

    def put_or_die(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == put:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)  # type: ignore[arg-type]

    obstore.put = put_or_die  # type: ignore[assignment]
    Lake(place).write_partition("t", "b", numbers(2))


def test_a_writer_killed_before_any_of_its_writes_leaves_the_previous_snapshot(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    before = remote.write_partition("t", "a", numbers(1))
    # Data, manifest, and the head last.
    for put in (1, 2, 3):
        process = PROCESSES.Process(target=write_and_die, args=(objects.environment, other.place, put))
        process.start()
        assert is_killed(process)
        assert remote.snapshot("t") == before
    assert values(other) == [1]
    other.write_partition("t", "b", numbers(2))
    assert values(remote) == [1, 2]
