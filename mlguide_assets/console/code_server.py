"""The code servers: the processes that load definitions, for webserver and daemon alike. A problem has one of its own.

Given a Python module, each of the two starts a code server of its own, and the daemon replaces its own every
minute, in case the code has changed. Given an address, both use what runs there; *Reload* in the UI loads the code
again.
"""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlguide_assets.define.loading import PROBLEM_VARIABLE, name_in_home, problems_of_home
from mlguide_assets.settings import Home

_MODULE, _LOCATION = "mlguide_assets.definitions", "mlguide_assets"


@dataclass(frozen=True)
class Location:
    """The code location of one problem: a process of its own.

    Attributes:
        name: of the problem among those of its home; None where it is the only one.
    """

    name: str | None
    socket: Path

    @property
    def log(self) -> str:
        """The name of its log."""
        return "code_server" if self.name is None else f"code_server_{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name the process's problem, beside the common environment."""
        return {} if self.name is None else {PROBLEM_VARIABLE: self.name}

    @property
    def arguments(self) -> list[str]:
        """What `dagster` is to be called with, to serve the definitions on the socket."""
        served = ["-m", _MODULE, "--location-name", self.name or _LOCATION, "--use-python-environment-entry-point"]
        return ["code-server", "start", "-s", str(self.socket), *served]


def locations(home: Home, folder: Path) -> list[Location]:
    """A code location for each problem of a home; where there is one problem at most, the one of this process.

    Args:
        folder: of the sockets.
    """
    problems = problems_of_home(home).values()
    names = [name_in_home(problem, home) for problem in problems] or [None]
    return [Location(name, folder / f"{number}.sock") for number, name in enumerate(names)]


def workspace(served: Sequence[Location]) -> str:
    """The workspace file for webserver and daemon: text is quoted as in JSON, which is YAML."""
    addresses = [{"socket": str(each.socket), "location_name": each.name or _LOCATION} for each in served]
    return json.dumps({"load_from": [{"grpc_server": address} for address in addresses]})


def wait_until_loaded(process: subprocess.Popen[bytes], socket: Path, given_up: Callable[[], bool]) -> None:
    """Return once the code server has loaded the definitions, has ended, or is no longer waited for."""
    while process.poll() is None and not given_up() and not socket.exists():
        time.sleep(0.05)
