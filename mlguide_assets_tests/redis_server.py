"""A real Redis of the tests: a server of its own per process on a free port, or else the one that runs here."""

import atexit
import shutil
import subprocess
import time
from functools import cache
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from redis.exceptions import RedisError

from mlguide_assets_tests.processes import free_port

USUAL = "redis://127.0.0.1:6379/9"
"""What is used where no program `redis-server` is installed."""
START_S = 20


def redis_address() -> str:
    """The address of a server that answers. The test is skipped where there is none."""
    if shutil.which("redis-server"):
        return _own()
    try:
        Redis.from_url(USUAL).ping()
    except RedisError as error:
        pytest.skip(f"no redis-server is installed (Debian: apt-get install redis-server), and {USUAL}: {error}")
    return USUAL


def redis_port() -> int:
    """The port of that server on the loopback interface."""
    return int(redis_address().rpartition(":")[2].split("/")[0])


@cache
def _own() -> str:
    folder = TemporaryDirectory(prefix="mlguide-redis-", ignore_cleanup_errors=True)
    port = free_port()
    settings = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder.name}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)

    def stop() -> None:
        server.kill()
        server.wait()
        folder.cleanup()

    atexit.register(stop)
    address = f"redis://127.0.0.1:{port}/9"
    _await(address)
    return address


def _await(address: str) -> None:
    given_up = time.monotonic() + START_S
    while True:
        try:
            Redis.from_url(address).ping()
        except RedisError:
            if time.monotonic() > given_up:
                raise
            time.sleep(0.02)
        else:
            return
