"""The code servers: the processes that load definitions, for webserver and daemon alike. A problem has one of its own.

Given a Python module, each of the two starts a code server of its own, and the daemon replaces its own every
minute, in case the code has changed. Given an address, both use what runs there; *Reload* in the UI loads the code
again.

What loads them is a process that the code server starts, and where that alone is killed, as by a kernel that is out of
memory, the code server goes on and answers nothing: no sensor would ever look again. `keep_loaded` has it loaded again.
"""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlguide_assets.define.loading import PROBLEM_VARIABLE, broken_problems, name_in_home, readable_problems
from mlguide_assets.progress import Report
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    from dagster._grpc.client import DagsterGrpcClient

_MODULE = "mlguide_assets.definitions"
ALONE = "mlguide_assets"
"""What the code location of the only problem of a home is called."""
_LOOK_SECONDS = 5.0
_AGAIN_SECONDS = 60
"""What loading may take, and the pause where it fails."""


@dataclass(frozen=True)
class Location:
    """The code location of one problem: a process of its own.

    Attributes:
        name: of the problem among those of its home; None where it is the only one.
        problem: what names it in the environment, whatever else the home works on later; None in a home without one.
    """

    name: str | None
    socket: Path
    problem: str | None = None

    @property
    def log(self) -> str:
        """The name of its log."""
        return "code_server" if self.name is None else f"code_server_{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name the process's problem, beside the common environment."""
        return {} if self.problem is None else {PROBLEM_VARIABLE: self.problem}

    @property
    def arguments(self) -> list[str]:
        """What `dagster` is to be called with, to serve the definitions on the socket."""
        served = ["-m", _MODULE, "--location-name", self.name or ALONE, "--use-python-environment-entry-point"]
        return ["code-server", "start", "-s", str(self.socket), *served]


def locations(home: Home, folder: Path) -> list[Location]:
    """A code location for each problem of a home; where there is one problem at most, the one of this process.

    That of a problem whose file is broken has its key, and shows in the UI what is wrong.

    Args:
        folder: of the sockets.
    """
    names = {key: name_in_home(problem, home) for key, problem in readable_problems(home).items()}
    if not names:
        return [Location(None, folder / "0.sock")]
    served = [*names.items(), *((key, key) for key in broken_problems(home))]
    return [Location(name, folder / f"{number}.sock", name or key) for number, (key, name) in enumerate(served)]


def workspace(served: Sequence[Location]) -> str:
    """The workspace file for webserver and daemon: text is quoted as in JSON, which is YAML."""
    addresses = [{"socket": str(each.socket), "location_name": each.name or ALONE} for each in served]
    return json.dumps({"load_from": [{"grpc_server": address} for address in addresses]})


def wait_until_loaded(process: subprocess.Popen[bytes], socket: Path, given_up: Callable[[], bool]) -> None:
    """Return once the code server has loaded the definitions, has ended, or is no longer waited for."""
    while process.poll() is None and not given_up() and not socket.exists():
        time.sleep(0.05)


def keep_loaded(served: Location, stopped: threading.Event, report: Report) -> None:
    """Until it is stopped: have a code server load its definitions again where the process that has them is gone.

    Args:
        report: called with a sentence once they are loaded again, or cannot be.
    """
    # Not public, but Dagster's own processes ask each other so.
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    client, gone = DagsterGrpcClient(socket=str(served.socket)), False
    while not stopped.wait(_AGAIN_SECONDS if gone else _LOOK_SECONDS):
        told, gone = gone, _is_gone(client)
        if not gone:
            continue
        # It loads them, and then fails to end the process that had them.
        with contextlib.suppress(DagsterUserCodeUnreachableError):
            client.reload_code(timeout=_AGAIN_SECONDS)
        gone = _is_gone(client)
        if not (stopped.is_set() or (told and gone)):
            of = f" of {served.name}" if served.name else ""
            result = f"cannot be loaded again yet: see {served.log}.log" if gone else "are loaded again"
            report(f"The process with the definitions{of} had ended, as where it is killed; they {result}.")


def _is_gone(client: "DagsterGrpcClient") -> bool:
    """Whether nothing answers for the definitions; what is only slow is there."""
    from dagster._core.errors import DagsterUserCodeUnreachableError

    try:
        client.ping("")
    except DagsterUserCodeUnreachableError as error:
        # The code server says so of the process behind it, in the text of its own failure.
        return "UNAVAILABLE" in str(error.__cause__)
    return False
