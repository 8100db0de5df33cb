"""Processes of their own, where one process will not do."""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

# A server that has imported everything and opened nothing forks the processes: starting one takes no time.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["mlguide_assets.prepare.lake", "ibis.backends.duckdb", "pandas"])


def in_two_processes(function: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    with ProcessPoolExecutor(2, mp_context=PROCESSES) as pool:
        return [future.result(timeout=60) for future in [pool.submit(function, *each) for each in arguments]]


def is_killed(process: Any) -> bool:
    process.join(timeout=60)
    return bool(process.exitcode == -signal.SIGKILL)
