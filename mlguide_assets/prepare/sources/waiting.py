"""Waiting for a source that may never answer."""

import queue
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")


class SilentSourceError(Exception):
    """A source has said nothing for too long."""


def answered(work: Callable[[Callable[[], None]], Result], *, timeout: timedelta) -> Result:
    """Do the work, as long as it goes on.

    It runs in a thread of its own, since no driver lets go of every kind of silence: of a server that accepts and never
    answers, that stops in the middle, or that waits for a lock.

    Args:
        work: called with a function to call at every sign of life.
        timeout: how long there may be none.

    Raises:
        SilentSourceError: there was none. The thread is left behind; it ends with the process.
        Exception: whatever the work raises.
    """
    signs: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            signs.put(("result", work(lambda: signs.put(("alive", None)))))
        except BaseException as error:
            signs.put(("error", error))

    threading.Thread(target=run, name="reading a source", daemon=True).start()
    while True:
        try:
            sign, value = signs.get(timeout=timeout.total_seconds())
        except queue.Empty:
            raise SilentSourceError from None
        if sign == "error":
            raise value
        if sign == "result":
            result: Result = value
            return result
