"""Running `mlguide …` as a user does, in a process of its own, without paying the imports each time.

Every command is a fork of what has imported the heavy libraries, with its own environment, working directory and
output.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlguide_assets_tests.processes import PROCESSES, spare_what_is_there
from mlguide_assets_tests.registry_tables import copy_tables


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def mlguide(*arguments: str, cwd: Path, kill_at: str | None = None, **environment: str) -> Done:
    """Run a command to its end and return what it printed; or kill it once it has printed `kill_at`."""
    return _forked(_command, arguments, cwd, environment, kill_at)


def python(code: str, *, cwd: Path, **environment: str) -> Done:
    """Run Python code to its end as `python -c` would: in a process that has not imported this package."""
    return _forked(_execute, (code,), cwd, environment, None)


def _forked(
    target: Callable[..., None],
    arguments: tuple[str, ...],
    cwd: Path,
    environment: dict[str, str],
    kill_at: str | None,
) -> Done:
    out, err = cwd / ".stdout", cwd / ".stderr"
    process = PROCESSES.Process(target=_process, args=(target, arguments, cwd, environment, out, err))
    process.start()
    while kill_at and process.is_alive():
        if err.exists() and kill_at in err.read_text():
            process.kill()
        time.sleep(0.01)
    process.join()
    done = Done(process.exitcode or 0, out.read_text(), err.read_text())
    out.unlink()
    err.unlink()
    return done


def _process(
    target: Callable[..., None],
    arguments: tuple[str, ...],
    cwd: Path,
    environment: dict[str, str],
    out: Path,
    err: Path,
) -> None:
    spare_what_is_there()
    os.chdir(cwd)
    for name in [name for name in os.environ if name.startswith(("MLGUIDE_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ.update({"COLUMNS": "100", **environment})
    for stream, path in ((sys.stdout, out), (sys.stderr, err)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), stream.fileno() if stream else 1)
    copy_tables()
    code: Any = 0
    try:
        target(*arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the interpreter's farewell: a fork owns none of what its parent registered for the end.
    os._exit(code if isinstance(code, int) else 1)


def _command(*arguments: str) -> None:
    from mlguide_assets.cli import app

    app(arguments)


def _execute(code: str) -> None:
    exec(code, {"__name__": "__main__"})
