"""The lake under many processes: killed writers, full disks, writers and readers at once. All of it real."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pyarrow as pa
import pytest

from mlguide_assets.prepare.lake import Lake

BIG_ROWS = 3_000_000

PRELUDE = """
    import os, pathlib, resource, signal, sys, time
    import pyarrow as pa
    from mlguide_assets.errors import InputError
    from mlguide_assets.prepare.lake import Lake

    lake = Lake(pathlib.Path(sys.argv[1]))
    numbers = lambda *values: pa.table({"n": pa.array(values, pa.int64())})
"""

KILLED_AT_A_RENAME = """
    last, rename = int(sys.argv[2]), pathlib.Path.replace
    calls = 0

    def replace_or_die(self, target):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    pathlib.Path.replace = replace_or_die
    # The second round renames one file fewer where the content is equal, so that each call is another moment.
    for number in (100, 101):
        lake.write_partition("t", "2024-01-02", numbers(number))
"""

KILLED_AT_AN_UNLINK = """
    unlink = pathlib.Path.unlink

    def unlink_or_die(self, missing_ok=False):
        if self.suffix == ".parquet":
            os.kill(os.getpid(), signal.SIGKILL)
        return unlink(self, missing_ok)

    pathlib.Path.unlink = unlink_or_die
    for number in range(6):
        lake.write_partition("t", "2024-01-02", numbers(number))
"""

BIG_WRITE = f"""
    print("writing", flush=True)
    lake.write_partition("t", "2024-01-02", lake.connection.sql(
        "SELECT i AS n, hash(i)::VARCHAR AS noise FROM range({BIG_ROWS}) AS r(i)"
    ))
    print("written", flush=True)
"""

FULL_DISK = """
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    big = pa.table({"n": list(range(100_000)), "noise": [str(hash(str(i))) for i in range(100_000)]})
    duck = lake.connection.sql("SELECT i AS n, hash(i)::VARCHAR AS noise FROM range(100000) AS r(i)")
    for data in (big, duck):
        try:
            lake.write("t", data)
        except InputError as error:
            print(error)
"""

PARTITIONS = """
    for day in range(10):
        lake.write_partition(sys.argv[2], f"{sys.argv[3]}-{day:02d}", numbers(day))
        for table in lake.tables():
            lake.read(table).count().execute()
"""

APPENDS = """
    for number in range(10):
        lake.append("t", numbers(number))
"""

SAME_BYTES = """
    lake.write("arrow", pa.table({"n": list(range(50_000)), "s": [str(i % 7) for i in range(50_000)]}))
    lake.write("duck", lake.connection.sql(
        "SELECT i AS n, (i % 7)::VARCHAR AS s, TIMESTAMP '1969-01-01' + to_hours(i) AS at FROM range(400000) AS r(i)"
    ).order_by("s", "n"))
    print({name: snapshot.content_hash for name, snapshot in lake.tables().items()})
"""


def start(code: str, root: Path, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", dedent(PRELUDE) + dedent(code), str(root), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def values(lake: Lake) -> list[int]:
    return sorted(lake.read("t").select("n").to_pyarrow()["n"].to_pylist())


def assert_recovers(lake: Lake) -> None:
    """The next write works, and no file is left that a kept snapshot does not name."""
    lake.write_partition("t", "2024-01-03", numbers(7))
    kept = lake.history("t")
    assert kept[-1] == lake.snapshot("t")
    assert values(lake)[-1] >= 7
    named = {file.file for snapshot in kept for file in snapshot.partitions.values()}
    folder = lake.root / "t"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {f"data/{name}" for name in named} | {f"snapshots/{snapshot.id}.json" for snapshot in kept}
    assert found == wanted | {"current", ".lock"}


@pytest.mark.parametrize("rename", [1, 2, 3, 4, 5])
def test_a_writer_killed_at_any_rename_leaves_the_previous_snapshot(tmp_path: Path, rename: int) -> None:
    lake = Lake(tmp_path)
    before = lake.write_partition("t", "2024-01-01", numbers(1, 2))
    process = start(KILLED_AT_A_RENAME, tmp_path, rename)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    # Three renames make a write: data, manifest, pointer.
    assert values(lake) == ([1, 2] if rename <= 3 else [1, 2, 100])
    assert lake.snapshot("t") == before or rename > 3
    assert_recovers(lake)


def test_a_writer_killed_while_cleaning_leaves_what_it_wrote(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write_partition("t", "2024-01-01", numbers(1, 2))
    process = start(KILLED_AT_AN_UNLINK, tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert values(lake) == [1, 2, 4]
    assert_recovers(lake)


def test_a_writer_killed_within_a_big_file_leaves_the_previous_snapshot(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    before = lake.write_partition("t", "2024-01-01", numbers(1, 2))
    process = start(BIG_WRITE, tmp_path)
    assert process.stdout
    assert process.stdout.readline() == "writing\n"
    data = tmp_path / "t" / "data"
    while not any(path.stat().st_size > 100_000 for path in data.glob(".*.tmp")):
        assert process.poll() is None
    process.kill()
    assert "written" not in process.communicate(timeout=60)[0]
    assert list(data.glob(".*.tmp"))
    assert lake.snapshot("t") == before
    assert values(lake) == [1, 2]
    assert_recovers(lake)


def test_a_full_disk_is_told_in_one_sentence_and_leaves_the_previous_snapshot(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    before = lake.write("t", numbers(1, 2))
    told = finish(start(FULL_DISK, tmp_path)).splitlines()
    assert len(told) == 2
    for sentence in told:
        assert sentence.startswith(f"Table 't' could not be written to {tmp_path / 't'} (")
        assert "too large" in sentence
        assert "free space" in sentence
    assert lake.snapshot("t") == before
    assert values(lake) == [1, 2]


def test_two_processes_write_different_tables_while_both_read(tmp_path: Path) -> None:
    writers = [start(PARTITIONS, tmp_path, table, "p") for table in ("left", "right")]
    for writer in writers:
        finish(writer)
    tables = Lake(tmp_path).tables()
    assert {name: (len(table.partitions), table.rows) for name, table in tables.items()} == {
        "left": (10, 10),
        "right": (10, 10),
    }


def test_two_processes_that_write_one_table_lose_nothing(tmp_path: Path) -> None:
    writers = [start(PARTITIONS, tmp_path, "t", name) for name in ("a", "b")]
    for writer in writers:
        finish(writer)
    written = Lake(tmp_path).snapshot("t")
    assert sorted(written.partitions) == [f"{name}-{day:02d}" for name in "ab" for day in range(10)]
    assert written.sequence == 20


def test_two_processes_that_append_to_one_table_lose_nothing(tmp_path: Path) -> None:
    writers = [start(APPENDS, tmp_path) for _ in range(2)]
    for writer in writers:
        finish(writer)
    assert values(Lake(tmp_path)) == sorted([*range(10), *range(10)])


def test_equal_data_is_equal_bytes_in_two_processes(tmp_path: Path) -> None:
    writers = [start(SAME_BYTES, tmp_path / name) for name in ("a", "b")]
    first, second = (finish(writer) for writer in writers)
    assert first == second
    files = [sorted(path.name for path in (tmp_path / name).glob("*/data/*")) for name in ("a", "b")]
    assert files[0] == files[1]
    assert len(json.loads(first.replace("'", '"'))) == 2
