"""A program of `mlguide ui` in a process group of its own, which ends with the process that started it.

    python -m mlguide_assets.console.child PROGRAM ARGUMENT…

Its standard input is a pipe that the parent holds open and never writes to: however the parent ends, also killed, the
pipe closes, and then this whole group ends, with all that the program has started.
"""

import os
import signal
import sys
import threading
import time
from importlib.metadata import EntryPoint

PATIENCE_SECONDS = 2.0
"""Seconds between asking a process group to end and killing it."""


def main() -> None:
    """Run the function `module:name` that the first argument names, as a command line with the others."""
    program, *arguments = sys.argv[1:]
    orphaned = threading.Event()
    end = threading.Thread(target=_end_with_parent, args=(orphaned,), name="parent", daemon=True)
    end.start()
    sys.argv = [program, *arguments]
    try:
        EntryPoint(name=program, value=program, group="console_scripts").load()()
    finally:
        # The program may be quick to end, and what it started may not: the thread that kills them must live on.
        if orphaned.is_set():
            end.join()


def _end_with_parent(orphaned: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    orphaned.set()
    os.killpg(0, signal.SIGINT)
    time.sleep(PATIENCE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
