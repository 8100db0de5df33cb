"""The online feature store: the state of every user and email at one instant, looked up by key.

What every kind of store does. A state is published whole or not at all: a reader that holds a `Snapshot` sees one
state to its end, however many are published meanwhile.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import ibis

TableName = Literal["users", "emails", "last_sends"]
KEYS: Mapping[TableName, str] = {"users": "user_id", "emails": "email_id", "last_sends": "user_id"}
"""The tables and the column that each is looked up by."""

Row = dict[str, Any]
"""Column name → value; times as text in ISO format, UTC."""


class StoreError(Exception):
    """The store cannot be read now; the text says why, and what to do."""


@dataclass(frozen=True)
class Publication:
    """What is known of a published state besides its rows.

    Args:
        as_of: the instant whose knowledge it holds, UTC.
        snapshots: table of the lake → the snapshot that the state was computed from.
        newest_emails: email ids, the newest first.
        some_users: user ids to try things out with.
    """

    as_of: datetime
    snapshots: Mapping[str, str]
    newest_emails: tuple[int, ...]
    some_users: tuple[int, ...]

    @cached_property
    def id(self) -> str:
        """Equal for what was computed from the same snapshots as of the same instant, and for nothing else."""
        digest = hashlib.sha256(json.dumps(dict(sorted(self.snapshots.items()))).encode()).hexdigest()
        return f"{self.as_of:%Y%m%dT%H%M%S}-{digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "as_of": self.as_of.isoformat()}

    def without(self, column: str, key: int | str) -> "Publication":
        """The publication without a key that was forgotten."""
        if column != KEYS["users"]:
            return self
        return replace(self, some_users=tuple(user for user in self.some_users if user != key))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Publication":
        as_of = datetime.fromisoformat(stored["as_of"])
        if as_of.tzinfo is not None:
            raise ValueError("the instant of a publication has no time zone")
        return cls(
            as_of,
            dict(stored["snapshots"]),
            tuple(stored["newest_emails"]),
            tuple(stored["some_users"]),
        )


@dataclass(frozen=True)
class State:
    """What is published: one row per key of `users`, `emails` and `last_sends`."""

    publication: Publication
    users: "ibis.Table"
    emails: "ibis.Table"
    last_sends: "ibis.Table"

    def tables(self) -> dict[TableName, "ibis.Table"]:
        return {"users": self.users, "emails": self.emails, "last_sends": self.last_sends}


class Snapshot(ABC):
    """One published state, as a reader sees it."""

    publication: Publication

    @abstractmethod
    def look_up(self, table: TableName, keys: Sequence[int]) -> dict[int, Row]:
        """The rows of the keys that are known.

        Raises:
            StoreError: the store does not answer, or is damaged.
        """

    @abstractmethod
    def search_users(self, text: str, limit: int) -> list[Row]:
        """Users whose id starts with a text of digits, in order of their ids; where a store cannot, the one of that id.

        Raises:
            StoreError: as `look_up`.
        """


class OnlineStore(ABC):
    """Where states are published and looked up. An instance belongs to one thread at a time."""

    @abstractmethod
    def publish(self, state: State, *, over_newer: bool = False) -> bool:
        """Replace the state, unless the one published is of a later instant; return whether it was replaced.

        Args:
            over_newer: replace that one, too: it is of data that were taken back.

        Raises:
            StoreError: it cannot be written; what was published before is still there.
        """

    @abstractmethod
    def forget(self, column: str, key: int | str) -> int:
        """Remove the rows of a key from every state that is kept; return how many.

        Args:
            column: the one of `KEYS` that the key is a value of.

        Raises:
            StoreError: it cannot be written; done again, it completes what was begun.
        """

    @abstractmethod
    def current(self) -> Snapshot | None:
        """The state that is published now, or None before the first.

        Raises:
            StoreError: the store does not answer, or is damaged.
        """
