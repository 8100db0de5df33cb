"""Places for stores of both kinds. Redis is a real one, where one is installed."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mlguide_assets_tests.deploy.online_store.states import Place
from mlguide_assets_tests.redis_server import redis_address


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with Redis.from_url(redis_address(), decode_responses=True, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def on_redis(redis: Redis) -> Iterator[Place]:
    """A problem that nobody else has; nothing of it is left."""
    place = Place(redis_address(), f"test_{uuid.uuid4().hex}")
    yield place
    for key in keys_of(redis, place):
        redis.unlink(key)


@pytest.fixture
def on_disk(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "an online store, 100%?" / "sample#1.sqlite"))


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue({"sqlite": "on_disk", "redis": "on_redis"}[request.param])
    assert isinstance(found, Place)
    return found


def keys_of(redis: Redis, place: Place) -> list[str]:
    return sorted(redis.scan_iter(f"mlguide:{{{place.problem}}}:*", count=1000))
