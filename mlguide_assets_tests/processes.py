"""Processes of their own, where one process will not do, without paying the imports each time.

A process of the tests has one fork server, so there is one list of what that has imported: libraries, which take
seconds, and nothing of this package, which reads its environment when it is imported.
"""

import multiprocessing
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("dagster", "dagster._core.storage.event_log", "dagster._core.storage.base_storage", "dagster.components"),
        *("ibis", "ibis.backends.duckdb", "pandas", "rich.table", "statsmodels.stats.multitest"),
        *("mlflow", "mlflow.store.db.utils", "mlflow.store.tracking.sqlalchemy_store"),
        *("sklearn.linear_model", "sklearn.svm", "sklearn.compose", "xgboost"),
        *("matplotlib.figure", "matplotlib.backends.backend_agg", "shap", "typer", "pytest", "hypothesis"),
    ]
)


def in_two_processes(function: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    with ProcessPoolExecutor(2, mp_context=PROCESSES) as pool:
        return [future.result(timeout=60) for future in [pool.submit(function, *each) for each in arguments]]


def is_killed(process: Any) -> bool:
    process.join(timeout=60)
    return bool(process.exitcode == -signal.SIGKILL)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
