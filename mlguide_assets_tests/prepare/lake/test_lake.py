"""The lake in one process: snapshots, partitions, history and cleaning."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import quoted
from mlguide_assets.prepare.lake.data_files import Partitions, Query, write_arrow
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets_tests.prepare.lake.tables import numbers, values


def test_what_is_written_is_read(lake: Lake) -> None:
    snapshot = lake.write("t", numbers(1, 2))
    assert values(lake) == [1, 2]
    assert (snapshot.rows, snapshot.sequence) == (2, 1)
    assert lake.tables() == {"t": snapshot}


def test_an_expression_over_the_table_itself_can_replace_it(lake: Lake) -> None:
    lake.write("t", numbers(1, 2))
    lake.write("t", lake.read("t").filter(lambda t: t.n > 1))
    assert values(lake) == [2]


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


def test_a_file_that_is_written_again_as_it_was_stays(lake: Lake) -> None:
    """It has the name of its content, and what was changed is removed."""

    def same(source: Path, target: Path) -> bool:
        write_arrow(pq.read_table(source), target)
        return True

    lake.write("t", numbers(1, 2))
    lake.rewrite("t", same)
    assert values(lake) == [1, 2]


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


def test_many_partitions_are_written_as_one_would_be(local: Lake) -> None:
    rows = local.connection.sql("SELECT i AS n, hash(i)::VARCHAR AS s FROM range(20000) AS r(i)")
    local.write("source", rows)
    (source,) = local.files("source")
    queries = {
        f"p{part}": Query(f"SELECT * FROM read_parquet({quoted(source)}) WHERE n % 9 = {part} ORDER BY s")
        for part in range(9)
    }
    many = local.write_partitions("many", Partitions(queries, {}))
    for key, query in queries.items():
        alone = local.write_partitions("alone", Partitions({key: query}, {}))
        assert alone.partitions[key] == many.partitions[key]
    assert many.rows == 20_000


def test_other_inputs_of_equal_content_are_noted_and_make_no_snapshot(lake: Lake) -> None:
    first = lake.write_partitions("t", Partitions({"a": numbers(1)}, {"a": "before"}, notes={"n": 1}))
    second = lake.write_partitions("t", Partitions({"a": numbers(1)}, {"a": "after"}, notes={"n": 2}))
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert lake.history("t") == [second]
    assert (lake.snapshot("t").partitions["a"].inputs, lake.snapshot("t").notes) == ("after", {"n": 2})


def test_a_partition_to_keep_that_is_gone_is_reported_and_nothing_changes(lake: Lake) -> None:
    old = lake.write("t", numbers(1)).partitions
    for number in range(2, 9):
        newest = lake.write("t", numbers(number))
    with pytest.raises(
        InputError, match="Partition 'all' of table 't' was replaced by other runs meanwhile: run again"
    ):
        lake.write_partitions("t", Partitions({"b": numbers(2)}, {}, kept=old))
    assert lake.snapshot("t") == newest


def test_a_failing_partition_leaves_the_previous_snapshot(local: Lake) -> None:
    first = local.write("t", numbers(1))
    queries = {f"p{part}": Query("SELECT 1 AS n") for part in range(6)}
    # A file that cannot be read is not told as a disk that cannot be written.
    with pytest.raises(InputError, match=r"^Table 't' could not be computed: the file no_such_file\.parquet is gone\."):
        local.write_partitions("t", Partitions({**queries, "p3": Query("FROM 'no_such_file.parquet'")}, {}))
    assert local.snapshot("t") == first
    local.write_partitions("t", Partitions(queries, {}))
    assert len(list((local.root / "t" / "data").iterdir())) == 7


def test_a_manifest_of_an_earlier_version_is_read(local: Lake) -> None:
    written = local.write("t", numbers(1))
    path = local.root / "t" / "snapshots" / f"{written.id}.json"
    manifest = json.loads(path.read_text())
    del manifest["notes"], manifest["partitions"]["all"]["inputs"]
    path.write_text(json.dumps(manifest))
    assert local.snapshot("t") == written


def test_appending_only_adds(lake: Lake) -> None:
    for number in (1, 1, 2):
        before = lake.snapshot("t").partitions if lake.exists("t") else {}
        after = lake.append("t", numbers(number)).partitions
        assert {key: after[key] for key in before} == before
    assert values(lake) == [1, 1, 2]


def test_the_five_newest_snapshots_are_kept_with_their_data_and_no_more(local: Lake) -> None:
    written = [local.write("t", numbers(number)) for number in range(8)]
    assert local.history("t") == written[-5:]
    folder = local.root / "t"
    assert {path.name for path in (folder / "data").iterdir()} == {
        snapshot.partitions["all"].file for snapshot in written[-5:]
    }
    assert len(list((folder / "snapshots").iterdir())) == 5
    assert [values(local, snapshot_id=snapshot.id) for snapshot in written[-5:]] == [[3], [4], [5], [6], [7]]
    with pytest.raises(MissingTableError, match="There is no snapshot '000001"):
        local.read("t", snapshot_id=written[0].id)


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


def test_a_manifest_that_never_became_current_is_not_history_and_is_cleaned(local: Lake) -> None:
    first = local.write("t", numbers(1))
    folder = local.root / "t" / "snapshots"
    orphan = folder / "000002-ffffffffffff.json"
    orphan.write_text((folder / f"{first.id}.json").read_text().replace('"sequence": 1', '"sequence": 2'))
    assert local.history("t") == [first]
    second = local.write("t", numbers(2))
    assert local.history("t") == [first, second]
    assert not orphan.exists()
    assert values(local) == [2]


def test_a_table_nobody_wrote_is_missed_with_those_there_are(lake: Lake) -> None:
    lake.write("users", numbers(1))
    with pytest.raises(MissingTableError, match=r"There is no table 'user' in .*; did you mean 'users'\?"):
        lake.read("user")


def test_an_empty_table_keeps_its_columns(lake: Lake) -> None:
    lake.write("t", numbers())
    assert lake.read("t").schema().names == ("n",)
    assert values(lake) == []


def test_a_table_is_read_as_arrow_in_the_order_of_its_partitions(lake: Lake) -> None:
    for key, number in (("b", 2), ("a", 1), ("c", 3)):
        before = lake.write_partition("t", key, numbers(number))
    lake.write_partition("t", "b", numbers(20, 21))
    assert lake.read_arrow("t") == numbers(1, 20, 21, 3)
    assert lake.read_arrow("t", ["c", "a"]) == numbers(3, 1)
    assert lake.read_arrow("t", snapshot_id=before.id) == numbers(1, 2, 3)
    with pytest.raises(MissingTableError, match="'t' has no partition 'd'"):
        lake.read_arrow("t", ["d"])


@pytest.mark.parametrize(("count", "partition", "found"), [(1, None, [3]), (4, None, [3, 1, 2]), (4, "a", [1, 2])])
def test_first_rows_are_those_of_the_newest_partitions(
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


def test_the_folder_of_an_engine_that_was_killed_while_it_wrote_goes_with_the_next_write(lake: Lake) -> None:
    """Spark's tasks write into one beside the data files."""
    lake.write("t", numbers(1))
    left = lake.root / "t" / "data" / "ab12.tmp.parts"
    (left / "_temporary" / "0").mkdir(parents=True)
    os.utime(left, (0, 0))
    lake.write("t", numbers(2))
    assert not left.exists()
    assert values(lake) == [2]


@pytest.mark.parametrize("content", [None, b"", b"../../t/snapshots/x", b"000002-0123", b"\xff\x00", "folder"])
def test_a_pointer_that_is_lost_or_damaged_is_known_from_the_newest_manifest(
    local: Lake, content: bytes | str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Taken for a table that is not there yet, it would lose all rows to the next writer."""
    local.append("t", numbers(1))
    newest = local.append("t", numbers(2))
    pointer = local.root / "t" / "current"
    pointer.unlink()
    if isinstance(content, str):
        pointer.mkdir()
    elif content is not None:
        pointer.write_bytes(content)
    assert local.exists("t")
    assert local.tables() == {"t": newest}
    assert local.history("t")[-1] == newest
    third = local.append("t", numbers(3))
    assert (values(local), pointer.read_text()) == ([1, 2, 3], third.id)
    assert f"{pointer} was lost or damaged" in caplog.text
    local.restore("t", None)
    assert not local.exists("t")


def test_a_manifest_that_is_gone_is_said_and_what_the_advice_leaves_is_the_write_before(local: Lake) -> None:
    local.append("t", numbers(1))
    newest = local.append("t", numbers(2))
    (local.root / "t" / "snapshots" / f"{newest.id}.json").unlink()
    for ask in (lambda: values(local), lambda: local.append("t", numbers(3)), lambda: local.history("t")):
        with pytest.raises(InputError, match=rf"{newest.id}.json is gone: restore it .*, or remove .*/t/current;"):
            ask()
    (local.root / "t" / "current").unlink()
    assert values(local) == [1]


def test_a_damaged_manifest_of_an_earlier_snapshot_is_no_reason_not_to_write_unless_it_is_pinned(local: Lake) -> None:
    first, second = (local.write("t", numbers(number)) for number in (1, 2))
    third = local.write("t", numbers(3))
    (local.root / "t" / "snapshots" / f"{first.id}.json").write_bytes(b"{")
    assert local.history("t") == [second, third]
    local.pin("t", second.id, "learned")
    (local.root / "t" / "snapshots" / f"{second.id}.json").write_bytes(b"{")
    with pytest.raises(InputError, match=f"{second.id}.json is damaged"):
        local.write("t", numbers(4))
    assert values(local) == [3]


DAMAGED = [b"", b"{", b"[]", b"{}", b"\xff", b'{"partitions": {"all": 1}}', b"[" * 100_000]


@pytest.mark.parametrize("content", [*DAMAGED, "../../../other.parquet", "/etc/hostname", ".."])
def test_a_damaged_manifest_is_said(local: Lake, content: bytes | str) -> None:
    """Also one that names a file elsewhere, which would be read as rows, or removed as a file of the table."""
    local.write("t", numbers(1, 2))
    (manifest,) = (local.root / "t" / "snapshots").iterdir()
    if isinstance(content, str):
        stored = json.loads(manifest.read_bytes())
        stored["partitions"]["all"]["file"] = content
        content = json.dumps(stored).encode()
    manifest.write_bytes(content)
    for ask in (lambda: values(local), lambda: local.write("t", numbers(3)), lambda: local.tables()):
        with pytest.raises(InputError, match=r"json is damaged, or of a later version of mlguide: restore it"):
            ask()
