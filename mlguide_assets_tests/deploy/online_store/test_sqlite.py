"""The store as a file: what damages it, what is left beside it, and finding users by the start of their ids."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets_tests.deploy.online_store.states import (
    NOON,
    Interrupted,
    Place,
    stamps,
    state,
    state_of_users,
    users,
)


@pytest.fixture
def path(on_disk: Place) -> Path:
    return Path(on_disk.where)


def is_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def is_empty(path: Path) -> None:
    path.write_bytes(b"")


def is_text(path: Path) -> None:
    path.write_text("user_id,stamp\n" * 1000)


def is_of_another_schema(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE published (as_of TEXT)")
        database.execute("INSERT INTO published VALUES ('2024-04-01')")
    database.close()


def is_described_otherwise(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute('UPDATE published SET publication = \'{"as_of": "2024-04-01"}\'')
    database.close()


def has_no_description(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM published")
    database.close()


def lacks_a_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE last_sends")
    database.close()


DAMAGES = [is_cut, is_empty, is_text, is_of_another_schema, is_described_otherwise, has_no_description, lacks_a_table]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_reported_with_its_remedy_and_replaced_by_the_next_state(
    on_disk: Place, path: Path, damage: Callable[[Path], None]
) -> None:
    on_disk.open().publish(state(2))
    damage(path)
    with pytest.raises(StoreError, match=r"is damaged or of another version .*materialize online_store") as caught:
        stamps(on_disk)
    assert str(path) in str(caught.value)
    # Of the same instant, since a state that can be read in part tells its instant.
    assert on_disk.open().publish(state(3, NOON + timedelta(minutes=2)))
    assert stamps(on_disk) == {3}


def test_a_damage_is_noticed_by_a_store_that_is_open(on_disk: Place, path: Path) -> None:
    store = on_disk.open()
    store.publish(state(1))
    assert store.current() is not None
    is_text(path)
    with pytest.raises(StoreError, match="materialize online_store"):
        store.current()


def test_a_file_that_is_restored_from_a_copy_is_read_again(on_disk: Place, path: Path, tmp_path: Path) -> None:
    store = on_disk.open()
    store.publish(state(1))
    shutil.copy(path, tmp_path / "copy")
    store.publish(state(2))
    assert stamps(on_disk) == {2}
    shutil.copy(tmp_path / "copy", path)
    snapshot = store.current()
    assert snapshot is not None
    assert snapshot.publication.as_of == state(1).publication.as_of
    assert snapshot.look_up("users", [0])[0]["stamp"] == 1


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = SqliteStore(tmp_path / "file" / "sample.sqlite")
    assert store.current() is None
    with pytest.raises(StoreError, match=r"could not be written .*free space or fix permissions"):
        store.publish(state(1))


class TestLitter:
    """Beside the file there is the lock that publishers take, and nothing else."""

    def test_a_publication_leaves_none(self, on_disk: Place, path: Path) -> None:
        on_disk.open().publish(state(1))
        on_disk.open().publish(state(2))
        assert not on_disk.open().publish(state(1))
        assert beside(path) == {f".{path.name}.lock"}

    def test_a_failed_publication_leaves_none(self, on_disk: Place, path: Path) -> None:
        on_disk.open().publish(state(1))

        def fail() -> None:
            raise RuntimeError("the source went away")

        with pytest.raises(RuntimeError, match="the source went away"):
            on_disk.open().publish(state_of_users(Interrupted(users(2), fail), NOON + timedelta(days=1)))
        assert stamps(on_disk) == {1}
        assert beside(path) == {f".{path.name}.lock"}

    def test_what_a_killed_publisher_left_is_removed_once_it_is_old(self, on_disk: Place, path: Path) -> None:
        on_disk.open().publish(state(1))
        left, written = (path.with_name(f".{path.name}.{name}.tmp") for name in ("left", "written"))
        left.touch()
        written.touch()
        os.utime(left, times=(time.time() - 3 * 3600,) * 2)
        on_disk.open().publish(state(2))
        assert beside(path) == {f".{path.name}.lock", written.name}


def beside(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()} - {path.name}


PREFIXES = ("", "0", "1", "12", "00", "01", "٣", "-1", " 1", "1 ", "+1", "1e3", "1_0", "4999", "9" * 18, "9" * 20)
PREFIXES += ("922337203685477580", "9223372036854775807", "9223372036854775808", "9" * 5000)
IDS = [-(2**63), -12, -1, *range(5000), 10**9, 12 * 10**15, *range(10**18 - 5, 10**18 + 5), 2**63 - 2, 2**63 - 1]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> SqliteStore:
    store = SqliteStore(tmp_path_factory.mktemp("many") / "users.sqlite")
    store.publish(state_of_users(pa.table({"user_id": IDS})))
    return store


@pytest.mark.parametrize("limit", [1, 3, 20, 10_000])
@pytest.mark.parametrize("text", PREFIXES, ids=lambda text: ascii(text)[:25])
def test_users_are_found_by_the_start_of_their_ids(many: SqliteStore, text: str, limit: int) -> None:
    snapshot = many.current()
    assert snapshot is not None
    found = [row["user_id"] for row in snapshot.search("users", text, limit)]
    assert found == sorted(key for key in IDS if key >= 0 and text and str(key).startswith(text))[:limit]
