"""Connections to a Redis, and its failures in words that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from mlguide_assets.define.secrets import shown_address
from mlguide_assets.deploy.online_store.store import DamagedError, StoreError
from mlguide_assets.errors import InputError

_READ_S = 1.0
_WRITE_S = 30.0


class Server:
    """A Redis: impatient connections for readers, patient ones for publishers.

    Args:
        address: as `RedisStore` takes it.

    Attributes:
        shown: the address without its password.
    """

    def __init__(self, address: str) -> None:
        self.shown = shown_address(address)
        try:
            _require_host(address)
            self.reading = _client(address, timeout=_READ_S)
            self.writing = _client(address, timeout=_WRITE_S)
        except (ValueError, TypeError, AttributeError):
            # Not chained: what a parser says of an address may be a piece of the password.
            raise InputError(
                f"{self.shown} is not the address of a Redis: write redis://user:password@host:6379/0, with what is "
                f"no letter or digit in the password as in a URL, such as %2F for a slash."
            ) from None

    @contextmanager
    def translating_errors(self, *, writing: bool = False) -> Iterator[None]:
        """Turn failures of Redis into one sentence, and, where it is read, also what is no state.

        Raises:
            DamagedError: what was read is none.
            StoreError: Redis does not answer, or does not carry out a command.
        """
        try:
            yield
        # What is nested too deeply is no state either.
        except (RedisError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if writing and not isinstance(error, RedisError):
                raise
            # Not chained: Redis may repeat the command that it did not understand, and AUTH holds the password.
            raise self._failure(error, writing=writing) from None

    def _failure(self, error: Exception, *, writing: bool) -> StoreError:
        password = self.reading.connection_pool.connection_kwargs.get("password")
        # What a pipeline puts before the reason is the start of a command, so of somebody's row.
        reason = " ".join(str(error).split()).rpartition(" of pipeline caused error: ")[2]
        reason = re.sub(rf"(?<!\w){re.escape(password)}(?!\w)", "***", reason) if password else reason
        if not isinstance(error, RedisError) or "WRONGTYPE" in reason:
            return DamagedError(
                f"The online store {self.shown} is damaged, emptied or of another version ({reason}): materialize "
                f"online_store, or 'mlguide run', to publish it again."
            )
        is_away = isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError)
        if writing and is_away and not isinstance(error, exceptions.AuthenticationError):
            return StoreError(
                f"The online store {self.shown} could not be written ({reason}): see that this Redis runs and can be "
                f"reached, then run again; what was published before still serves where a server can read it."
            )
        if writing:
            return StoreError(
                f"The online store {self.shown} could not be written ({reason}): see that this Redis runs, has memory "
                f"for two states and lets the user write; what was published before still serves."
            )
        return StoreError(
            f"The online store {self.shown} cannot be read ({reason}): see that this Redis runs and lets the user in."
        )


def _require_host(address: str) -> None:
    """Where redis-py does not understand a host or a database, it takes localhost and 0.

    Raises:
        ValueError: there is none, or a character in the password ends it early.
    """
    parts = urlsplit(address)
    database = parts.path.removeprefix("/")
    if not parts.hostname or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError("no host")
    if database and not database.isdecimal():
        raise ValueError("no database")


def _client(address: str, *, timeout: float) -> Redis:
    client = Redis.from_url(
        address,
        socket_connect_timeout=_READ_S,
        socket_timeout=timeout,
        # Without, redis-py tries for seconds. A connection that broke while it was idle is replaced all the same.
        retry=Retry(NoBackoff(), 0),
        # It has all that is needed, and every server and proxy speaks it.
        protocol=2,
        decode_responses=True,
    )
    # Not connected; an option that does not exist is refused now rather than at the first request.
    client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    return client
