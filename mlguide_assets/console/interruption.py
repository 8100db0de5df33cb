"""How a command ends that is asked to: within seconds, with one sentence, wherever the signal finds it.

Dagster has signal handlers of its own while a run lasts. Between steps they only take note, and where no step follows,
they forget. After a run it lets SIGTERM do what SIGINT does, and that is nothing in a process that a shell began in
the background. So a thread of ours learns of signals from the interpreter, whatever handler there is by then.
"""

import os
import select
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlguide_assets.console.child import PATIENCE_SECONDS
from mlguide_assets.errors import InputError, RunFailedError

_DONE = 0
"""No signal has this number: the command is done, and is not watched any more."""

_scratch: set[Path] = set()


@contextmanager
def ends_when_asked() -> Iterator[None]:
    """End a `with` block on SIGTERM, and on SIGINT unless the process was started with SIGINT ignored.

    What unwinds within `PATIENCE_SECONDS` raises. What does not, such as code that catches everything or a training in
    C++, ends there and then with exit code 1, as if it were killed: what is written is whole then, too.

    Raises:
        RunFailedError: it was asked to end; the text is one sentence.
    """
    if threading.current_thread() is not threading.main_thread():
        # Handlers belong to the main thread.
        yield
        return
    watch = _Watch()
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        if (number := watch.stop()) is None:
            raise
        raise RunFailedError(_sentence(number)) from error
    finally:
        watch.close()


@contextmanager
def removed_when_ended(folder: str) -> Iterator[Path]:
    """A temporary folder that is removed as well where the process is ended on the spot."""
    path = Path(folder)
    _scratch.add(path)
    try:
        yield path
    finally:
        _scratch.discard(path)


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder for a command that only reads: copies of tables may be large, and none is left behind.

    Raises:
        RunFailedError: the command was asked to end: see `ends_when_asked`.
    """
    with ends_when_asked(), TemporaryDirectory(prefix=prefix) as folder, removed_when_ended(folder) as path:
        yield path


def _sentence(number: int) -> str:
    return f"It was ended by {signal.Signals(number).name} before it was done; nothing is left half written."


class _Watch:
    """Handlers that interrupt, and the thread that sees to it that this had an effect."""

    def __init__(self) -> None:
        self._asked: int | None = None
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self._ending = {number for number in before if before[number] != signal.SIG_IGN} | {signal.SIGTERM}
        self._out, self._into = os.pipe()
        os.set_blocking(self._into, False)
        for number in before:
            signal.signal(number, self._interrupt)
        self._before, self._woken = before, signal.set_wakeup_fd(self._into, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._look, name="interruption", daemon=True)
        self._thread.start()

    def stop(self) -> int | None:
        """The signal by which the command was asked to end; None where it was not. Nothing is ended any more."""
        if self._thread.is_alive():
            os.write(self._into, bytes([_DONE]))
            self._thread.join()
        return self._asked

    def close(self) -> None:
        self.stop()
        signal.set_wakeup_fd(self._woken)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._out)
        os.close(self._into)

    def _interrupt(self, number: int, _: Any) -> None:
        # Dagster gives SIGTERM the handler of SIGINT, so that one is ours as well where SIGINT is to be ignored.
        if number in self._ending:
            raise KeyboardInterrupt

    def _look(self) -> None:
        while (number := os.read(self._out, 1)[0]) not in self._ending:
            if number == _DONE:
                return
        self._asked = number
        while select.select([self._out], [], [], PATIENCE_SECONDS)[0]:
            if os.read(self._out, 1)[0] == _DONE:
                return
        for folder in _scratch:
            shutil.rmtree(folder, ignore_errors=True)
        # The main thread may hold the lock of every file object.
        os.write(2, f"mlguide: {_sentence(number)}\n".encode())
        os._exit(1)
