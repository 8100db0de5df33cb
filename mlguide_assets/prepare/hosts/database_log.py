"""A log of events as rows of the database that hosts share: see `event_log`."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlguide_assets.prepare.hosts.database import connected, prepare_database
from mlguide_assets.prepare.hosts.event_log import Added, Line, Place, parsed

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class of a driver that names it so

_INSERT = "INSERT INTO mlguide.events (log, line) VALUES (%s, %s)"


@dataclass(frozen=True)
class DatabaseLog:
    """The rows of one log.

    Args:
        key: of the log in the database, as folder/file.
        name: what it is called in sentences.
    """

    key: str
    name: str

    @contextlib.contextmanager
    def locked(self) -> Iterator["DatabaseWriter"]:
        prepare_database()
        with connected() as connection:
            with connection.cursor() as cursor:
                # Given back when the connection is closed.
                cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"mlguide: log {self.key}"])
            yield DatabaseWriter(self, connection)

    def lines(self) -> list[Line]:
        return self.lines_after(None).lines

    def lines_after(self, place: Place | None) -> Added:
        prepare_database()
        with connected() as connection, connection.cursor() as cursor:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
            cursor.execute("SELECT min(number) FROM mlguide.events WHERE log = %s", [self.key])
            (first,) = cursor.fetchone() or (None,)
            goes_on = place is not None and place.beginning == first
            offset = place.offset if place is not None and goes_on else 0
            query = "SELECT number, line FROM mlguide.events WHERE log = %s AND number > %s ORDER BY number"
            cursor.execute(query, [self.key, offset])
            rows = cursor.fetchall()
        lines = [line for _, raw in rows if (line := parsed(raw)) is not None]
        return Added(lines, None, Place(first, rows[-1][0] if rows else offset) if first else None, goes_on)


@dataclass(frozen=True)
class DatabaseWriter:
    """A log while it is locked."""

    log: DatabaseLog
    connection: "Connection"

    @property
    def size(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT sum(octet_length(line)) FROM mlguide.events WHERE log = %s", [self.log.key])
            (size,) = cursor.fetchone() or (None,)
        return int(size or 0)

    def append(self, *lines: Mapping[str, Any]) -> None:
        with self._transaction() as cursor:
            cursor.executemany(_INSERT, self._rows(lines))

    def begin_again(self, lines: Sequence[Mapping[str, Any]], older: str) -> None:
        key = f"{self.log.key.rpartition('/')[0]}/{older}"
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM mlguide.events WHERE log = %s", [key])
            cursor.execute("UPDATE mlguide.events SET log = %s WHERE log = %s", [key, self.log.key])
            cursor.executemany(_INSERT, self._rows(lines))

    def _rows(self, lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        return [(self.log.key, json.dumps(line, allow_nan=False)) for line in lines]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Any]:
        """All or nothing of what is executed inside."""
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            yield cursor
            cursor.execute("COMMIT")
