"""A lake on object storage: what is stored and fetched, what two hosts do at once, and what a failing store says."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake import bucket as bucket_module
from mlguide_assets.prepare.lake.bucket import Stored, Version
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
    assert fetched(objects) == {"a", "b"}
    objects.seen.clear()
    assert values(other) == [97, 98, 99]
    assert fetched(objects) == {"c"}


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
def test_an_object_that_is_not_what_was_stored_is_told(
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


def test_a_partition_to_keep_that_another_host_replaced_and_forgot_is_told(
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


# A store that fails.


def every_second(code: str, kinds: tuple[str, ...] = ("GET", "PUT", "DELETE")) -> Callable[[str, str], str | None]:
    calls = 0

    def rule(method: str, path: str) -> str | None:
        nonlocal calls
        calls += method in kinds
        return code if method in kinds and calls % 2 else None

    return rule


def puts_of(what: str, code: str) -> Callable[[str, str], str | None]:
    return lambda method, path: code if method == "PUT" and what in path else None


@pytest.mark.parametrize("failure", ["503 SlowDown", "cut", "cut after"])
def test_a_store_that_fails_in_bursts_costs_time_and_nothing_else(
    remote: Lake, other: Lake, objects: ObjectServer, failure: str
) -> None:
    kinds = ("PUT",) if failure == "cut after" else ("GET", "PUT", "DELETE")
    with objects.failing(every_second(failure, kinds)):
        for number in range(3):
            remote.append("t", numbers(number))
        assert other.read_arrow("t") == numbers(0, 1, 2)
    assert remote.snapshot("t").sequence == 3


def test_a_store_that_stays_away_is_told_and_the_next_run_goes_on(
    remote: Lake, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = remote.write("t", numbers(1))
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.5)
    later = Lake(remote.place)
    with objects.failing(puts_of("", "503 SlowDown")), pytest.raises(InputError) as caught:
        later.write("t", numbers(2))
    assert str(caught.value) == (
        f"The lake at {address(remote)} is overloaded or failing (HTTP 503), and was tried again for 0 s: run again "
        f"later; what was there before is untouched."
    )
    assert remote.snapshot("t") == before
    later.write("t", numbers(2))
    assert values(remote) == [2]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("400 ExpiredToken", "refuses credentials whose session has expired"),
        ("403 InvalidAccessKeyId", "does not know these credentials"),
        ("403 AccessDenied", "does not allow this with these credentials"),
        ("301 PermanentRedirect", "is in another region"),
        ("400 Strange", r"failed \(Strange\)"),
    ],
)
def test_a_store_that_refuses_is_told_in_one_sentence_without_keys(
    remote: Lake, objects: ObjectServer, failure: str, told: str
) -> None:
    remote.write("t", numbers(1))
    with objects.failing(lambda method, path: failure), pytest.raises(InputError, match=told) as caught:
        remote.write("t", numbers(2))
    assert values(remote) == [1]
    error: BaseException | None = caught.value
    assert "\n" not in str(error)
    while error is not None:
        # Also not where a record of the run looks.
        assert "AKIA" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_session_that_expires_half_way_leaves_the_previous_snapshot(remote: Lake, objects: ObjectServer) -> None:
    remote.write("t", numbers(1))
    for last in ("/data/", "/snapshots/", "/head.json"):
        with objects.failing(puts_of(last, "400 ExpiredToken")), pytest.raises(InputError, match="session has expired"):
            remote.write("t", numbers(2))
        assert values(remote) == [1]
    remote.write("t", numbers(2))
    assert values(remote) == [2]


def test_a_missing_bucket_is_told(objects: ObjectServer, tmp_path: Path) -> None:
    lake = Lake(LakePlace(tmp_path, "s3://nobodys/lake"))
    for look in (lambda: lake.write("t", numbers(1)), lake.tables, lambda: lake.exists("t")):
        with pytest.raises(InputError, match="s3://nobodys/lake has no bucket of that name: create it"):
            look()


def test_a_store_that_nobody_answers_for_is_told(
    objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="does not answer: check the network"):
        Lake(LakePlace(tmp_path, objects.address())).write("t", numbers(1))


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_told(remote: Lake, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(InputError, match="no credentials were found: set those of the store"):
        remote.tables()


def test_a_store_without_conditional_writes_is_refused(
    remote: Lake, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "honours_conditions", False)
    with pytest.raises(InputError, match="ignores conditional writes"):
        remote.write("t", numbers(1))
    assert not remote.exists("t")


def test_a_condition_names_what_the_store_told() -> None:
    assert Version('"e"', None).mode == {"e_tag": '"e"'}
    assert Version(None, "7").mode == {"version": "7"}


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
def test_what_is_no_place_for_a_lake_is_told_without_repeating_it(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAKE_VARIABLE, given)
    with pytest.raises(InputError, match="MLGUIDE_LAKE must be a bucket and a prefix") as caught:
        Home(Path("home")).lake("one")
    assert "hidden" not in str(caught.value)
