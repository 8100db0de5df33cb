"""`mlguide ui`: Dagster's webserver and daemon on a home, as one command that stops as one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from mlguide_assets.console import code_server
from mlguide_assets.console.environment import enter
from mlguide_assets.console.terminal import console
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import plain_path
from mlguide_assets.prepare.turns import nobody_works_on
from mlguide_assets.settings import Home

_LAST_LINES = 8


def serve(home: Home, host: str, port: int) -> int:
    """Run code server, webserver and daemon until one of them ends or the user stops them; return the exit code.

    What they write since the last start is in the home: `dagster/{code_server,webserver,daemon}.log`.
    """
    enter(home)
    end_dead_runs(home)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    workspace = home.dagster / "workspace.yaml"
    logs = {name: home.dagster / f"{name}.log" for name in ("code_server", "webserver", "daemon")}
    console.print(
        f"Dagster UI on http://{host}:{port} for {home.root}; Ctrl-C stops it. What it does: {logs['daemon']}"
    )
    processes: dict[str, subprocess.Popen[bytes]] = {}
    # The path of a socket has at most 107 characters, which that of a home may exceed.
    with TemporaryDirectory(prefix="mlguide-") as folder:
        socket = Path(folder) / "code.sock"
        workspace.write_text(code_server.workspace(socket))
        commands = {
            "code_server": [*_tool("dagster"), *code_server.arguments(socket)],
            "webserver": [*_tool("dagster-webserver"), "-h", host, "-p", str(port), "-w", str(workspace)],
            "daemon": [*_tool("dagster-daemon"), "run", "-w", str(workspace)],
        }
        try:
            for name, command in commands.items():
                processes[name] = _start(command, home, logs[name])
                if name == "code_server":
                    code_server.wait_until_loaded(processes[name], socket, lambda: stopping)
            while not stopping and all(process.poll() is None for process in processes.values()):
                time.sleep(0.2)
        finally:
            ended = [name for name, process in processes.items() if process.poll() is not None]
            _end(list(processes.values()))
    if stopping:
        return 0
    for name in ended:
        last = logs[name].read_text(errors="replace").splitlines()[-_LAST_LINES:]
        console.print(f"The {name} ended by itself. The last lines of {logs[name]}:", *last, sep="\n")
    return max(processes[name].returncode for name in ended)


def _start(command: list[str], home: Home, log: Path) -> subprocess.Popen[bytes]:
    """Run a program that writes a line per step of every run, and per look of every sensor, to a log of its own."""
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=home.root, stdout=out, stderr=out)


def end_dead_runs(home: Home) -> None:
    """Runs that were killed with their daemon would be taken for running, and keep all others waiting for ever."""
    if not nobody_works_on(home):
        return
    import dagster as dg

    with dg.DagsterInstance.from_config(str(plain_path(home.dagster))) as instance:
        begun = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
        for record in instance.get_run_records(dg.RunsFilter(statuses=begun)):
            run = record.dagster_run
            instance.report_run_failed(run, "Its process is gone: it was killed, or the machine stopped.")
            console.print(f"The run {run.run_id} of {run.job_name} had been killed; it is on record as failed.")


def _tool(name: str) -> list[str]:
    """The console script that belongs to this Python, whatever PATH says."""
    script = Path(sys.executable).with_name(name)
    if not script.exists():
        raise InputError(
            f"{name} is not installed beside {sys.executable}: install this package with its dependencies."
        )
    return [str(script)]


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    for process in processes:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
