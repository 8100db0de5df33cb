"""Processes of their own, where one process will not do, without paying the imports each time.

A process of the tests has one fork server, so there is one list of what that has imported: libraries, which take
seconds, and nothing of this package, which reads its environment when it is imported.
"""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any


class _Environment(dict[str, str]):
    """Is the environment of a process from when it is unpickled there."""

    def __reduce__(self) -> tuple[Callable[[dict[str, str]], None], tuple[dict[str, str]]]:
        return _find, (dict(self),)


def _find(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


class _Process(ForkServerProcess):
    """Finds the environment of the moment it was made: the fork server has that of the test which used it first."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # Before all that is unpickled after it, which may read the environment as it is imported.
        self._environment = _Environment(os.environ)
        super().__init__(*arguments, **named)


class _Processes(ForkServerContext):
    Process = _Process  # type: ignore[assignment]


PROCESSES = _Processes()
PROCESSES.set_forkserver_preload(
    [
        *("dagster", "dagster._core.storage.event_log", "dagster._core.storage.base_storage", "dagster.components"),
        *("ibis", "ibis.backends.duckdb", "pandas", "rich.table", "statsmodels.stats.multitest"),
        *("mlflow", "mlflow.store.db.utils", "mlflow.store.tracking.sqlalchemy_store"),
        *("sklearn.linear_model", "sklearn.svm", "sklearn.compose", "xgboost"),
        *("fastapi", "prometheus_client", "uvicorn.protocols.http.httptools_impl"),
        *("matplotlib.figure", "matplotlib.backends.backend_agg", "shap", "typer", "pytest", "hypothesis"),
    ]
)


def spare_what_is_there() -> None:
    """In a fork: leave out of collections of garbage what it was born with, of which a look makes a copy."""
    gc.freeze()


class Fork:
    """A process of the fork server that goes on beside the test, in the words of `subprocess.Popen`.

    Args:
        environment: all that it finds in its environment.
        output: the file that takes what it prints.
    """

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: Any,
        environment: Mapping[str, str],
        cwd: Path,
        output: Path,
    ) -> None:
        known = (function, arguments, dict(environment), cwd, output)
        self._process = PROCESSES.Process(target=_alone, args=known)
        self._process.start()
        self.pid: int = self._process.pid  # type: ignore[assignment]  # it has begun

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutExpired(str(self._process.name), timeout or 0)
        return code

    def send_signal(self, signal_: int) -> None:
        os.kill(self.pid, signal_)

    def kill(self) -> None:
        self._process.kill()


def _alone(
    function: Callable[..., None], arguments: tuple[Any, ...], environment: dict[str, str], cwd: Path, output: Path
) -> None:
    spare_what_is_there()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    written = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(written, stream.fileno())
    function(*arguments)


def in_two_processes(function: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    with ProcessPoolExecutor(2, mp_context=PROCESSES, initializer=spare_what_is_there) as pool:
        return [future.result(timeout=60) for future in [pool.submit(function, *each) for each in arguments]]


def is_killed(process: Any) -> bool:
    process.join(timeout=60)
    return bool(process.exitcode == -signal.SIGKILL)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
