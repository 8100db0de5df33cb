"""The store in a Redis: equal to the file, gone in time, and telling what is wrong with a Redis."""

import json
import math
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from mlguide_assets.deploy.online_store.redis import GRACE, RedisStore
from mlguide_assets.deploy.online_store.redis_draft import UNFINISHED
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets.errors import InputError
from mlguide_assets_tests.deploy.online_store.conftest import keys_of
from mlguide_assets_tests.deploy.online_store.states import (
    NOON,
    USERS,
    Interrupted,
    Place,
    interrupted_state,
    stamps,
    state,
    state_of_users,
    users,
)
from mlguide_assets_tests.redis_server import redis_address, redis_port

LATER = NOON + timedelta(days=1)

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "wide": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.int8(), st.integers(-128, 127)),
    "double": (pa.float64(), st.floats() | st.sampled_from([-0.0, math.inf, -math.inf, math.nan, 5e-324, 1e22])),
    "single": (pa.float32(), st.floats(width=32)),
    "text": (pa.string(), st.text()),
    "time": (pa.timestamp("us"), st.datetimes()),
    "day": (pa.date32(), st.dates()),
    "truth": (pa.bool_(), st.booleans()),
    "nothing": (pa.null(), st.none()),
}
ROWS = st.dictionaries(
    st.integers(-(2**63), 2**63 - 1),
    st.fixed_dictionaries({name: st.none() | values for name, (_, values) in KINDS.items()}),
    max_size=8,
)


class TestEqualToTheFile:
    @pytest.fixture(scope="class")
    def both(self, redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteStore, RedisStore]]:
        place = Place(redis_address(), f"test_{uuid.uuid4().hex}")
        yield SqliteStore(tmp_path_factory.mktemp("both") / "users.sqlite"), RedisStore(place.where, place.problem)
        for key in keys_of(redis, place):
            redis.unlink(key)

    @settings(max_examples=20)
    @given(rows=ROWS, batch_rows=st.integers(1, 9))
    def test_any_rows_come_back_the_same(
        self, both: tuple[SqliteStore, RedisStore], rows: dict[int, dict[str, Any]], batch_rows: int
    ) -> None:
        columns = {name: pa.array([row[name] for row in rows.values()], kind) for name, (kind, _) in KINDS.items()}
        published = state_of_users(pa.table({"user_id": pa.array(rows, pa.int64()), **columns}))
        asked = [*rows, 0, 1, -(2**63), 2**63]
        answers = []
        for store in both:
            assert store.publish(published, batch_rows=batch_rows)
            snapshot = store.current()
            assert snapshot is not None
            answers.append(sorted(snapshot.look_up("users", asked).items()))
        # As text: 1 is not 1.0 there, and every bit of a float shows.
        assert repr(answers[0]) == repr(answers[1])
        assert [(key, row["wide"], row["text"]) for key, row in answers[0]] == [
            (key, rows[key]["wide"], rows[key]["text"]) for key in sorted(rows)
        ]


def test_users_are_found_by_their_whole_id(on_redis: Place) -> None:
    ids = [-1, 0, 1, 12, 120, 2**63 - 1]
    on_redis.open().publish(state_of_users(pa.table({"user_id": ids})))
    snapshot = on_redis.open().current()
    assert snapshot is not None
    for text in ("", "0", "1", "12", "00", "012", "٣", "-1", "13", str(2**63 - 1), str(2**63), "9" * 20, "9" * 5000):
        expected = [{"user_id": key} for key in ids if key >= 0 and str(key) == text]
        assert snapshot.search("users", text, 5) == expected
    assert snapshot.search("users", "12", 0) == []


def test_problems_share_a_redis_and_never_meet(redis: Redis, on_redis: Place) -> None:
    # A name that starts with the other's.
    other = Place(on_redis.where, f"{on_redis.problem}_simulated")
    try:
        on_redis.open().publish(state(1))
        assert other.open().current() is None
        other.open().publish(state(2))
        assert (stamps(on_redis), stamps(other)) == ({1}, {2})
    finally:
        redis.unlink(*keys_of(redis, other))


class TestWhatIsLeft:
    """Only what is current stays: the rest goes by itself, in time."""

    def test_the_current_publication_has_no_end(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(1), batch_rows=100)
        ends = ends_of(redis, on_redis)
        # The pointer, the description, five parts of users, one of emails, one of last sends.
        assert len(ends) == 9
        assert set(ends.values()) == {None}

    def test_a_replaced_one_goes_after_a_while(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(1), batch_rows=100)
        first = set(ends_of(redis, on_redis)) - {pointer(on_redis)}
        on_redis.open().publish(state(2), batch_rows=100)
        ends = ends_of(redis, on_redis)
        going = [ends.pop(key) for key in first]
        assert set(ends.values()) == {None}
        assert all(end is not None and GRACE.total_seconds() - 5 < end < GRACE.total_seconds() + 5 for end in going)
        # Redis answers nobody while it frees a part.
        assert len(set(going)) == len(going)

    def test_one_that_was_refused_leaves_nothing(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(2))
        before = ends_of(redis, on_redis)
        assert not on_redis.open().publish(state(1))
        overtaken = Interrupted(users(1), lambda: on_redis.open().publish(state(3)))
        assert not on_redis.open().publish(state_of_users(overtaken, NOON + timedelta(minutes=2, seconds=1)))
        after = ends_of(redis, on_redis)
        assert len([key for key, end in after.items() if end is None]) == len(before)
        assert len(after) == 2 * len(before) - 1

    def test_one_that_failed_leaves_nothing(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(1))
        before = ends_of(redis, on_redis)

        def fail() -> None:
            assert len(ends_of(redis, on_redis)) > len(before)
            raise RuntimeError("the source went away")

        with pytest.raises(RuntimeError, match="the source went away"):
            on_redis.open().publish(state_of_users(Interrupted(users(2), fail), LATER), batch_rows=100)
        assert ends_of(redis, on_redis) == before

    def test_one_that_is_being_written_has_an_end_at_every_moment(self, redis: Redis, on_redis: Place) -> None:
        """So whatever a killed publisher leaves goes by itself."""
        seen: list[float | None] = []

        def look() -> None:
            seen.extend(ends_of(redis, on_redis).values())

        on_redis.open().publish(state_of_users(Interrupted(users(2), look)), batch_rows=100)
        assert len(seen) == 3
        assert all(end is not None and 0 < end <= UNFINISHED.total_seconds() for end in seen)


def ends_of(redis: Redis, place: Place) -> dict[str, float | None]:
    """Seconds until each key goes; None for those that stay."""
    ends = {key: redis.pttl(key) for key in keys_of(redis, place)}
    return {key: None if end == -1 else end / 1000 for key, end in ends.items()}


def pointer(place: Place) -> str:
    return f"mlguide:{{{place.problem}}}:published"


class TestDamage:
    """What is not a state is told with its remedy, and replaced by the next one."""

    def points_to_another_type(self, redis: Redis, place: Place) -> None:
        redis.delete(pointer(place))
        redis.rpush(pointer(place), "a list")

    def points_nowhere(self, redis: Redis, place: Place) -> None:
        redis.set(pointer(place), "somewhere")

    def is_described_by_another_type(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":publication", lambda key: (redis.delete(key), redis.sadd(key, "a set")))

    def is_described_otherwise(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":publication", lambda key: redis.set(key, '{"publication": []}'))

    def is_described_by_no_text(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":publication", lambda key: redis.set(key, b"\xff\xfe"))

    def is_described_too_deeply(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":publication", lambda key: redis.set(key, "[" * 100_000))

    def is_of_an_instant_with_a_zone(self, redis: Redis, place: Place) -> None:
        def change(key: str) -> None:
            described = json.loads(str(redis.get(key)))
            described["publication"]["as_of"] += "+00:00"
            redis.set(key, json.dumps(described))

        self.with_key(redis, place, ":publication", change)

    def lacks_a_part(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":users:1", redis.delete)

    def has_a_part_of_another_type(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":emails:0", lambda key: (redis.delete(key), redis.set(key, "text")))

    def has_other_rows(self, redis: Redis, place: Place) -> None:
        self.with_key(redis, place, ":last_sends:0", lambda key: redis.hset(key, "0", "[1, 2]"))

    def with_key(self, redis: Redis, place: Place, end: str, change: Callable[[str], object]) -> None:
        (key,) = (key for key in keys_of(redis, place) if key.endswith(end))
        change(key)

    DAMAGES = (
        points_to_another_type,
        points_nowhere,
        is_described_by_another_type,
        is_described_otherwise,
        is_described_by_no_text,
        is_described_too_deeply,
        is_of_an_instant_with_a_zone,
        lacks_a_part,
        has_a_part_of_another_type,
        has_other_rows,
    )

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_it_is_reported_and_replaced(
        self, redis: Redis, on_redis: Place, damage: Callable[["TestDamage", Redis, Place], None]
    ) -> None:
        on_redis.open().publish(state(2), batch_rows=100)
        damage(self, redis, on_redis)
        with pytest.raises(StoreError, match=r"is damaged, emptied or of another version .*materialize online_store"):
            stamps(on_redis)
        # Of the same instant, since a state that can be read in part tells its instant.
        assert on_redis.open().publish(state(3, NOON + timedelta(minutes=2)), batch_rows=100)
        assert stamps(on_redis) == {3}

    def test_a_snapshot_that_was_held_too_long_says_so(self, redis: Redis, on_redis: Place) -> None:
        """It does not take users for unknown because their rows are gone."""
        on_redis.open().publish(state(1))
        held = on_redis.open().current()
        assert held is not None
        on_redis.open().publish(state(2))
        for key, end in ends_of(redis, on_redis).items():
            if end is not None:
                redis.pexpire(key, 1)
        time.sleep(0.01)
        with pytest.raises(StoreError, match="is gone"):
            held.look_up("users", [1])

    def test_rows_that_get_lost_while_they_are_written_are_not_published(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(1))
        before = ends_of(redis, on_redis)

        def evict() -> None:
            redis.delete(*(set(ends_of(redis, on_redis)) - set(before)))

        with pytest.raises(StoreError, match=r"lost rows while they were written: .*memory for two states"):
            on_redis.open().publish(state_of_users(Interrupted(users(2), evict), LATER), batch_rows=100)
        assert stamps(on_redis) == {1}
        assert ends_of(redis, on_redis) == before

    def test_an_emptied_redis_has_nothing_published(self, redis: Redis, on_redis: Place) -> None:
        store = on_redis.open()
        store.publish(state(1))
        assert store.current() is not None
        redis.delete(*keys_of(redis, on_redis))
        assert store.current() is None


class TestUnreachable:
    """A Redis that is not there fails fast, and its password is never told."""

    def test_nobody_listens(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            port = server.getsockname()[1]
        self.fails(f"redis://reader:s3cr3t@127.0.0.1:{port}/0")

    def test_somebody_listens_and_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mlguide_assets.deploy.online_store.redis_server._READ_S", 0.2)
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            self.fails(f"redis://reader:s3cr3t@127.0.0.1:{server.getsockname()[1]}/0")
            server.setblocking(False)
            tries = list[object]()
            with suppress(BlockingIOError):
                while True:
                    tries.append(server.accept())
        # redis-py by itself tries four times, for seconds.
        assert len(tries) == 2, "one to read, one to write"

    def test_the_password_is_wrong(self, redis: Redis) -> None:
        self.fails("redis://reader:s3cr3t@127.0.0.1:6379/9")

    def test_it_does_not_know_the_command_and_repeats_it(self) -> None:
        """As a Redis does where AUTH was renamed."""

        def answer(server: socket.socket) -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    with connection:
                        asked = connection.recv(1000).split(b"\r\n")
                        connection.sendall(b"-ERR unknown command, with args " + b" ".join(asked) + b"\r\n")
                except OSError:
                    return

        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            threading.Thread(target=answer, args=(server,), daemon=True).start()
            self.fails(f"redis://reader:s3cr3t%40%2F@127.0.0.1:{server.getsockname()[1]}/0")

    def fails(self, address: str) -> None:
        store = RedisStore(address, "sample")
        for ask in (store.current, partial(store.publish, state(1))):
            with pytest.raises(
                StoreError, match=r"redis://reader:\*\*\*@.* cannot be read .*see that this Redis"
            ) as caught:
                ask()
            assert "s3cr3t" not in str(caught.value)
            assert caught.value.__suppress_context__

    def test_a_snapshot_says_so_too(self, on_redis: Place) -> None:
        with Between() as between:
            store = RedisStore(between.address, on_redis.problem)
            store.publish(state(1))
            held = store.current()
            assert held is not None
        with pytest.raises(StoreError, match="cannot be read"):
            held.look_up("users", [1])
        with pytest.raises(StoreError, match="cannot be read"):
            store.current()

    @pytest.mark.parametrize(
        "address",
        [
            # Not escaped, these end the host: what follows the last @ would be a database or nothing.
            "redis://u:s3c/r3t@host:6379/0",
            "redis://u:s3cr3t@/x@host:6379/0",
            "redis://u:s3cr3t@?x@host:6379/0",
            "redis://u:s3cr3t@#x@host:6379/0",
            "redis://u:s3c#r3t@host/0",
            "redis://u:s3c[r3t@host/0",
            "redis://u:s3cr3t@host:0x1/0",
            "redis://u:s3cr3t@host:6379/zero",
            "redis://u:s3cr3t@host:6379/0/1",
            "redis://u:s3cr3t@host:6379/0?socket_timeout=soon",
            "redis://u:s3cr3t@host:6379/0?no_such_option=1",
            "redis://u:s3cr3t@:6379/0",
            "redis:///0",
            "redis://",
        ],
    )
    def test_an_address_that_is_none_is_reported_without_its_password(self, address: str) -> None:
        with pytest.raises(InputError, match="is not the address of a Redis") as caught:
            RedisStore(address, "sample")
        assert "s3c" not in str(caught.value)
        assert caught.value.__suppress_context__


_MOVING = b"PERSIST"
"""What a publisher asks for only where its publication becomes current."""


class Between:
    """A connection to the real Redis that counts what is asked and can fail.

    Attributes:
        asked: what was sent to Redis, one entry per message.
        before_moving: called once, before Redis hears that a publication is to become current.
        lose: whether the answer to that, and the connection with it, gets lost, once.
    """

    def __init__(self, *, before_moving: Callable[[], object] | None = None, lose: bool = False) -> None:
        self.asked: list[bytes] = []
        self.before_moving = before_moving
        self.lose = lose
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._answered = True
        self.address = f"redis://127.0.0.1:{self._server.getsockname()[1]}/9"

    def __enter__(self) -> "Between":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                redis = socket.create_connection(("127.0.0.1", redis_port()))
                self._connections += [client, redis]
                for carry in ((client, redis, self._is_asked), (redis, client, self._is_answered)):
                    threading.Thread(target=self._carry, args=carry, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, arrived: Callable[[bytes], bool]) -> None:
        with suppress(OSError):
            while (data := source.recv(1 << 16)) and arrived(data):
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _is_asked(self, data: bytes) -> bool:
        # What is asked before an answer came is one message, in however many pieces it arrives.
        self.asked.append(data if self._answered or not self.asked else self.asked.pop() + data)
        self._answered = False
        if self.before_moving is not None and _MOVING in self.asked[-1]:
            happens, self.before_moving = self.before_moving, None
            happens()
        return True

    def _is_answered(self, data: bytes) -> bool:
        self._answered = True
        lost = self.lose and _MOVING in self.asked[-1]
        self.lose = self.lose and not lost
        return not lost


class TestThroughTheWire:
    def test_a_request_costs_one_round_trip_per_question(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(1), batch_rows=50)
        with Between() as between:
            store = RedisStore(between.address, on_redis.problem)
            assert store.current() is not None
            between.asked.clear()
            snapshot = store.current()
            assert snapshot is not None
            assert len(between.asked) == 1
            snapshot.look_up("users", range(0, USERS, 7))
            assert len(between.asked) == 2
            assert between.asked[1].count(b"HMGET") == 10

    def test_a_connection_that_broke_while_idle_is_made_again(self, redis: Redis, on_redis: Place) -> None:
        with Between() as between:
            store = RedisStore(between.address, on_redis.problem)
            store.publish(state(1))
            snapshot = store.current()
            assert snapshot is not None
            between.cut()
            assert snapshot.look_up("users", [1])[1]["stamp"] == 1
            between.cut()
            assert store.current() is snapshot

    def test_a_publication_whose_confirmation_got_lost_is_published(self, redis: Redis, on_redis: Place) -> None:
        """Redis moved the pointer, but nobody heard of it: what is current neither goes nor expires."""
        on_redis.open().publish(state(1))
        with Between(lose=True) as between:
            assert RedisStore(between.address, on_redis.problem).publish(state(2), batch_rows=100)
            assert not between.lose
        assert stamps(on_redis) == {2}
        ends = ends_of(redis, on_redis)
        assert len([key for key, end in ends.items() if end is None]) == 9

    def test_the_newer_of_two_stays_though_it_came_between_the_look_and_the_move(self, on_redis: Place) -> None:
        newer = interrupted_state(2)
        with Between(before_moving=lambda: on_redis.open().publish(newer)) as between:
            assert not RedisStore(between.address, on_redis.problem).publish(state(1))
            assert between.before_moving is None
        assert stamps(on_redis) == {2}

    def test_what_came_between_and_is_older_is_replaced_and_goes(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(0))
        older = interrupted_state(1)
        with Between(before_moving=lambda: on_redis.open().publish(older)) as between:
            assert RedisStore(between.address, on_redis.problem).publish(state(2))
        assert stamps(on_redis) == {2}
        # The pointer; a description, and a part of each table, of the newest.
        assert sum(end is None for end in ends_of(redis, on_redis).values()) == 1 + 4

    def test_a_publisher_that_loses_its_connection_leaves_the_old_state(self, redis: Redis, on_redis: Place) -> None:
        on_redis.open().publish(state(1))
        with Between() as between:
            gone = Interrupted(users(2), between.close)
            with pytest.raises(StoreError, match=r"could not be written .*what was published before still serves"):
                RedisStore(between.address, on_redis.problem).publish(state_of_users(gone, LATER), batch_rows=100)
        assert stamps(on_redis) == {1}
        ends = ends_of(redis, on_redis)
        assert len(ends) == 5 + 3
        assert sum(end is not None for end in ends.values()) == 3


def test_a_redis_that_is_away_is_one_sentence_that_promises_nothing_of_what_it_has() -> None:
    said = r"could not be written .*see that this Redis runs and can be reached.*serves where a server can read it"
    with pytest.raises(InputError, match=said):
        RedisStore("redis://127.0.0.1:9/0", "sample").forget("user_id", 1)
