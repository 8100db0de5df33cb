"""A lake on object storage: what is stored and fetched, what two hosts do at once, and where it is."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake import bucket as bucket_module
from mlguide_assets.prepare.lake.bucket import Bucket, Stored
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.remote_pointers import strays
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets.settings import LAKE_VARIABLE, Home, LakePlace
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.prepare.lake.tables import numbers, values

PROBE = ".conditional-writes"


def address(lake: Lake) -> str:
    assert lake.place.address is not None
    return lake.place.address


def fetched(objects: ObjectServer) -> set[str]:
    """The partitions whose data were asked for since the requests were last cleared."""
    names = [path.rpartition("/")[2] for method, path in objects.seen if method == "GET" and "/data/" in path]
    return {name.rpartition("-")[0].rpartition("-")[0] for name in names}


def sent(objects: ObjectServer) -> int:
    """How many data files were stored since then."""
    return sum(method == "PUT" and "/data/" in path for method, path in objects.seen)


# What is stored, and what is fetched.


def test_only_what_a_kept_snapshot_names_is_stored(remote: Lake, objects: ObjectServer) -> None:
    for number in range(8):
        remote.write_partition("t", "ab"[number % 2], numbers(number))
    remote.pin("t", remote.history("t")[0].id, "champion")
    found = {name for name in objects.objects(address(remote)) if name != PROBE}
    data = {f"t/data/{file.file}" for snapshot in remote.history("t") for file in snapshot.partitions.values()}
    manifests = {name for name in found if name.startswith("t/snapshots/")}
    assert found == data | manifests | {"t/head.json"}
    assert len(manifests) == 5


def test_another_host_fetches_what_it_reads_and_only_once(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    for day in "abc":
        remote.write_partition("t", day, numbers(ord(day)))
    objects.seen.clear()
    assert other.snapshot("t") == remote.snapshot("t")
    assert other.tables() == remote.tables()
    assert fetched(objects) == set()
    assert values(other, partitions=["b"]) == [98]
    assert fetched(objects) == {"b"}
    assert other.first_rows(other.snapshot("t"), 1).num_rows == 1
    assert fetched(objects) == {"b", "c"}
    objects.seen.clear()
    assert values(other) == [97, 98, 99]
    assert fetched(objects) == {"a"}


def test_a_large_file_goes_up_and_comes_down_in_parts(
    remote: Lake, other: Lake, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "CHUNK", 1_000_000)
    noise = pa.table({"n": pa.array(os.urandom(6_000_000), pa.uint8())})
    written = remote.write("t", noise)
    assert sent(objects) > 1
    assert other.read_arrow("t") == noise
    assert (
        sum(method == "GET" and "/data/" in path for method, path in objects.seen)
        == written.partitions["all"].bytes // 1_000_000 + 1
    )


def test_content_that_the_table_has_is_not_stored_again(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    first = remote.write_partitions("t", Partitions({"a": numbers(1), "b": numbers(2)}, {"a": "before"}))
    objects.seen.clear()
    second = other.write_partitions("t", Partitions({"a": numbers(1), "b": numbers(2)}, {"a": "after"}))
    assert sent(objects) == 0
    assert (second.id, second.partitions["a"].inputs) == (first.id, "after")
    assert remote.snapshot("t") == second
    other.write_partition("t", "b", numbers(3))
    assert sent(objects) == 1


def test_a_local_file_cut_short_is_fetched_again(remote: Lake) -> None:
    remote.write("t", numbers(1, 2))
    (path,) = remote.files("t")
    path.write_bytes(path.read_bytes()[:-1])
    assert remote.read_arrow("t") == numbers(1, 2)
    (remote.root / "t" / "data" / path.name).unlink()
    assert values(remote) == [1, 2]


@pytest.mark.parametrize(("content", "told"), [(b"x" * 9_000, "is damaged"), (None, "is gone")])
def test_an_object_that_is_not_what_was_stored_is_reported(
    remote: Lake, other: Lake, content: bytes | None, told: str
) -> None:
    file = remote.write("t", numbers(1)).partitions["all"]
    stored = f"t/data/{file.file}"
    if content is None:
        remote._files.remove("t", [file.file])
    else:
        remote._files.bucket.put(stored, content[: file.bytes])  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=f"The object {stored} of {address(remote)} {told}"):
        other.read("t")
    # A writer that could keep it makes it anew instead.
    assert (other.held("t", {"all": file}) == {}) is (content is None)


def test_a_damaged_copy_of_a_manifest_is_fetched_again(remote: Lake) -> None:
    remote.write("t", numbers(1))
    (copy,) = remote.root.glob("t/snapshots/*.json")
    copy.write_bytes(b"")
    assert values(remote) == [1]


@pytest.mark.parametrize("name", ["../../../other.json", "/etc/hostname"])
def test_a_head_that_names_what_is_elsewhere_is_refused(remote: Lake, name: str) -> None:
    """It would be read from, or written to, another folder of this host."""
    remote.write("t", numbers(1))
    bucket = Bucket(address(remote))
    found = bucket.get("t/head.json")
    assert found is not None
    (known,) = json.loads(found[0])["manifests"].values()
    for content in (found[0].replace(known.encode(), name.encode()), b"[]", b"{"):
        bucket.put("t/head.json", content)
        with pytest.raises(InputError, match=r"The object t/head\.json of s3://.* is damaged"):
            values(remote)


def test_a_removed_table_is_none_and_can_be_written_anew(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    remote.write("t", numbers(1))
    other.restore("t", None)
    assert not remote.exists("t")
    assert remote.tables() == {}
    with pytest.raises(MissingTableError):
        remote.read("t")
    assert set(objects.objects(address(remote))) == {"t/head.json", PROBE}
    assert remote.append("t", numbers(2)).sequence == 1
    assert values(other) == [2]


# Two hosts at once: the other one acts while the first is about to move the pointer.


def meanwhile(objects: ObjectServer, act: Callable[[], object]) -> Callable[[str, str], None]:
    """A rule that lets another host act, once, before a head is replaced."""

    def rule(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("/head.json"):
            objects.rule = None
            act()

    return rule


def test_of_two_partitions_written_at_once_both_stay(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    remote.write_partition("t", "a", numbers(1))
    with objects.failing(meanwhile(objects, lambda: other.write_partition("t", "b", numbers(2)))):
        written = remote.write_partition("t", "c", numbers(3))
    assert values(other) == [1, 2, 3]
    assert written == other.snapshot("t")
    assert written.sequence == 3


def test_of_two_first_writes_both_stay(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    with objects.failing(meanwhile(objects, lambda: other.append("t", numbers(1)))):
        remote.append("t", numbers(2))
    assert other.read_arrow("t") == numbers(1, 2)


def test_of_two_whole_tables_the_later_one_stays_and_the_other_is_history(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    with objects.failing(meanwhile(objects, lambda: other.write("t", numbers(1)))):
        remote.write("t", numbers(2))
    assert [values(other, snapshot_id=each.id) for each in other.history("t")] == [[1], [2]]


def test_the_same_content_written_twice_is_one_snapshot(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    with objects.failing(meanwhile(objects, lambda: other.write("t", numbers(1)))):
        remote.write("t", numbers(1))
    assert len(other.history("t")) == 1


def test_a_partition_to_keep_that_another_host_replaced_and_forgot_is_reported(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    kept = remote.write("t", numbers(0)).partitions

    def forget() -> None:
        for number in range(1, 7):
            other.write("t", numbers(number))

    with (
        objects.failing(meanwhile(objects, forget)),
        pytest.raises(InputError, match="Partition 'all' of table 't' was replaced by other runs meanwhile"),
    ):
        remote.write_partitions("t", Partitions({"b": numbers(9)}, {}, kept=kept))
    assert values(other) == [6]


def test_a_partition_to_keep_that_is_still_there_stays(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    kept = remote.write("t", numbers(0)).partitions
    with objects.failing(meanwhile(objects, lambda: other.write("t", numbers(1)))):
        remote.write_partitions("t", Partitions({"b": numbers(9)}, {}, kept=kept))
    assert values(other) == [0, 9]


def test_a_pin_and_a_snapshot_that_is_forgotten_at_once(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    first = remote.write("t", numbers(0))

    def write(count: int) -> Callable[[], None]:
        return lambda: [other.write("t", numbers(count * 10 + number)) for number in range(count)] and None

    with objects.failing(meanwhile(objects, write(2))):
        remote.pin("t", first.id, "champion")
    # The writer comes second here: what it was about to forget is pinned meanwhile.
    for number in range(3):
        other.write("t", numbers(100 + number))
    assert values(other, snapshot_id=first.id) == [0]
    remote.unpin("t", "champion")
    with (
        objects.failing(meanwhile(objects, write(6))),
        pytest.raises(MissingTableError, match="There is no snapshot '000001"),
    ):
        remote.pin("t", first.id, "champion")
    assert other.pinned("t") == {}


def test_pins_of_two_hosts_both_stay_also_where_a_writer_comes_between(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    first = remote.write("t", numbers(0))
    with objects.failing(meanwhile(objects, lambda: other.pin("t", first.id, "other"))):
        remote.pin("t", first.id, "one")
    with objects.failing(meanwhile(objects, lambda: other.unpin("t", "other"))):
        remote.write("t", numbers(1))
    assert other.pinned("t") == {"one": first.id}


def test_a_table_restored_while_another_writes_is_as_it_was_restored(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    first, _ = remote.write("t", numbers(0)), remote.write("t", numbers(1))
    with objects.failing(meanwhile(objects, lambda: other.write("t", numbers(2)))):
        remote.restore("t", first.id)
    assert other.history("t") == [first]
    assert values(other) == [0]


def without(number: int) -> Callable[[Path, Path], bool]:
    """A change that erases a number."""

    def change(source: Path, target: Path) -> bool:
        rows = pa.parquet.read_table(source)
        kept = rows.filter(pa.compute.not_equal(rows["n"], number))
        if kept.num_rows < rows.num_rows:
            pa.parquet.write_table(kept, target)
        return bool(kept.num_rows < rows.num_rows)

    return change


def test_rows_are_erased_from_every_snapshot_every_object_and_every_host(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    first, second = remote.write("t", numbers(1, 7)), remote.write("t", numbers(2, 7))
    remote.pin("t", first.id, "champion")
    remote._files.bucket.put("t/data/all-of-a-crashed-writer.parquet", remote.files("t")[0])  # type: ignore[attr-defined]
    assert values(other) == [2, 7]
    old = {*remote.files("t"), *other.files("t")}
    with objects.failing(meanwhile(objects, lambda: other.write("t", numbers(3, 7)))):
        assert remote.rewrite("t", without(7)) == 4
    assert [values(other, snapshot_id=each.id) for each in other.history("t")] == [[1], [2], [3]]
    assert [each.id for each in other.history("t")][:2] == [first.id, second.id]
    assert other.pinned("t") == {"champion": first.id}
    data = [name for name in objects.objects(address(remote)) if "/data/" in name]
    assert len(data) == 3
    assert values(remote) == [3]
    assert not [path for path in old if path.exists()]


def test_notes_are_erased_from_every_manifest_and_every_host(remote: Lake, other: Lake, objects: ObjectServer) -> None:
    remote.write_partitions("t", Partitions({"a": numbers(1)}, {}, notes={"example": 7}))
    assert other.snapshot("t").notes == {"example": 7}
    remote.rewrite("t", without(7), lambda notes: {**notes, "example": None})
    assert other.snapshot("t").notes == {"example": None}
    stored = [content for name, content in objects.objects(address(remote)).items() if "/snapshots/" in name]
    kept = [path.read_bytes() for lake in (remote, other) for path in lake.root.glob("t/snapshots/*.json")]
    assert (len(stored), len(kept)) == (1, 2)
    assert not [content for content in kept if b'"example": 7' in content]


def test_what_was_begun_before_rows_were_erased_elsewhere_is_not_published(
    remote: Lake, other: Lake, objects: ObjectServer
) -> None:
    remote.write("t", numbers(1, 7))
    with (
        objects.failing(meanwhile(objects, lambda: other.rewrite("t", without(7)))),
        pytest.raises(InputError, match="Rows of table 't' were forgotten on another host while it was written"),
    ):
        remote.write_partition("t", "b", numbers(7))
    assert values(other) == [1]


# What nobody names.


def test_what_no_snapshot_names_stays_while_it_may_be_another_writers(remote: Lake, objects: ObjectServer) -> None:
    remote.write("t", numbers(1))
    for name in ("t/data/all-0-1.parquet", "t/snapshots/000009-0.json"):
        remote._files.bucket.put(name, b"1")  # type: ignore[attr-defined]
    remote.write("t", numbers(2))
    assert {"t/data/all-0-1.parquet", "t/snapshots/000009-0.json"} <= set(objects.objects(address(remote)))


def test_strays_are_old_by_the_clock_of_the_store() -> None:
    now = datetime(2026, 1, 3, tzinfo=UTC)
    found = [
        Stored("named", 1, now - timedelta(days=9)),
        Stored("old", 1, now - timedelta(days=1, seconds=1)),
        Stored("young", 1, now - timedelta(hours=23)),
        Stored("new", 1, now),
    ]
    assert strays(found, {"named"}) == ["old"]
    # Without a young object to tell the time by, nothing is old.
    assert strays(found[:1], set()) == []
    assert strays([], set()) == []


# Where it is.


def test_a_lake_elsewhere_has_a_place_for_each_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    monkeypatch.setenv(LAKE_VARIABLE, "s3://bucket/a/b/")
    assert home.lake("one") == LakePlace(tmp_path / "lake_cache" / "one", "s3://bucket/a/b/one")
    for folder in (str(tmp_path / "x y"), f"file://{tmp_path}/x%20y"):
        monkeypatch.setenv(LAKE_VARIABLE, folder)
        assert home.lake("one") == LakePlace(tmp_path / "x y" / "one")
    monkeypatch.delenv(LAKE_VARIABLE)
    assert home.lake("one") == LakePlace(tmp_path / "lake" / "one")


@pytest.mark.parametrize("given", ["s3://key:hidden@bucket/p", "s3://", "ftp://host/x", "s3://b/p?token=hidden", "rel"])
def test_what_is_no_place_for_a_lake_is_reported_without_repeating_it(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAKE_VARIABLE, given)
    with pytest.raises(InputError, match="MLGUIDE_LAKE must be a bucket and a prefix") as caught:
        Home(Path("home")).lake("one")
    assert "hidden" not in str(caught.value)
