"""The online feature store: the state of every entity at one instant, looked up by its id.

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
from typing import TYPE_CHECKING, Any

from mlguide_assets.errors import InputError

if TYPE_CHECKING:
    import ibis

Id = int | str
"""What an entity is known by."""

Row = dict[str, Any]
"""Column name → value; times as text in ISO format, UTC."""

LEFT_OUT = "_left_out"
"""The table of a state with the units that are known, and that no decision is about as of its instant."""


class StoreError(InputError):
    """The store cannot be read or written now; the text says why, and what to do."""


class DamagedError(StoreError):
    """The store answers, but not with a state: publishing again repairs it."""


@dataclass(frozen=True)
class Publication:
    """What is known of a published state besides its rows.

    Args:
        as_of: the instant whose knowledge it holds, UTC.
        snapshots: table of the lake → the snapshot that the state was computed from.
        keys: table of the state → the column that its rows are looked up by.
        candidates: ids of what can be chosen, the newest first; none where nothing is chosen.
        examples: table → ids to try things out with.
        eligibility: columns of `routing.ELIGIBLE`, which say who may take part in which experiment.
    """

    as_of: datetime
    snapshots: Mapping[str, str]
    keys: Mapping[str, str]
    candidates: tuple[Id, ...]
    examples: Mapping[str, tuple[Id, ...]]
    eligibility: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """Equal for what was computed from the same snapshots as of the same instant, and for nothing else."""
        digest = hashlib.sha256(json.dumps(dict(sorted(self.snapshots.items()))).encode()).hexdigest()
        return f"{self.as_of:%Y%m%dT%H%M%S}-{digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "as_of": self.as_of.isoformat()}

    def tables_by(self, column: str) -> list[str]:
        """The tables that are looked up by a column."""
        return [table for table, key in self.keys.items() if key == column]

    def without(self, column: str, key: Id) -> "Publication":
        """The publication without a key that was forgotten."""
        tables = self.tables_by(column)
        kept = {
            table: tuple(each for each in ids if table not in tables or each != key)
            for table, ids in self.examples.items()
        }
        return replace(self, examples=kept)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Publication":
        as_of = datetime.fromisoformat(stored["as_of"])
        if as_of.tzinfo is not None:
            raise ValueError("the instant of a publication has no time zone")
        return cls(
            as_of,
            dict(stored["snapshots"]),
            dict(stored["keys"]),
            tuple(stored["candidates"]),
            {table: tuple(ids) for table, ids in stored["examples"].items()},
            # What an earlier version published knows nothing of it.
            tuple(stored.get("eligibility", ())),
        )


@dataclass(frozen=True)
class State:
    """What is published: tables by name, each with one row per key. The publication names their keys."""

    publication: Publication
    tables: Mapping[str, "ibis.Table"]


class Snapshot(ABC):
    """One published state, as a reader sees it."""

    publication: Publication

    @abstractmethod
    def look_up(self, table: str, keys: Sequence[Id]) -> dict[Id, Row]:
        """The rows of the keys that are known.

        Raises:
            StoreError: the store does not answer, or is damaged.
        """

    @abstractmethod
    def search(self, table: str, text: str, limit: int) -> list[Row]:
        """Rows whose id starts with a text, in order of their ids; where a store cannot, the one of that id.

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
    def forget(self, column: str, key: Id) -> int:
        """Remove the rows of a key from every state that is kept; return how many.

        Args:
            column: the one that the key is a value of, such as user_id.

        Raises:
            StoreError: it cannot be written; done again, it completes what was begun.
        """

    @abstractmethod
    def current(self) -> Snapshot | None:
        """The state that is published now, or None before the first.

        Raises:
            StoreError: the store does not answer, or is damaged.
        """
