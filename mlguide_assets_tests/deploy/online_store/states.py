"""Small states, and places to publish them to. In each state, every row of every table has the same stamp.

Ibis and both stores are imported where they are used: other processes that publish or read start in half the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import pyarrow as pa

from mlguide_assets.deploy.online_store.store import Publication, State

if TYPE_CHECKING:
    from mlguide_assets.deploy.online_store.redis import RedisStore
    from mlguide_assets.deploy.online_store.sqlite import SqliteStore

NOON = datetime(2024, 4, 1, 12)
USERS = 500
KEYS = {"users": "user_id", "emails": "email_id", "last_sends": "user_id"}


@dataclass(frozen=True)
class Place:
    """Where a store is: a file, or a Redis and the name of a problem."""

    where: str
    problem: str = ""

    def open(self) -> Union["SqliteStore", "RedisStore"]:
        if self.problem:
            from mlguide_assets.deploy.online_store.redis import RedisStore

            return RedisStore(self.where, self.problem)
        from mlguide_assets.deploy.online_store.sqlite import SqliteStore

        return SqliteStore(Path(self.where))


def state(stamp: int, as_of: datetime | None = None) -> State:
    """Of a minute after noon, unless an instant is given."""
    return state_of_users(users(stamp), minute(stamp) if as_of is None else as_of, stamp)


def state_of_users(rows: Any, as_of: datetime = NOON, stamp: int = 0) -> State:
    """A state with these users: an Arrow table, or what gives batches."""
    import ibis

    users = ibis.memtable(rows) if isinstance(rows, pa.Table) else rows
    others = {"emails": ibis.memtable(emails(stamp)), "last_sends": ibis.memtable(last_sends(stamp))}
    return State(publication(as_of, stamp), {"users": users, **others})


def interrupted_state(stamp: int, happens: Callable[[], object] = lambda: None) -> State:
    """As `state`, while whose users are read something happens; without Ibis."""
    tables = {
        "users": Interrupted(users(stamp), happens),
        "emails": Interrupted(emails(stamp)),
        "last_sends": Interrupted(last_sends(stamp)),
    }
    return State(publication(minute(stamp), stamp), tables)  # type: ignore[arg-type]


def minute(stamp: int) -> datetime:
    return NOON + timedelta(minutes=stamp)


def publication(as_of: datetime, stamp: int) -> Publication:
    return Publication(as_of, {"core_users": f"{stamp:06d}"}, KEYS, candidates=(2, 1), examples={"users": (3, stamp)})


def users(stamp: int) -> pa.Table:
    return pa.table({"user_id": range(USERS), "stamp": [stamp] * USERS})


def emails(stamp: int) -> pa.Table:
    return pa.table({"email_id": [1, 2], "stamp": [stamp] * 2})


def last_sends(stamp: int) -> pa.Table:
    return pa.table({"user_id": [0, 9], "email_id": [1, 2], "stamp": [stamp] * 2})


def stamps(place: Place) -> set[int]:
    """The stamps of what is published: one, unless states were mixed."""
    snapshot = place.open().current()
    assert snapshot is not None
    found = [*snapshot.look_up("users", range(USERS)).values(), *snapshot.look_up("emails", [1, 2]).values()]
    found += snapshot.look_up("last_sends", [0, 9]).values()
    assert len(found) == USERS + 4
    return {row["stamp"] for row in found}


@dataclass(frozen=True)
class Interrupted:
    """Rows in the order of their keys, of which a store sees no more; something happens when half of them were read."""

    rows: pa.Table
    happens: Callable[[], object] = lambda: None

    def order_by(self, *_: object) -> "Interrupted":
        return self

    def to_pyarrow_batches(self, chunk_size: int) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            half = len(self.rows) // 2
            yield from self.rows.slice(0, half).to_batches(chunk_size)
            self.happens()
            yield from self.rows.slice(half).to_batches(chunk_size)

        return pa.RecordBatchReader.from_batches(self.rows.schema, batches())
