"""`mlguide serve`: uvicorn with this project's settings, in one process or in several workers."""

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from mlguide_assets.define.loading import (
    PROBLEM_VARIABLE,
    broken_problems,
    current_problem,
    name_in_home,
    readable_problems,
)
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE, open_store
from mlguide_assets.deploy.serving.reach import AllowedHosts, bind, is_loopback
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home

KEY_VARIABLE = "MLGUIDE_API_KEY"
"""What callers must send. An environment variable, since a flag is seen by everybody who lists processes."""
ACCESS_LOG_VARIABLE = "MLGUIDE_ACCESS_LOG"
BOUND_HOST_VARIABLE = "MLGUIDE_BOUND_HOST"
"""Where the workers listen; only the parent process sets it."""
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

GRACE_SECONDS = 20
"""For requests in progress when the server is stopped."""


def serve(home: Home, *, host: str, port: int, workers: int, store: str | None, access_log: bool) -> None:
    """Serve until stopped.

    Raises:
        InputError: the address is open to others and there is no key, it is taken, there is no such home or kind of
            store, or what the environment lists as names of hosts is none.
    """
    import uvicorn

    refuse_open_without_key(host)
    # What the environment lists is read by the workers, which would die of a fault there, again and again.
    AllowedHosts.of(host)
    home.require_there()
    # Taken, it would be uvicorn that says so, in its log.
    bind(host, port).close()
    address = store or os.environ.get(STORE_VARIABLE) or ""
    open_store(home, "any", address)
    # Known to be readable before there are workers, which would die of it, and be started again, for ever.
    served = served_problems(home)
    # The workers are processes of their own, which have only the environment.
    home.make_default()
    os.environ |= {
        STORE_VARIABLE: address,
        ACCESS_LOG_VARIABLE: "1" if access_log else "",
        BOUND_HOST_VARIABLE: host,
    }
    shown = f"[{host}]" if ":" in host else host
    print(f"Playground and API on http://{shown}:{port} for {home.root}; Ctrl-C stops them.", file=sys.stderr)
    for error in broken_problems(home).values():
        print(f"The other problems are served without this one: {error}", file=sys.stderr)
    for name in served if len(served) > 1 else ():
        print(f"  {name}: http://{shown}:{port}/problems/{name}/", file=sys.stderr)
    home.ensure_writable()
    _allow_many_connections()
    # Uvicorn finishes what was begun, then raises the signal again, which would end the process as if killed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _counting_together(workers, home):
        uvicorn.run(
            "mlguide_assets.deploy.serving.app:create_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            http="mlguide_assets.deploy.serving.connections:PatientProtocol",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )


def served_problems(home: Home) -> dict[str, Problem]:
    """The problems that are served, by their names: those of the home, or the one that this process was started for."""
    current = current_problem(home)
    if os.environ.get(PROBLEM_VARIABLE):
        return {current.name: current}
    known = {**readable_problems(home), current.key: current}
    return {name_in_home(problem, home) or problem.name: problem for problem in known.values()}


def _allow_many_connections() -> None:
    """Every connection is an open file, of which many systems allow 1,024 unless a process asks for more."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def stop_with_parent() -> None:
    """In a worker: stop once the process that started it is gone, which would otherwise keep the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="parent", daemon=True).start()


def refuse_open_without_key(host: str) -> None:
    """Refuse to serve to others without a key.

    Raises:
        InputError: anybody could ask.
    """
    if os.environ.get(KEY_VARIABLE) or is_loopback(host):
        return
    raise InputError(
        f"{host} can be reached by others and there is no key, so anybody could ask: set {KEY_VARIABLE} to a long "
        f"random text, or serve on 127.0.0.1."
    )


@contextlib.contextmanager
def _counting_together(workers: int, home: Home) -> Iterator[None]:
    """Have the workers count in files that each of them can add up: a scrape reaches only one."""
    if workers == 1:
        yield
        return
    with TemporaryDirectory(dir=home.root, prefix=".metrics-") as folder:
        os.environ[_MULTIPROCESS] = folder
        yield
