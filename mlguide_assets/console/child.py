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
"""Between asking a group to end and killing it."""


def main() -> None:
    """Run the function `module:name` that the first argument names, as a command line with the others."""
    program, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    sys.argv = [program, *arguments]
    EntryPoint(name=program, value=program, group="console_scripts").load()()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGINT)
    time.sleep(PATIENCE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
