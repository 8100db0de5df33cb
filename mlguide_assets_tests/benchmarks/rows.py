"""What a row of the printed table is, and how a process is measured for it."""

import os
import subprocess
import sys
import time
from pathlib import Path

Row = tuple[str, str, str, str]
"""What, measured, budget, and whether it is within."""

PYTHON = sys.executable
MLGUIDE = str(Path(PYTHON).with_name("mlguide"))
GIGABYTE = 1024**3


def printed_by(arguments: list[str], **environment: str) -> str:
    return subprocess.run(
        [PYTHON, *arguments], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    ).stdout.strip()


def measured(command: list[str], log: Path, **environment: str) -> tuple[str, float, float]:
    """What a command printed to stderr, its seconds, and its own peak memory in GB."""
    start = time.perf_counter()
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=out, env={**os.environ, **environment}) as process,
    ):
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return log.read_text(), time.perf_counter() - start, usage.ru_maxrss * 1024 / GIGABYTE


def within(fine: bool) -> str:
    return "yes" if fine else "NO"
