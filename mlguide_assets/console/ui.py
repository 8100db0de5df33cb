"""`mlguide ui`: Dagster's webserver and daemon on a home, as one command that stops as one."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

from filelock import Timeout

from mlguide_assets.console import code_server
from mlguide_assets.console.child import PATIENCE_SECONDS
from mlguide_assets.console.dagster_files import refuse_damaged_history
from mlguide_assets.console.dead_runs import end_dead_runs, instance_of
from mlguide_assets.console.environment import enter
from mlguide_assets.console.switches import follow_locations
from mlguide_assets.console.terminal import console
from mlguide_assets.define.loading import broken_problems, readable_problems
from mlguide_assets.deploy.serving.reach import AllowedHosts, bind, is_loopback
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.database import shared_database
from mlguide_assets.prepare.hosts.host_lock import holder_on_all_hosts, locked_in_database
from mlguide_assets.settings import HOME_VARIABLE, Home, shared_address

if TYPE_CHECKING:
    from dagster import DagsterInstance

_LOCK = "ui"
_LONGEST_ADDRESS = 200
_LAST_LINES = 8
_LOOK_SECONDS = 0.1
_LOOK_AFTER_SECONDS = 5.0
_ORPHANS_END_WITHIN = 5 * PATIENCE_SECONDS
"""Seconds that what a killed `mlguide ui` had started may take to end, on a machine that is busy."""
_LARGEST_LOG = 5_000_000
"""Bytes of a log beyond which it begins again; what it was is kept beside it."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""Dagster's logs are coloured, also in a file."""
_WEBSERVER = "mlguide_assets.console.webserver:main"


def serve(home: Home, host: str, port: int) -> int:
    """Run code servers, webserver and daemon until one of them ends or the user stops them; return the exit code.

    What they write since the last start is in the home: `dagster/{code_server,webserver,daemon}.log`.

    Raises:
        InputError: the address is taken, another `mlguide ui` works on this home, or the environment lists as a host
            what is none.
    """
    # What the environment lists is read by the webserver, whose refusal would end in its log.
    AllowedHosts.of(host)
    is_new = not home.is_used
    enter(home)
    shown = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    # The path of a socket has at most 107 characters, which that of a home may exceed.
    with (
        ui_lock(home, shown) as lock,
        bind(host, port) as listening,
        TemporaryDirectory(prefix="mlguide-") as folder,
    ):
        if not is_loopback(host):
            console.print(f"Anybody who can reach {host} can do everything here: Dagster's UI has no password.")
        refuse_damaged_history(home)
        with instance_of(home) as instance:
            end_dead_runs(home, instance, console.print)
            _follow_problems(home, instance)
        if is_new and not shared_address():
            console.print(
                home.commands(
                    f"Nothing was run in {home.root} yet, so there is little to see: 'mlguide run' fills it. If "
                    f"you meant another home, check --home or {HOME_VARIABLE}."
                )
            )
        for error in broken_problems(home).values():
            console.print(f"The other problems go on without this one: {error}")
        served = code_server.locations(home, Path(folder))
        return _Processes(home, served, (lock, listening.fileno()), host).run(shown, listening.getsockname())


def _follow_problems(home: Home, instance: "DagsterInstance") -> None:
    """Give what Dagster has recorded of the home's only problem the names that it has beside others."""
    from mlguide_assets.console.asset_names import follow_names
    from mlguide_assets.defs.tags import PROBLEM_TAG

    follow_locations(home, instance)
    if len(readable_problems(home)) > 1:
        follow_names(home, instance, PROBLEM_TAG)


class _Processes:
    """Code servers, webserver and daemon."""

    def __init__(
        self, home: Home, served: Sequence[code_server.Location], inherited: tuple[int, int], host: str
    ) -> None:
        self._home = home
        self._served = served
        self._lock, self._listening = inherited
        self._host = host
        self._logs = {
            name: home.dagster / f"{name}.log" for name in (*(each.log for each in served), "webserver", "daemon")
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._refused = ""
        self._idle = dict[str, float]()

    def run(self, shown: str, place: Sequence[object]) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            self._start_all()
            self._wait_until_up(place)
            if self._is_well():
                console.print(
                    f"Dagster UI on {shown} for {self._home.root}; Ctrl-C stops it. "
                    f"What it starts is in {self._logs['daemon']}, what its runs do in "
                    f"{', '.join(self._logs[each.log].name for each in self._served)} there."
                )
            self._watch()
        finally:
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            _end(list(self._running.values()))
        return 0 if self._stopping else self._tell(ended)

    def _watch(self) -> None:
        """Until the end; runs that are killed meanwhile are ended, as they would keep all others waiting."""
        with self._definitions_kept_loaded(), instance_of(self._home) as instance:
            due, problems = time.monotonic(), _files_of_problems(self._home)
            while self._is_well():
                time.sleep(_LOOK_SECONDS)
                if time.monotonic() >= due:
                    self._end_dead_runs(instance)
                    before, problems = problems, _files_of_problems(self._home)
                    if before != problems:
                        _report(what_to_do(before, problems, list(broken_problems(self._home).values())))
                    for log in self._logs.values():
                        bound(log)
                    due = time.monotonic() + _LOOK_AFTER_SECONDS

    @contextlib.contextmanager
    def _definitions_kept_loaded(self) -> Iterator[None]:
        """By a thread for each code server: loading takes seconds."""
        stopped = threading.Event()
        for each in self._served:
            threading.Thread(
                target=code_server.keep_loaded, args=(each, stopped, _report), name=each.log, daemon=True
            ).start()
        try:
            yield
        finally:
            stopped.set()

    def _end_dead_runs(self, instance: "DagsterInstance") -> None:
        refused, self._refused = self._refused, ""
        try:
            end_dead_runs(self._home, instance, _report, idle=self._idle)
        except Exception as error:  # A busy database or a full disk must not end the UI: the next look may succeed.
            self._refused = _in_words(error, self._home)
        # Of an outage its beginning and its end, not every look.
        if self._refused and self._refused != refused:
            _report(f"{_now()}  The UI waits until it can look at its runs, and then goes on: {self._refused}")
        elif refused and not self._refused:
            _report(f"{_now()}  The UI goes on.")

    def _start_all(self) -> None:
        workspace = self._home.dagster / "workspace.yaml"
        workspace.write_text(code_server.workspace(self._served), encoding="utf-8")
        for each in self._served:
            self._start(each.log, _program("dagster"), *each.arguments, environment=each.environment)
        for each in self._served:
            code_server.wait_until_loaded(self._running[each.log], each.socket, lambda: self._stopping)
        if self._is_well():
            self._start("webserver", _WEBSERVER, self._host, str(self._listening), str(workspace))
            self._start("daemon", _program("dagster-daemon"), "run", "-w", str(workspace))

    def _start(
        self, name: str, program: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Run a program that writes a line per step of every run, and per look of every sensor, to a log of its own."""
        command = [sys.executable, "-m", "mlguide_assets.console.child", program, *arguments]
        self._logs[name].unlink(missing_ok=True)
        # Appended to, so that a log that is emptied meanwhile begins again at its start.
        with self._logs[name].open("ab") as out:
            self._running[name] = subprocess.Popen(
                command,
                cwd=self._home.root,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                # The home stays locked as long as any of them lives, whatever becomes of this process.
                pass_fds=(self._lock, self._listening),
                start_new_session=True,
            )

    def _wait_until_up(self, place: Sequence[object]) -> None:
        while self._is_well() and not _answers(place):
            time.sleep(_LOOK_SECONDS)

    def _is_well(self) -> bool:
        return not self._stopping and all(process.poll() is None for process in self._running.values())

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _tell(self, ended: list[str]) -> int:
        for name in ended:
            log = self._logs[name]
            written = _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))
            last = written.splitlines()[-_LAST_LINES:]
            console.print(f"The {name} ended by itself. The last lines of {log}:", *last, sep="\n")
        return max((abs(self._running[name].returncode) for name in ended), default=1) or 1


def _report(text: str) -> None:
    """Tell who reads the terminal, if anybody does: it may be a file on the disk that is full, or a pipe that ended."""
    with contextlib.suppress(OSError):
        console.print(text)


def _in_words(error: Exception, home: Home) -> str:
    """What refused, in a sentence where it has one, else in one line."""
    if isinstance(error, InputError):
        return str(error)
    from mlguide_assets.console.machine import refusal

    return refusal(error, home.root) or f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _files_of_problems(home: Home) -> dict[str, str]:
    """What is in the problem files of a home, as hashes by name; a file that is being replaced is left out."""
    found = {}
    for path in home.problems.glob("*.yaml"):
        with contextlib.suppress(OSError):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def what_to_do(before: Mapping[str, str], now: Mapping[str, str], broken: Sequence[InputError] = ()) -> str:
    """What to tell of problem files that are others than at the last look.

    >>> what_to_do({"churn.yaml": "a"}, {"churn.yaml": "b"})
    "A problem file of the home has changed: press 'Reload definitions' in the UI to work by it."
    """
    if broken:
        return (
            f"A problem file of the home is broken. This UI goes on with what it has loaded, and what it starts fails: "
            f"{' '.join(map(str, broken))}"
        )
    if before.keys() == now.keys():
        return "A problem file of the home has changed: press 'Reload definitions' in the UI to work by it."
    return "The home has other problems than this UI: start it again to work on all of them."


def bound(log: Path, largest: int = _LARGEST_LOG) -> None:
    """Empty a log that is too large, after copying it to `<name>.1.log`: who writes it goes on with the same file.

    What is written between copy and emptying is lost, as with logrotate's `copytruncate`.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > largest:
            shutil.copyfile(log, log.with_suffix(".1.log"))
            os.truncate(log, 0)


@contextlib.contextmanager
def ui_lock(home: Home, shown: str) -> Iterator[int]:
    """Hold the lock of a home's UI, of all hosts that share its database: two daemons would both start what is due."""
    # Not `locked`: child processes inherit the descriptor, and the lock lasts as long as the last of them.
    handle = os.open(home.ui_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _ORPHANS_END_WITHIN
        while not _takes_lock(handle):
            where = os.pread(handle, _LONGEST_ADDRESS, 0).decode("utf-8", "replace") or "another address"
            if _holder_lives(where) or time.monotonic() > deadline:
                raise InputError(
                    f"mlguide ui already works on {home.root}, on {where}: use that one, or stop it first."
                )
            time.sleep(_LOOK_SECONDS)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{shown} (process {os.getpid()})".encode(), 0)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked_in_database(_LOCK, wait=False))
            except Timeout as error:
                raise InputError(
                    f"mlguide ui already works with this database on another host ({holder_on_all_hosts(_LOCK)}): use "
                    f"that one, or stop it first."
                ) from error
            yield handle
    finally:
        os.close(handle)


def works_on(home: Home) -> str | None:
    """Where a UI works on a home now, such as 'http://127.0.0.1:3000 (process 7)'; None where none does."""
    if shared_database() is not None:
        return holder_on_all_hosts(_LOCK)
    with contextlib.suppress(FileNotFoundError), home.ui_lock.open("r+b") as lock:
        if not _takes_lock(lock.fileno()):
            return lock.read(_LONGEST_ADDRESS).decode("utf-8", "replace")
    return None


def _takes_lock(handle: int) -> bool:
    """Take the lock if it is free; whether this process has it now, or there is none to have."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some file systems have no locks.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _holder_lives(where: str) -> bool:
    """Whether the process that wrote where it works still does; if not, what it had started ends as well."""
    found = re.search(r"\(process (\d+)\)$", where)
    if found is None:
        return True
    try:
        # One of another user lives, too, and may not be signalled.
        with contextlib.suppress(PermissionError):
            os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    return True


def _answers(place: Sequence[object]) -> bool:
    """Whether somebody listens at an address, as a socket gives it."""
    try:
        with socket.create_connection((str(place[0]), int(str(place[1]))), timeout=1):
            return True
    except OSError:
        return False


def _program(name: str) -> str:
    """The function behind a console script, as `module:name`."""
    for script in entry_points(group="console_scripts", name=name):
        return script.value
    raise InputError(f"{name} is not installed beside {sys.executable}: install this package with its dependencies.")


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask processes, and all that they have started, to end; kill what does not within `PATIENCE_SECONDS`."""
    _signal_groups(processes, signal.SIGINT)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    # Also of those that ended: something that they started may not have.
    _signal_groups(processes, signal.SIGKILL)
    for process in processes:
        process.wait()


def _signal_groups(processes: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
