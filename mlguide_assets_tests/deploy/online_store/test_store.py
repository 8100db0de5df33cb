"""What every kind of store does: one whole state at any moment, never an older one after a newer."""

import signal
import subprocess
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.deploy.online_store.opening import open_store
from mlguide_assets.deploy.online_store.redis import RedisStore
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.online_store.store import Snapshot, StoreError
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home
from mlguide_assets_tests.deploy.online_store.states import (
    NOON,
    USERS,
    Interrupted,
    Place,
    stamps,
    state,
    state_of_users,
    users,
)

LARGEST, SMALLEST = 2**63 - 1, -(2**63)


def current(place: Place) -> Snapshot:
    snapshot = place.open().current()
    assert snapshot is not None
    return snapshot


def test_nothing_is_published_at_first(place: Place) -> None:
    assert place.open().current() is None


def test_a_state_is_looked_up_by_key(place: Place) -> None:
    assert place.open().publish(state(1))
    snapshot = current(place)
    assert snapshot.look_up("users", [7]) == {7: {"user_id": 7, "stamp": 1}}
    assert snapshot.look_up("emails", [1]) == {1: {"email_id": 1, "stamp": 1}}
    assert snapshot.look_up("last_sends", [9]) == {9: {"user_id": 9, "email_id": 2, "stamp": 1}}


def test_what_is_known_of_a_publication_comes_back(place: Place) -> None:
    published = state(1, NOON.replace(microsecond=1))
    place.open().publish(published)
    assert current(place).publication == published.publication


def test_a_key_that_is_forgotten_is_gone_and_the_others_stay(place: Place) -> None:
    """Also the first of a part, and one that is offered to try things out with."""
    place.open().publish(state(1), batch_rows=50)
    assert place.open().forget("user_id", 3) == 1
    assert place.open().forget("user_id", 9) == 2
    assert place.open().forget("user_id", 50) == 1
    assert place.open().forget("user_id", 50) == 0
    snapshot = current(place)
    assert snapshot.look_up("users", [3, 9, 50]) == {}
    assert set(snapshot.look_up("users", range(USERS))) == {*range(USERS)} - {3, 9, 50}
    assert set(snapshot.look_up("last_sends", [0, 9])) == {0}
    assert set(snapshot.look_up("emails", [1, 2])) == {1, 2}
    assert snapshot.publication.examples == {"users": (1,)}


def test_ids_may_be_texts(place: Place) -> None:
    ids = [f"c-{number:03}" for number in range(120)] + ["ä'\"", "Z"]
    place.open().publish(state_of_users(pa.table({"user_id": ids, "stamp": range(len(ids))})), batch_rows=50)
    snapshot = current(place)
    assert snapshot.look_up("users", ids) == {each: {"user_id": each, "stamp": n} for n, each in enumerate(ids)}
    assert snapshot.look_up("users", ["c-0", "c-120", "", "zzz"]) == {}
    assert [row["user_id"] for row in snapshot.search("users", "c-007", 5)] == ["c-007"]
    assert snapshot.search("users", "", 5) == []
    # The first and the last of a part, in the order of the texts.
    for place_in_order in (0, 50, 99, 121):
        forgotten = sorted(ids)[place_in_order]
        assert place.open().forget("user_id", forgotten) == 1
        ids.remove(forgotten)
        ids.append(f"gone-{place_in_order}")
        kept = [each for each in ids if not each.startswith("gone")]
        assert set(current(place).look_up("users", [*kept, forgotten])) == set(kept)


def test_before_anything_is_published_nothing_is_forgotten(place: Place) -> None:
    assert place.open().forget("user_id", 3) == 0
    assert place.open().current() is None


def test_unknown_keys_have_no_state(place: Place) -> None:
    place.open().publish(state(1), batch_rows=50)
    snapshot = current(place)
    assert snapshot.look_up("users", [USERS, -1, 10**6, LARGEST, SMALLEST, 2**63, -(2**63) - 1, 10**30]) == {}
    assert snapshot.look_up("emails", [0, 3]) == {}
    assert snapshot.look_up("users", []) == {}


def test_many_keys_are_looked_up_at_once_in_any_order(place: Place) -> None:
    place.open().publish(state(1), batch_rows=50)
    asked = [*range(USERS - 1, 0, -3), USERS + 5, 4, 4, 0]
    found = current(place).look_up("users", asked)
    assert found == {key: {"user_id": key, "stamp": 1} for key in {*asked} - {USERS + 5}}


def test_unknown_tables_are_an_error(place: Place) -> None:
    place.open().publish(state(1))
    with pytest.raises(KeyError):
        current(place).look_up("users; DROP TABLE users", [1])


def test_ids_reach_to_the_limits_of_int64(place: Place) -> None:
    limits = [SMALLEST, SMALLEST + 1, -1, 0, LARGEST - 1, LARGEST]
    place.open().publish(state_of_users(pa.table({"user_id": limits, "stamp": limits})))
    found = current(place).look_up("users", limits)
    assert found == {key: {"user_id": key, "stamp": key} for key in limits}


def test_a_table_may_be_empty(place: Place) -> None:
    place.open().publish(state_of_users(pa.table({"user_id": pa.array([], pa.int64())})))
    snapshot = current(place)
    assert snapshot.look_up("users", [1]) == {}
    assert snapshot.search("users", "1", 5) == []
    assert snapshot.look_up("emails", [1]) == {1: {"email_id": 1, "stamp": 0}}


@pytest.mark.parametrize("name", ['size in "', '"; DROP TABLE users; --', "it's", "a\\b", "[x]", "{}", "*", "größe 日"])
def test_columns_may_have_any_name(place: Place, name: str) -> None:
    place.open().publish(state_of_users(pa.table({"user_id": [1, 2], name: ["a", "b"]})))
    snapshot = current(place)
    assert snapshot.look_up("users", [2]) == {2: {"user_id": 2, name: "b"}}
    assert snapshot.search("users", "1", 5) == [{"user_id": 1, name: "a"}]
    assert place.open().forget("user_id", 1) == 1


def test_values_keep_their_kind(place: Place) -> None:
    kinds = pa.table(
        {
            "user_id": pa.array([1], pa.int64()),
            "small": pa.array([3], pa.int16()),
            "share": pa.array([0.1], pa.float32()),
            "whole": pa.array([2.0], pa.float64()),
            "true": pa.array([True]),
            "text": pa.array(["007"]),
            "nothing": pa.array([None], pa.float64()),
            "not_a_number": pa.array([float("nan")]),
            "at": pa.array([NOON], pa.timestamp("us")),
            "day": pa.array([NOON.date()]),
        }
    )
    place.open().publish(state_of_users(kinds))
    row = current(place).look_up("users", [1])[1]
    assert datetime.fromisoformat(row.pop("at")) == NOON
    assert date.fromisoformat(row.pop("day")) == NOON.date()
    assert repr(row) == repr(
        {
            "user_id": 1,
            "small": 3,
            "share": 0.10000000149011612,
            "whole": 2.0,
            "true": 1,
            "text": "007",
            "nothing": None,
            "not_a_number": None,
        }
    )


def test_an_older_state_does_not_replace_a_newer(place: Place) -> None:
    place.open().publish(state(2))
    assert not place.open().publish(state(1))
    assert stamps(place) == {2}


def test_an_older_state_replaces_one_whose_data_were_taken_back(place: Place) -> None:
    place.open().publish(state(2))
    assert place.open().publish(state(1), over_newer=True)
    assert stamps(place) == {1}


def test_the_same_instant_again_replaces(place: Place) -> None:
    place.open().publish(state(1, NOON))
    assert place.open().publish(state(2, NOON))
    assert stamps(place) == {2}


def test_a_slow_older_state_does_not_replace_a_newer_that_overtook_it(place: Place) -> None:
    """The older one looks first, sees nothing, and is still being written while the newer is published."""
    slow = Interrupted(users(1), lambda: place.open().publish(state(2)))
    assert not place.open().publish(state_of_users(slow, NOON, 1))
    assert stamps(place) == {2}


@pytest.mark.parametrize("batch_rows", [1, 7, 499, 500, 501])
def test_batches_of_any_size_give_the_same_state(place: Place, batch_rows: int) -> None:
    place.open().publish(state(1), batch_rows=batch_rows)
    assert current(place).look_up("users", range(-1, USERS + 1)) == {
        key: {"user_id": key, "stamp": 1} for key in range(USERS)
    }


def test_rows_may_come_in_any_order(place: Place) -> None:
    backwards = pa.table({"user_id": range(USERS)[::-1], "stamp": range(USERS)})
    place.open().publish(state_of_users(backwards), batch_rows=50)
    found = current(place).look_up("users", range(USERS))
    assert {key: row["stamp"] for key, row in found.items()} == {key: USERS - 1 - key for key in range(USERS)}


@pytest.mark.parametrize("batch_rows", [50, 100_000])
@pytest.mark.parametrize("ids", [[*range(100), 49], [*range(99), None]], ids=["twice", "none"])
def test_rows_with_one_id_are_not_published(place: Place, ids: list[int | None], batch_rows: int) -> None:
    place.open().publish(state(1))
    with pytest.raises(StoreError, match="Two rows of users have one user_id, or one has none"):
        place.open().publish(
            state_of_users(pa.table({"user_id": ids}), NOON + timedelta(days=1)), batch_rows=batch_rows
        )
    assert stamps(place) == {1}


def test_what_is_held_keeps_answering_after_a_newer_publication(place: Place) -> None:
    store = place.open()
    store.publish(state(1))
    held = store.current()
    assert held is not None
    place.open().publish(state(2))
    newer = store.current()
    assert newer is not None
    assert [each.publication.examples["users"] for each in (held, newer)] == [(3, 1), (3, 2)]
    for snapshot, stamp in ((held, 1), (newer, 2)):
        assert snapshot.look_up("users", [USERS - 1])[USERS - 1]["stamp"] == stamp
        assert snapshot.look_up("last_sends", [0])[0]["stamp"] == stamp


def test_an_unchanged_state_is_the_same_snapshot(place: Place) -> None:
    store = place.open()
    store.publish(state(1))
    assert store.current() is store.current()


READER = """
import sys
from datetime import timedelta
from pathlib import Path
from mlguide_assets_tests.deploy.online_store.states import NOON, USERS, Place
stop, store = Path(sys.argv[1]), Place(*sys.argv[2:]).open()
reads, seen, last = 0, set(), NOON
print("ready", flush=True)
while not stop.exists():
    snapshot = store.current()
    as_of = snapshot.publication.as_of
    assert as_of >= last, (as_of, last)
    last = as_of
    rows = [*snapshot.look_up("users", [0, 250, USERS - 1]).values(), *snapshot.look_up("emails", [1, 2]).values()]
    rows += snapshot.look_up("last_sends", [0, 9]).values()
    stamps = {row["stamp"] for row in rows}
    assert len(rows) == 7 and stamps == {(as_of - NOON) // timedelta(minutes=1)}, (as_of, rows)
    seen |= stamps
    reads += 1
print(reads, len(seen))
"""


def test_a_reader_in_another_process_always_sees_one_whole_state(place: Place, tmp_path: Path) -> None:
    place.open().publish(state(0))
    stop = tmp_path / "stop"
    with python(READER, str(stop), place) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for stamp in range(1, 21):
            assert place.open().publish(state(stamp), batch_rows=100)
            time.sleep(0.02)
        stop.touch()
        out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    reads, states = map(int, out.split())
    assert reads >= states > 3


PUBLISHER = """
import sys
from mlguide_assets_tests.deploy.online_store.states import Place, interrupted_state
store = Place(*sys.argv[2:]).open()
print("ready", flush=True)
for stamp in range(1, 12, 2):
    store.publish(interrupted_state(stamp), batch_rows=100)
"""


def test_of_two_that_publish_at_once_the_newest_state_stays(place: Place) -> None:
    with python(PUBLISHER, "", place) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for stamp in range(0, 13, 2):
            place.open().publish(state(stamp), batch_rows=100)
        _, err = other.communicate(timeout=60)
    assert other.returncode == 0, err
    assert stamps(place) == {12}


KILLED = """
import sys, time
from mlguide_assets_tests.deploy.online_store.states import Place, interrupted_state
def wait():
    print("half", flush=True)
    time.sleep(60)
Place(*sys.argv[2:]).open().publish(interrupted_state(2, wait))
"""


def test_a_publisher_that_is_killed_half_way_leaves_the_old_state(place: Place) -> None:
    place.open().publish(state(1))
    with python(KILLED, "", place) as publisher:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "half\n"
        publisher.send_signal(signal.SIGKILL)
    assert stamps(place) == {1}
    assert place.open().publish(state(3))
    assert stamps(place) == {3}


def python(script: str, argument: str, place: Place) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, argument, place.where, *filter(None, [place.problem])]
    root = Path(__file__).parents[3]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root)


def test_an_address_says_which_kind_of_store(tmp_path: Path) -> None:
    assert isinstance(open_store(Home(tmp_path), "sample"), SqliteStore)
    assert isinstance(open_store(Home(tmp_path), "sample", ""), SqliteStore)
    assert isinstance(open_store(Home(tmp_path), "sample", "redis://localhost/1"), RedisStore)
    assert isinstance(open_store(Home(tmp_path), "sample", "rediss://localhost/1"), RedisStore)
    with pytest.raises(InputError, match=r"redis://host:6379/0.*'postgresql' is neither"):
        open_store(Home(tmp_path), "sample", "postgresql://user:secret@host/db")


def test_without_its_package_a_redis_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlguide_assets.deploy.online_store.redis", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"package redis.*'uv pip install -c constraints.txt -e \"\.\[redis\]\"'"):
        open_store(Home(tmp_path), "sample", "redis://localhost/1")
