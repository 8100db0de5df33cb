"""The online store in a Redis, for many hosts.

A publication is a set of keys that are written once:

    mlguide:{<problem>}:published                 the namespace of the current one, moved last and at once
    mlguide:{<problem>}:<id>:publication          what is known of it, and how its tables are cut into parts
    mlguide:{<problem>}:<id>:<table>:<part>       key → row, as a JSON list; and a mark that the part is there

The braces put a problem into one slot of a cluster. Tables are cut since Redis frees an expired key in one go and
answers no client meanwhile: half a second for a million entities in one hash, some milliseconds for a part. Whatever is
not current expires, so also what a killed publisher left.
"""

import json
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from redis.exceptions import WatchError

from mlguide_assets.deploy.online_store.redis_draft import MARK, Draft, Table, description_key, part_key
from mlguide_assets.deploy.online_store.redis_server import Server
from mlguide_assets.deploy.online_store.rows import ids_that_start_with, texts_that_start_with
from mlguide_assets.deploy.online_store.store import DamagedError, Id, OnlineStore, Publication, Row, Snapshot, State

PART_ROWS = 20_000
GRACE = timedelta(minutes=10)
"""How long a replaced publication still answers: longer than any request."""
_APART = timedelta(milliseconds=100)
"""Between the ends of two parts, so that other requests are answered between."""
_LAST: dict[type, Id] = {int: 2**63 - 1, str: "\U0010ffff"}
"""The largest ids."""


class RedisStore(OnlineStore):
    """States in a Redis. It connects at the first use.

    Args:
        address: `redis://user:password@host:port/database`, or `rediss://` over TLS; options of redis-py may follow
            after a question mark.
        problem: `Problem.key`.

    Raises:
        InputError: there can be no Redis at this address.
    """

    def __init__(self, address: str, problem: str) -> None:
        self._server = Server(address)
        self._prefix = f"mlguide:{{{problem}}}"
        self._pointer = f"{self._prefix}:published"
        self._current: RedisSnapshot | None = None

    def publish(self, state: State, *, over_newer: bool = False, batch_rows: int = PART_ROWS) -> bool:
        if not over_newer and _is_later(self._replaceable(), state):
            return False
        draft = Draft(self._server, f"{self._prefix}:{uuid.uuid4().hex}")
        try:
            draft.write(state, part_rows=batch_rows)
        except BaseException:
            draft.forget()
            raise
        # Where the answer to this is lost, it may be current: left alone, it stays or expires.
        published = self._make_current(draft, state, over_newer)
        if not published:
            draft.forget()
        return published

    def forget(self, column: str, key: Id) -> int:
        """Of every publication that has not expired yet, also of one that is being replaced."""
        with self._server.translating_errors(writing=True):
            names = [str(name) for name in self._server.writing.scan_iter(match=f"{self._prefix}:*", count=1000)]
            described = [name for name in names if name == description_key(name.rpartition(":")[0])]
            removed = sum(self._forget_in(description, names, column, key) for description in described)
        self._current = None
        return removed

    def _forget_in(self, description: str, names: Sequence[str], column: str, key: Id) -> int:
        """Remove a key from one publication; return how many rows of it there were."""
        writing = self._server.writing
        stored = json.loads(writing.get(description) or "{}")
        if not stored:
            # It has expired meanwhile.
            return 0
        publication = Publication.from_json(stored["publication"])
        tables, removed = publication.tables_by(column), 0
        for table in tables:
            prefix = f"{description.rpartition(':')[0]}:{table}:"
            for part in (name for name in names if name.startswith(prefix)):
                removed += writing.hdel(part, str(key))
            first_keys = stored["tables"][table]["first_keys"]
            if key in first_keys:
                place = first_keys.index(key)
                first_keys[place] = self._first_of(f"{prefix}{place}", first_keys, place)
        stored["publication"] = publication.without(column, key).to_json()
        writing.set(description, json.dumps(stored), keepttl=True, xx=True)
        return removed

    def _first_of(self, part: str, first_keys: Sequence[Id], place: int) -> Id:
        """The smallest key that a part has left; one that nothing is looked up by where it has none."""
        left = [name for name in map(str, self._server.writing.hkeys(part)) if name != MARK]
        if left:
            return min(map(int, left)) if isinstance(first_keys[place], int) else min(left)
        return first_keys[place + 1] if place + 1 < len(first_keys) else _LAST[type(first_keys[place])]

    def current(self) -> "RedisSnapshot | None":
        with self._server.translating_errors():
            namespace = self._server.reading.get(self._pointer)
        if namespace is None:
            return None
        if self._current is None or self._current.namespace != namespace:
            self._current = RedisSnapshot(self._server, str(namespace))
        return self._current

    def _make_current(self, draft: Draft, state: State, over_newer: bool) -> bool:
        with self._server.translating_errors(writing=True), self._server.writing.pipeline() as moving:
            while True:
                # Nothing is executed where another publisher, or eviction, touches any of this meanwhile.
                moving.watch(self._pointer, *draft.keys)  # type: ignore[no-untyped-call]
                published = self._replaceable()
                if published is not None and published.namespace == draft.namespace:
                    # Executed by the turn before, whose answer was lost.
                    return True
                if not over_newer and _is_later(published, state):
                    return False
                draft.check()
                moving.multi()
                moving.set(self._pointer, draft.namespace)
                for key in draft.keys:
                    moving.persist(key)
                for count, key in enumerate(published.keys if published is not None else ()):
                    moving.pexpire(key, GRACE + count * _APART)
                with suppress(WatchError):
                    moving.execute()
                    return True

    def _replaceable(self) -> "RedisSnapshot | None":
        """What is published, unless it is damaged: that is worth replacing by anything."""
        try:
            return self.current()
        except DamagedError:
            return None


class RedisSnapshot(Snapshot):
    """A publication, by the names of its keys; it answers until `GRACE` after it was replaced."""

    def __init__(self, server: Server, namespace: str) -> None:
        self._server = server
        self.namespace = namespace
        with server.translating_errors():
            description = server.reading.get(description_key(namespace))
            if description is None:
                raise ValueError("what describes the publication is gone")
            stored = json.loads(description)
            self.publication = Publication.from_json(stored["publication"])
            self._tables = {
                name: Table(tuple(table["columns"]), tuple(table["first_keys"]))
                for name, table in stored["tables"].items()
            }

    @property
    def keys(self) -> list[str]:
        """Every key of Redis that the publication is made of."""
        parts = ((name, part) for name, table in self._tables.items() for part in range(len(table.first_keys)))
        return [description_key(self.namespace), *(part_key(self.namespace, name, part) for name, part in parts)]

    def look_up(self, table: str, keys: Sequence[Id]) -> dict[Id, Row]:
        key = self.publication.keys[table]
        with self._server.translating_errors():
            stored = self._tables[table]
            pipeline = self._server.reading.pipeline(transaction=False)
            for part, members in _by_part(keys, stored.first_keys).items():
                pipeline.hmget(part_key(self.namespace, table, part), [MARK, *members])
            found: list[str] = []
            for mark, *rows in pipeline.execute():
                if mark is None:
                    raise ValueError("a part of the publication is gone")
                found += [row for row in rows if row is not None]
            # One text is parsed faster than many.
            values = json.loads(f"[{','.join(found)}]")
            rows_found = (dict(zip(stored.columns, row, strict=True)) for row in values)
            return {row[key]: row for row in rows_found}

    def search(self, table: str, text: str, limit: int) -> list[Row]:
        first = next(iter(self._tables[table].first_keys), None)
        ranges = texts_that_start_with(text) if isinstance(first, str) else ids_that_start_with(text)
        exact: tuple[Id, Id] | None = next(ranges, None)
        return list(self.look_up(table, exact[:1]).values())[:limit] if exact else []


def _is_later(published: RedisSnapshot | None, state: State) -> bool:
    return published is not None and published.publication.as_of > state.publication.as_of


def _by_part(keys: Sequence[Id], first_keys: Sequence[Id]) -> dict[int, list[Id]]:
    """The keys by the part that each would be in; those before the first part are nowhere."""
    parts: dict[int, list[Id]] = {}
    for key in keys:
        part = bisect_right(first_keys, key) - 1
        if part >= 0:
            parts.setdefault(part, []).append(key)
    return parts
