"""Finished homes that many tests look at. Each is made once per session, by the process of the tests that is first."""

import base64
import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from mlguide_assets_tests.commands import Done, mlguide
from mlguide_assets_tests.samples import PROBLEM, sample_tables, write_sample

SECRET = "hush-8f3a"
THOROUGH = {
    **PROBLEM,
    "tuning": {"trials": 2, "time_limit": "1m"},
    # A few hundred sends are judged: enough to tell the model from chance, not to see whether it is calibrated.
    "gate": {**PROBLEM["gate"], "max_calibration_error": 0.2, "max_slice_gap": 1.0},
}


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Files for who knows the password."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] == f"Basic {base64.b64encode(f'reader:{SECRET}'.encode()).decode()}":
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: object) -> None:
        pass


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all processes of a session share. Nobody may write to it: what changes it takes a copy."""
    base = factory.getbasetemp()
    # Under xdist each process has a folder of its own, side by side in one that is the session's.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, finished = shared / name, shared / f"{name}.finished"
    with FileLock(shared / f"{name}.lock"):
        # In its final place: a home knows where it is.
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


def run_on_sample(folder: Path) -> None:
    """The sample's tables in `good`, a problem that reads them, and a home that has run once on them, on the web.

    The run was `--thorough`; see `said_by` for what it printed. Its model was promoted.
    """
    write_sample(folder / "good", tables=sample_tables(sends=3000))
    (folder / "sample.yaml").write_text(yaml.safe_dump({**THOROUGH, "source": {"kind": "files", "uri": "good"}}))
    handler = functools.partial(Guarded, directory=str(folder / "good"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://reader:{SECRET}@127.0.0.1:{server.server_port}"
        run = ("run", "--thorough", "--json", "--problem", "sample.yaml", "--source", address, "--home", "home")
        done = mlguide(*run, cwd=folder)
        server.shutdown()
    assert done.code == 0, done.err
    assert SECRET not in done.out + done.err
    (folder / "said.json").write_text(json.dumps(asdict(done)))


def said_by(folder: Path) -> Done:
    """What the run of `run_on_sample` printed."""
    return Done(**json.loads((folder / "said.json").read_text()))


def copied(folder: Path, to: Path) -> Path:
    """A copy of a finished home and what is beside it, for a test that changes it."""
    shutil.copytree(folder, to)
    return to
