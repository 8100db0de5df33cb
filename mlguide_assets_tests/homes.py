"""Finished homes that many tests look at. Each is made once per session, by the process of the tests that is first."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import pytest
import yaml
from filelock import FileLock

from mlguide_assets_tests.commands import Done, python
from mlguide_assets_tests.samples import PROBLEM, sample_tables, write_sample

T = TypeVar("T")

THOROUGH = {
    **PROBLEM,
    "tuning": {"trials": 2, "time_limit": "1m"},
    # A few hundred sends are judged: enough to tell the model from chance, not to see whether it is calibrated.
    "gate": {**PROBLEM["gate"], "max_calibration_error": 0.2, "max_slice_gap": 1.0},
}


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of a session."""
    base = factory.getbasetemp()
    # Under xdist each process has a folder of its own, side by side in one that is the session's.
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all processes of a session share. Nobody may write to it: what changes it takes a copy."""
    shared = shared_folder(factory)
    folder, finished = shared / name, shared / f"{name}.finished"
    with FileLock(shared / f"{name}.lock"):
        # In its final place: a home knows where it is.
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


def computed_once(factory: pytest.TempPathFactory, name: str, compute: Callable[[], T]) -> T:
    """A value that takes seconds, computed by one process of a session; each has its own copy."""

    def write(folder: Path) -> None:
        (folder / "value").write_bytes(pickle.dumps(compute()))

    value: T = pickle.loads((made_once(factory, name, write) / "value").read_bytes())
    return value


def run_on_sample(folder: Path) -> None:
    """The sample's tables in `good`, a problem that reads them, and a home that has run once on them.

    The run was `--thorough`; see `said_by` for what it printed, and `lake_reads` for what was recorded of it. Its model
    was promoted.
    """
    write_sample(folder / "good", tables=sample_tables(sends=3000))
    (folder / "sample.yaml").write_text(yaml.safe_dump({**THOROUGH, "source": {"kind": "files", "uri": "good"}}))
    asked = ("run", "--thorough", "--json", "--problem", "sample.yaml", "--home", "home")
    done = python(
        "import pathlib; from mlguide_assets_tests.lake_reads import run_recorded; "
        f"run_recorded(pathlib.Path('.').absolute(), *{asked!r})",
        cwd=folder,
    )
    assert done.code == 0, done.err
    (folder / "said.json").write_text(json.dumps(asdict(done)))


def said_by(folder: Path) -> Done:
    """What the run of `run_on_sample` printed."""
    return Done(**json.loads((folder / "said.json").read_text()))


def copied(folder: Path, to: Path) -> Path:
    """A copy of a finished home and what is beside it, for a test that changes it."""
    shutil.copytree(folder, to)
    return to
