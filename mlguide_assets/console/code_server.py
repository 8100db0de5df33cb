"""The code server: the process that loads the definitions, for webserver and daemon alike.

Given a Python module, each of the two starts a code server of its own, and the daemon replaces its own every
minute, in case the code has changed. Given an address, both use what runs there; *Reload* in the UI loads the code
again.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_MODULE, _LOCATION = "mlguide_assets.definitions", "mlguide_assets"


def arguments(socket: Path) -> list[str]:
    """What `dagster` is to be called with, to serve the definitions on a socket."""
    served = ["-m", _MODULE, "--location-name", _LOCATION, "--use-python-environment-entry-point"]
    return ["code-server", "start", "-s", str(socket), *served]


def workspace(socket: Path) -> str:
    """The workspace file for webserver and daemon: text is quoted as in JSON, which is YAML."""
    address = {"socket": str(socket), "location_name": _LOCATION}
    return json.dumps({"load_from": [{"grpc_server": address}]})


def wait_until_loaded(process: subprocess.Popen[bytes], socket: Path, given_up: Callable[[], bool]) -> None:
    """Return once the code server has loaded the definitions, has ended, or nobody waits for it any more."""
    while process.poll() is None and not given_up() and not socket.exists():
        time.sleep(0.05)
