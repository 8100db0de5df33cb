"""Writing a publication to a Redis: how it is laid out, and that it expires unless it is made current."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from mlguide_assets.deploy.online_store.redis_server import Server
from mlguide_assets.deploy.online_store.rows import ambiguous, plain_rows
from mlguide_assets.deploy.online_store.store import Id, State, StoreError

if TYPE_CHECKING:
    import ibis

UNFINISHED = timedelta(hours=2)
"""How long a publication may take to write."""
MARK = ""
"""A field of every part: of a key that is gone, Redis answers as of one without the requested rows."""
_SENT_ROWS = 1000
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Table:
    """How the rows of a table are stored.

    Args:
        columns: names, in the order of a row's values.
        first_keys: the smallest key of each part, ascending.
    """

    columns: tuple[str, ...]
    first_keys: tuple[Id, ...]


class Draft:
    """A publication while it is written: all its keys expire."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.namespace = namespace
        self._server = server
        self._fields: dict[str, int] = {}

    @property
    def keys(self) -> list[str]:
        return [*self._fields, description_key(self.namespace)]

    def write(self, state: State, *, part_rows: int) -> None:
        """Write everything.

        Raises:
            StoreError: Redis does not take it, or two rows have one key.
        """
        keys = state.publication.keys
        tables = {
            name: asdict(self._write_table(name, keys[name], rows, part_rows)) for name, rows in state.tables.items()
        }
        description = json.dumps({"publication": state.publication.to_json(), "tables": tables})
        with self._server.translating_errors(writing=True):
            self._server.writing.set(description_key(self.namespace), description, ex=UNFINISHED)

    def check(self) -> None:
        """That Redis still has all that was written: it may have restarted, or evicted some of it.

        Raises:
            StoreError: it has not.
        """
        counting = self._server.writing.pipeline(transaction=False)
        for part in self._fields:
            counting.hlen(part)
        counting.exists(description_key(self.namespace))
        if counting.execute() != [*self._fields.values(), True]:
            self.forget()
            raise StoreError(
                f"The online store {self._server.shown} lost rows while they were written: give that Redis memory for "
                f"two states and the policy noeviction, and publish again; what was published before serves unless it "
                f"lost that, too."
            )

    def forget(self) -> None:
        # What cannot be removed now expires.
        with suppress(RedisError):
            self._server.writing.unlink(*self.keys)

    def _write_table(self, table: str, key: str, rows: "ibis.Table", part_rows: int) -> Table:
        batches = rows.order_by(key).to_pyarrow_batches(chunk_size=part_rows)
        first_keys: list[Id] = []
        last: Id | None = None
        for batch in batches:
            # DuckDB rounds the size of a batch up.
            for start in range(0, batch.num_rows, part_rows):
                part = batch.slice(start, part_rows)
                ids: list[Id] = part.column(key).to_pylist()
                if ids[0] == last or len(set(ids)) < len(ids):
                    raise ambiguous(table, key)
                self._write_part(part_key(self.namespace, table, len(first_keys)), ids, plain_rows(part, table, key))
                first_keys.append(ids[0])
                last = ids[-1]
        return Table(tuple(batches.schema.names), tuple(first_keys))

    def _write_part(self, name: str, ids: Sequence[Id], rows: Iterator[tuple[Any, ...]]) -> None:
        fields = chain((MARK, ""), chain.from_iterable(zip(map(str, ids), map(_encode, rows), strict=True)))
        self._fields[name] = len(ids) + 1
        with self._server.translating_errors(writing=True):
            while some := list(islice(fields, 2 * _SENT_ROWS)):
                # In one transaction: nothing is ever there without an end, wherever the publisher is killed.
                sending = self._server.writing.pipeline()
                sending.hset(name, items=some)
                sending.expire(name, UNFINISHED)
                sending.execute()


def description_key(namespace: str) -> str:
    return f"{namespace}:publication"


def part_key(namespace: str, table: str, part: int) -> str:
    return f"{namespace}:{table}:{part}"
