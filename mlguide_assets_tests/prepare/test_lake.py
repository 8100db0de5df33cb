"""The lake in one process: snapshots, partitions, history, pins, cleaning, and what a failing disk leaves."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.engine import quoted
from mlguide_assets.prepare.lake import READINGS, Lake, MissingTableError, Partitions, Query, small_table
from mlguide_assets_tests.prepare.ingesting import ingested
from mlguide_assets_tests.samples import sample_problem


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def values(lake: Lake, table: str = "t", **which: object) -> list[int]:
    return sorted(lake.read(table, **which).to_pyarrow()["n"].to_pylist())  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_what_is_written_is_read(lake: Lake) -> None:
    snapshot = lake.write("t", numbers(1, 2))
    assert values(lake) == [1, 2]
    assert (snapshot.rows, snapshot.sequence) == (2, 1)
    assert lake.tables() == {"t": snapshot}


def test_an_expression_over_the_table_itself_can_replace_it(lake: Lake) -> None:
    lake.write("t", numbers(1, 2))
    lake.write("t", lake.read("t").filter(lambda t: t.n > 1))
    assert values(lake) == [2]


def test_files_that_are_read_again_are_the_same_expression(lake: Lake) -> None:
    lake.write("t", numbers(1))
    first = lake.read("t")
    assert lake.read("t") is first
    lake.write("t", numbers(2))
    assert values(lake) == [2]
    assert first.to_pyarrow()["n"].to_pylist() == [1]


def test_a_lake_keeps_only_some_expressions(lake: Lake) -> None:
    for number in range(READINGS + 1):
        lake.write_partition("t", f"{number:03d}", numbers(number))
    reads = [lake.read("t", partitions=[f"{number:03d}"]) for number in range(READINGS + 1)]
    assert lake.read("t", partitions=["000"]) is not reads[0]
    assert lake.read("t", partitions=[f"{READINGS:03d}"]) is reads[-1]


def test_equal_content_keeps_the_snapshot(lake: Lake) -> None:
    first = lake.write("t", numbers(1))
    assert lake.write("t", numbers(1)) == first
    assert lake.history("t") == [first]


def test_content_that_comes_back_is_a_new_snapshot_with_the_old_hash(lake: Lake) -> None:
    first, _, third = lake.write("t", numbers(1)), lake.write("t", numbers(2)), lake.write("t", numbers(1))
    assert (third.sequence, third.content_hash) == (3, first.content_hash)
    assert values(lake) == [1]


def test_a_partition_is_replaced_and_the_others_are_kept(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    lake.write_partition("t", "2024-01-02", numbers(2))
    lake.write_partition("t", "2024-01-01", numbers(3, 4))
    assert values(lake) == [2, 3, 4]
    assert values(lake, partitions=["2024-01-02"]) == [2]


def test_rewriting_a_partition_with_its_content_changes_nothing(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    before = lake.write_partition("t", "2024-01-02", numbers(2))
    assert lake.write_partition("t", "2024-01-01", numbers(1)) == before


def test_partitions_of_equal_content_are_kept_apart(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    lake.write_partition("t", "2024-01-02", numbers(1))
    assert values(lake) == [1, 1]


def test_a_partition_nobody_wrote_is_missed_by_name(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    with pytest.raises(MissingTableError, match="'t' has no partition '2024-01-02'"):
        lake.read("t", partitions=["2024-01-02"])


def test_a_column_that_a_partition_lacks_is_null_where_columns_go_by_name(lake: Lake) -> None:
    lake.write_partition("t", "2026-01-01", numbers(1).append_column("added", pa.array(["x"])))
    lake.write_partition("t", "2026-01-02", numbers(2))
    rows = lake.read("t", by_name=True).to_pyarrow().to_pylist()
    assert rows == [{"n": 1, "added": "x"}, {"n": 2, "added": None}]


def test_partitions_are_replaced_kept_and_dropped_in_one_step(lake: Lake) -> None:
    for day in (1, 2, 3):
        first = lake.write_partition("t", f"d{day}", numbers(day))
    kept = {"d1": first.partitions["d1"]}
    written = lake.write_partitions(
        "t", Partitions({"d2": numbers(20), "d4": numbers(4)}, {"d2": "f2"}, kept=kept, notes={"of": "a writer"})
    )
    assert written == lake.snapshot("t")
    assert written.sequence == first.sequence + 1
    assert lake.read("t").to_pyarrow() == numbers(1, 20, 4)
    assert {key: file.inputs for key, file in written.partitions.items()} == {"d1": None, "d2": "f2", "d4": None}
    assert written.partitions["d1"] == first.partitions["d1"]
    assert values(lake, snapshot_id=first.id) == [1, 2, 3]


def test_many_partitions_are_written_as_one_would_be(lake: Lake) -> None:
    rows = lake.connection.sql("SELECT i AS n, hash(i)::VARCHAR AS s FROM range(20000) AS r(i)")
    lake.write("source", rows)
    (source,) = lake.files("source")
    queries = {
        f"p{part}": Query(f"SELECT * FROM read_parquet({quoted(source)}) WHERE n % 9 = {part} ORDER BY s")
        for part in range(9)
    }
    many = lake.write_partitions("many", Partitions(queries, {}))
    for key, query in queries.items():
        alone = lake.write_partitions("alone", Partitions({key: query}, {}))
        assert alone.partitions[key] == many.partitions[key]
    assert many.rows == 20_000


def test_other_inputs_of_equal_content_are_noted_and_make_no_snapshot(lake: Lake) -> None:
    first = lake.write_partitions("t", Partitions({"a": numbers(1)}, {"a": "before"}, notes={"n": 1}))
    second = lake.write_partitions("t", Partitions({"a": numbers(1)}, {"a": "after"}, notes={"n": 2}))
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert lake.history("t") == [second]
    assert (lake.snapshot("t").partitions["a"].inputs, lake.snapshot("t").notes) == ("after", {"n": 2})


def test_a_partition_to_keep_that_is_gone_is_told_and_nothing_changes(lake: Lake) -> None:
    old = lake.write("t", numbers(1)).partitions
    for number in range(2, 9):
        newest = lake.write("t", numbers(number))
    with pytest.raises(
        InputError, match="Partition 'all' of table 't' was replaced by other runs meanwhile: run again"
    ):
        lake.write_partitions("t", Partitions({"b": numbers(2)}, {}, kept=old))
    assert lake.snapshot("t") == newest


def test_a_failing_partition_leaves_the_previous_snapshot(lake: Lake) -> None:
    first = lake.write("t", numbers(1))
    queries = {f"p{part}": Query("SELECT 1 AS n") for part in range(6)}
    # A file that cannot be read is not told as a disk that cannot be written.
    with pytest.raises(InputError, match=r"^Table 't' could not be computed: the file no_such_file\.parquet is gone\."):
        lake.write_partitions("t", Partitions({**queries, "p3": Query("FROM 'no_such_file.parquet'")}, {}))
    assert lake.snapshot("t") == first
    lake.write_partitions("t", Partitions(queries, {}))
    assert len(list((lake.root / "t" / "data").iterdir())) == 7


def test_a_manifest_of_an_earlier_version_is_read(lake: Lake) -> None:
    written = lake.write("t", numbers(1))
    path = lake.root / "t" / "snapshots" / f"{written.id}.json"
    manifest = json.loads(path.read_text())
    del manifest["notes"], manifest["partitions"]["all"]["inputs"]
    path.write_text(json.dumps(manifest))
    assert lake.snapshot("t") == written


def test_scratch_is_removed_and_so_is_what_a_killed_process_left_a_day_ago(lake: Lake) -> None:
    left, young = lake.root / ".scratch-left", lake.root / ".scratch-young"
    for folder in (left, young):
        folder.mkdir(parents=True)
    os.utime(left, (0, 0))
    with lake.scratch("It") as folder:
        (folder / "file").write_text("")
        assert not left.exists()
    assert not folder.exists()
    assert young.exists()


def test_appending_only_adds(lake: Lake) -> None:
    for number in (1, 1, 2):
        before = lake.snapshot("t").partitions if lake.exists("t") else {}
        after = lake.append("t", numbers(number)).partitions
        assert {key: after[key] for key in before} == before
    assert values(lake) == [1, 1, 2]


def test_the_five_newest_snapshots_are_kept_with_their_data_and_no_more(lake: Lake) -> None:
    written = [lake.write("t", numbers(number)) for number in range(8)]
    assert lake.history("t") == written[-5:]
    folder = lake.root / "t"
    assert {path.name for path in (folder / "data").iterdir()} == {
        snapshot.partitions["all"].file for snapshot in written[-5:]
    }
    assert len(list((folder / "snapshots").iterdir())) == 5
    assert [values(lake, snapshot_id=snapshot.id) for snapshot in written[-5:]] == [[3], [4], [5], [6], [7]]
    with pytest.raises(MissingTableError, match="There is no snapshot '000001"):
        lake.read("t", snapshot_id=written[0].id)


def test_one_snapshot_can_be_all_that_is_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path, keep=1)
    for number in range(3):
        lake.write("t", numbers(number))
    assert values(lake) == [2]
    assert len(lake.history("t")) == 1


def test_a_partition_that_an_older_snapshot_names_is_kept(lake: Lake) -> None:
    first = lake.write_partition("t", "2024-01-01", numbers(1))
    for number in range(3):
        lake.write_partition("t", "2024-01-02", numbers(number))
    assert values(lake, snapshot_id=first.id) == [1]


def test_a_manifest_that_never_became_current_is_not_history_and_is_cleaned(lake: Lake) -> None:
    first = lake.write("t", numbers(1))
    folder = lake.root / "t" / "snapshots"
    orphan = folder / "000002-ffffffffffff.json"
    orphan.write_text((folder / f"{first.id}.json").read_text().replace('"sequence": 1', '"sequence": 2'))
    assert lake.history("t") == [first]
    second = lake.write("t", numbers(2))
    assert lake.history("t") == [first, second]
    assert not orphan.exists()
    assert values(lake) == [2]


def test_a_table_nobody_wrote_is_missed_with_those_there_are(lake: Lake) -> None:
    lake.write("users", numbers(1))
    with pytest.raises(MissingTableError, match=r"There is no table 'user' in .*; did you mean 'users'\?"):
        lake.read("user")


def test_an_empty_table_keeps_its_columns(lake: Lake) -> None:
    lake.write("t", numbers())
    assert lake.read("t").schema().names == ("n",)
    assert values(lake) == []


def test_a_lake_below_a_regular_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lake = Lake(tmp_path / "file" / "lake")
    with pytest.raises(InputError) as caught:
        lake.write("t", numbers(1))
    told = str(caught.value)
    assert "\n" not in told
    assert "Table 't' could not be written to" in told
    assert str(tmp_path / "file" / "lake") in told
    assert "(Not a directory)" in told
    assert "mend permissions" in told
    with pytest.raises(MissingTableError, match="There is no table 't'"):
        lake.read("t")


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "a [1]")
    lake.write("t", numbers(1))
    [gone] = (lake.root / "t" / "data").iterdir()
    # Also where the lake has read it before.
    assert values(lake) == [1]
    gone.unlink()
    with pytest.raises(InputError) as caught:
        lake.read("t")
    assert str(caught.value).startswith(f"Table 't' cannot be read: the file {gone} is gone. Run again;")
    assert "\n" not in str(caught.value)


def test_a_home_below_a_regular_file_is_told_before_a_source_is_read(duck: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"What is read could not be written to .*mend permissions") as caught:
        ingested(sample_problem(tmp_path), duck, tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_a_table_is_read_as_arrow_in_the_order_of_its_partitions(lake: Lake) -> None:
    for key, number in (("b", 2), ("a", 1), ("c", 3)):
        before = lake.write_partition("t", key, numbers(number))
    lake.write_partition("t", "b", numbers(20, 21))
    assert lake.read_arrow("t") == numbers(1, 20, 21, 3)
    assert lake.read_arrow("t", ["c", "a"]) == numbers(3, 1)
    assert lake.read_arrow("t", snapshot_id=before.id) == numbers(1, 2, 3)
    with pytest.raises(MissingTableError, match="'t' has no partition 'd'"):
        lake.read_arrow("t", ["d"])


@pytest.mark.parametrize(("count", "partition", "found"), [(2, None, [1, 2]), (4, None, [1, 2, 3]), (4, "b", [3])])
def test_first_rows_are_those_of_the_first_partitions(
    lake: Lake, count: int, partition: str | None, found: list[int]
) -> None:
    for key, rows in {"b": numbers(3), "a": numbers(1, 2), "0": numbers()}.items():
        snapshot = lake.write_partition("t", key, rows)
    rows = lake.first_rows(snapshot, count, partition)
    assert rows["n"].to_pylist() == found
    assert rows.schema == numbers().schema


def test_a_record_that_gained_a_column_is_read_as_arrow(lake: Lake) -> None:
    lake.append("t", numbers(1))
    lake.append("t", pa.table({"n": pa.array([2], pa.int64()), "why": ["late"]}))
    assert lake.read_arrow("t").to_pylist() == [{"n": 1, "why": None}, {"n": 2, "why": "late"}]


def test_a_small_table_is_what_pyarrow_would_make(lake: Lake) -> None:
    fields = [("text", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("b", pa.bool_())]
    schema = pa.schema([*fields, ("texts", pa.list_(pa.string()))])
    rows: list[dict[str, Any]] = [
        {"text": 'a "line"\nand \u2028 émoji 😀', "n": 2**62 + 1, "x": 0.1 + 0.2, "b": True, "texts": ["a", None]},
        {"texts": [], "text": "2024-01-01"},
        {"text": "x" * 3_000_000},
        {},
    ]
    for some in (rows, rows[3:], []):
        assert small_table(some, schema) == pa.Table.from_pylist(some, schema)
    with pytest.raises(pa.ArrowInvalid, match="unexpected field"):
        small_table([{"other": 1}], schema)


def test_a_record_is_kept_without_ibis_duckdb_or_pandas(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import pyarrow as pa
from mlguide_assets.prepare.lake import READINGS, Lake, small_table
lake, schema = Lake(Path(sys.argv[1])), pa.schema([("n", pa.int64()), ("why", pa.list_(pa.string()))])
for n in range(8):
    snapshot = lake.append("t", small_table([{"n": n, "why": ["a"]}], schema))
    lake.pin("t", snapshot.id, "newest")
assert lake.exists("t") and lake.snapshot("t").rows == 8 and len(lake.files("t")) == 8 and lake.tables()
assert lake.read_arrow("t")["n"].to_pylist() == list(range(8))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"ibis", "duckdb", "pandas"}))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_pinned_snapshot_survives_ten_writes_and_counts_for_none_of_the_kept(lake: Lake) -> None:
    written = [lake.write("t", numbers(number)) for number in range(2)]
    lake.pin("t", written[0].id, "champion")
    written += [lake.write("t", numbers(number)) for number in range(2, 12)]
    assert lake.pinned("t") == {"champion": written[0].id}
    assert lake.history("t") == [written[0], *written[-5:]]
    assert values(lake, snapshot_id=written[0].id) == [0]
    assert lake.read_arrow("t", snapshot_id=written[0].id) == numbers(0)
    assert len(list((lake.root / "t" / "data").iterdir())) == 6
    # Another process finds the same.
    assert Lake(lake.root).history("t") == lake.history("t")


def test_every_partition_of_a_pinned_snapshot_stays(lake: Lake) -> None:
    lake.write_partition("t", "a", numbers(1))
    pinned = lake.write_partition("t", "b", numbers(2))
    lake.pin("t", pinned.id, "champion")
    for number in range(10):
        lake.write_partition("t", "ab"[number % 2], numbers(100 + number))
    assert values(lake, snapshot_id=pinned.id) == [1, 2]


def test_the_current_snapshot_can_be_pinned_and_another_is_still_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path, keep=1)
    written = []
    for number in range(4):
        written.append(lake.write("t", numbers(number)))
        if number == 1:
            lake.pin("t", written[1].id, "champion")
    assert lake.history("t") == [written[1], written[3]]


def test_an_unpinned_snapshot_goes_at_the_next_write(lake: Lake) -> None:
    first = lake.write("t", numbers(0))
    for reason in ("champion", "challenger 2"):
        lake.pin("t", first.id, reason)
    for number in range(1, 9):
        lake.write("t", numbers(number))
    lake.unpin("t", "champion")
    lake.write("t", numbers(9))
    assert values(lake, snapshot_id=first.id) == [0]
    lake.unpin("t", "challenger 2")
    lake.unpin("t", "challenger 2")
    assert lake.pinned("t") == {}
    assert values(lake, snapshot_id=first.id) == [0]
    lake.write("t", numbers(10))
    with pytest.raises(MissingTableError, match="There is no snapshot '000001"):
        lake.read("t", snapshot_id=first.id)
    assert len(list((lake.root / "t" / "data").iterdir())) == 5


def test_a_reason_pins_one_snapshot_and_moves_when_pinned_again(lake: Lake) -> None:
    written = []
    for number in range(7):
        written.append(lake.write("t", numbers(number)))
        lake.pin("t", written[-1].id, "champion")
    assert lake.pinned("t") == {"champion": written[-1].id}
    written.append(lake.write("t", numbers(7)))
    # The pinned one, which is the last but one, and five others.
    assert lake.history("t") == written[2:]


def test_a_snapshot_that_is_gone_or_never_was_cannot_be_pinned(lake: Lake) -> None:
    with pytest.raises(MissingTableError, match="There is no snapshot '1' of table 't'"):
        lake.pin("t", "1", "champion")
    assert not lake.root.exists()
    written = [lake.write("t", numbers(number)) for number in range(6)]
    folder = lake.root / "t" / "snapshots"
    # What a crash kept from becoming current.
    current = (folder / f"{written[-1].id}.json").read_text()
    orphan = current.replace('"sequence": 6', '"sequence": 7').replace(written[-1].id, "000007-ffffffffffff")
    (folder / "000007-ffffffffffff.json").write_text(orphan)
    for gone in (written[0].id, "000007-ffffffffffff", "../current"):
        with pytest.raises(MissingTableError, match="There is no snapshot"):
            lake.pin("t", gone, "champion")
    assert lake.pinned("t") == {}


@pytest.mark.parametrize("reason", ["", ".", "..", ".hidden", "a/b", "../current", "/etc/x"])
def test_a_reason_is_a_plain_name(lake: Lake, reason: str) -> None:
    snapshot = lake.write("t", numbers(1))
    for refused in (lambda: lake.pin("t", snapshot.id, reason), lambda: lake.unpin("t", reason)):
        with pytest.raises(ValueError, match="is a plain name"):
            refused()
    assert values(lake) == [1]


def test_unpinning_what_nobody_pinned_makes_nothing(lake: Lake) -> None:
    lake.unpin("t", "champion")
    assert lake.pinned("t") == {}
    assert not lake.root.exists()


def pin_and_die(root: Path, snapshot_id: str) -> None:
    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Path.replace = die  # type: ignore[method-assign, assignment]
    Lake(root).pin("t", snapshot_id, "champion")


def test_a_pin_killed_half_way_leaves_the_one_before_and_no_rubbish_after_the_next_write(lake: Lake) -> None:
    first, second = lake.write("t", numbers(1)), lake.write("t", numbers(2))
    lake.pin("t", first.id, "champion")
    # Spawned rather than forked, since a fork would share DuckDB's threads.
    process = multiprocessing.get_context("spawn").Process(target=pin_and_die, args=(lake.root, second.id))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    pins = lake.root / "t" / "pins"
    assert len(list(pins.iterdir())) == 2
    assert lake.pinned("t") == {"champion": first.id}
    lake.write("t", numbers(3))
    assert [path.name for path in pins.iterdir()] == ["champion"]


def test_pins_moved_while_another_writes_and_cleans_always_lead_to_whole_snapshots(tmp_path: Path) -> None:
    lake, moved = Lake(tmp_path, keep=1), 0
    lake.pin("t", lake.write("t", numbers(0)).id, "moving")
    with ThreadPoolExecutor(1) as pool:
        writes = pool.submit(lambda: [Lake(tmp_path, keep=1).write("t", numbers(number)) for number in range(1, 60)])
        while not writes.done():
            # Who looks first and pins then may come too late, and is told.
            with contextlib.suppress(MissingTableError):
                lake.pin("t", lake.snapshot("t").id, "moving")
                moved += 1
            assert lake.read_arrow("t", snapshot_id=lake.pinned("t")["moving"]).num_rows == 1
        writes.result()
    assert moved > 0
