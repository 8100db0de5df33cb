"""Which kind of online store an address means."""

from mlguide_assets.deploy.online_store.store import OnlineStore
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home

STORE_VARIABLE = "MLGUIDE_ONLINE_STORE"


def open_store(home: Home, problem: str, address: str | None = None) -> OnlineStore:
    """The store at an address, `redis://…` or `rediss://…`; without one, the SQLite file of the home.

    Args:
        problem: `Problem.key`; problems share a store and never meet.

    Raises:
        InputError: no kind of store has such an address, or the package for it is not installed.
    """
    if not address:
        from mlguide_assets.deploy.online_store.sqlite import SqliteStore

        return SqliteStore(home.online_store(problem))
    if address.startswith(("redis://", "rediss://")):
        try:
            from mlguide_assets.deploy.online_store.redis import RedisStore
        except ImportError as error:
            raise InputError(
                "The online store is a Redis, which needs the package redis, which is not installed: 'uv pip install "
                "-c constraints.txt -e \".[redis]\"' in the project's folder installs it."
            ) from error

        return RedisStore(address, problem)
    scheme = address.partition("://")[0]
    raise InputError(
        f"An online store is a Redis, as redis://host:6379/0, or, without --store and {STORE_VARIABLE}, a SQLite file "
        f"in the home; {scheme!r} is neither."
    )
