"""The API under a bounded load, beside `mlflow models serve` with the same model: `serving HOME FOLDER`; prints JSON.

All on loopback and on this machine's cores, the client's work included. HOME is one after a whole run.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.bundle import champion, pointed_version, set_challenger
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.online_store.store import State
from mlguide_assets.deploy.registry.registry import MLFLOW_SETTINGS
from mlguide_assets.deploy.routing import Arm, Route, write_routes
from mlguide_assets.settings import Home
from mlguide_assets.statistics.draws import SIZE
from mlguide_assets_tests.processes import free_port

ONE = '{"user_ids": [%d], "email_ids": [12]}'
USERS = 14_000
"""The default world has a few more."""
MANY = 1_000_000
ROUNDS = 5
FOLLOW_SECONDS = 1.0
"""By then a server has followed the routes."""

READY_SECONDS = 180
"""MLflow's server takes its time where others are at work."""


def main(home: Home, folder: Path) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    ones = [ONE % user for user in range(1, 500)]
    fifty = json.dumps({"user_ids": list(range(1, 51)), "email_ids": [12]})
    with served(home) as (url, server, seconds):
        measured["start"] = seconds
        _load(url, 1, 500, ones)
        measured["one"] = _load(url, 1, 3000, ones)
        measured["fifty"] = _load(url, 1, 1000, [fifty])
        _load(url, 16, 20_000, ones)
        before = _megabytes(server.pid)
        _load(url, 16, 100_000, ones)
        measured["grown"] = _megabytes(server.pid) - before
        measured["megabytes"] = _megabytes(server.pid)
    for workers in (1, 2):
        measured[f"{workers} against mlflow"] = _against_mlflow(home, folder, workers, ones)
    measured["routed"] = _while_routed(home, folder, ones)
    large = _with_many_users(home, folder)
    with served(large) as (url, _, _):
        spread = [ONE % (user * (MANY // 500)) for user in range(1, 500)]
        _load(url, 1, 500, spread)
        measured["one of many"] = _load(url, 1, 3000, spread)
        measured["sixteen of many"] = _load(url, 16, 20_000, spread)
    return measured


@contextmanager
def served(home: Home, *flags: str) -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """The API of a home: its URL for predictions, its process, and the seconds until it was ready."""
    port, script = free_port(), str(Path(sys.executable).with_name("mlguide"))
    start = time.perf_counter()
    command = [script, "serve", "--home", str(home.root), "--port", str(port), *flags]
    with _ready(command, f"http://127.0.0.1:{port}/readyz") as process:
        yield f"http://127.0.0.1:{port}/predict", process, time.perf_counter() - start


def _against_mlflow(home: Home, folder: Path, workers: int, ones: list[str]) -> dict[str, float]:
    """Requests per second of the API and of MLflow's server, by turns while both run, and the ratio: medians.

    By turns, since other work on the machine comes and goes: it then slows both sides of a ratio.
    """
    with (
        served(home, "--workers", str(workers)) as (ours, _, _),
        _mlflow_served(home, folder / f"mlflow-model-{workers}", workers) as (theirs, body),
    ):
        _load(ours, 16, 1000, ones)
        _load(theirs, 16, 100, [body])
        rates = [(_load(ours, 16, 5000, ones)["rate"], _load(theirs, 16, 1000, [body])["rate"]) for _ in range(ROUNDS)]
    return {
        "rate": median(rate for rate, _ in rates),
        "mlflow": median(rate for _, rate in rates),
        "ratio": median(rate / other for rate, other in rates),
    }


@contextmanager
def _mlflow_served(home: Home, place: Path, workers: int) -> Iterator[tuple[str, str]]:
    """MLflow's own server with the same booster: its URL, and a request, which brings the features; it logs nothing."""
    from mlguide_assets.train.storage import load_model

    os.environ.update(MLFLOW_SETTINGS)
    import mlflow.xgboost

    current = champion(home.bundles(current_problem(home).key))
    if current is None:
        raise SystemExit("this home has no champion to serve")
    model = load_model(current.folder)
    mlflow.xgboost.save_model(model.booster, str(place), pip_requirements=["xgboost"])
    names = model.encoding.names
    port, script = free_port(), str(Path(sys.executable).with_name("mlflow"))
    flags = {"-m": place, "--env-manager": "local", "-p": port, "-w": workers}
    command = [script, "models", "serve", *(str(part) for flag in flags.items() for part in flag)]
    with _ready(command, f"http://127.0.0.1:{port}/ping"):
        body = json.dumps({"dataframe_split": {"columns": names, "data": [[1.0] * len(names)]}})
        yield f"http://127.0.0.1:{port}/invocations", body


def _while_routed(home: Home, folder: Path, ones: list[str]) -> dict[str, float]:
    """Latency while half of the users are answered by the challenger, over that of the same server without a route.

    By turns on one server, since other work on the machine comes and goes; medians of the rounds.
    """
    problem, copied = current_problem(home), Home(folder / "routed")
    for name in ("bundles", "online"):
        shutil.copytree(home.root / name, copied.root / name)
    shutil.copy(home.active_problem, copied.active_problem)
    bundles = copied.bundles(problem.key)
    version = pointed_version(bundles)
    shutil.copytree(bundles / str(version), bundles / "canary")
    set_challenger(bundles, "canary")
    arms = (Arm("canary", "challenger", SIZE // 2), Arm("champion", "champion", SIZE))
    ways = {"off": (), "on": (Route("canary", 1, (), "canary", arms),)}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with served(copied) as (url, _, _):
        _load(url, 1, 500, ones)
        for way in (way for turn in range(ROUNDS) for way in sorted(ways, reverse=bool(turn % 2))):
            write_routes(bundles, ways[way])
            time.sleep(FOLLOW_SECONDS)
            found[way].append(_load(url, 1, 1500, ones))
    pairs = list(zip(found["on"], found["off"], strict=True))
    return {name: median(on[name] / off[name] for on, off in pairs) for name in ("p50", "p99")}


def _with_many_users(home: Home, folder: Path) -> Home:
    """The same home with an online store of a million users: the real ones over and over, under other ids."""
    problem, large = current_problem(home), Home(folder / "large")
    for name in ("bundles", "problem.yaml"):
        large.root.mkdir(parents=True, exist_ok=True)
        (large.root / name).symlink_to(home.root / name)
    found = SqliteStore(home.online_store(problem.key)).current()
    if found is None:
        raise SystemExit("this home has no online store")
    ids = range(1, USERS + 1)
    keys = found.publication.keys
    tables = {name: pa.Table.from_pylist(list(found.look_up(name, ids).values())) for name in keys}
    repeated = {name: _repeated(rows, keys[name]) if name != "emails" else rows for name, rows in tables.items()}
    state = State(replace(found.publication), {name: ibis.memtable(rows) for name, rows in repeated.items()})
    SqliteStore(large.online_store(problem.key)).publish(state)
    return large


def _repeated(rows: pa.Table, key: str) -> pa.Table:
    position, copies = rows.column_names.index(key), MANY // USERS + 1
    pieces = [rows.set_column(position, key, pa.compute.add(rows[key], copy * USERS)) for copy in range(copies)]
    return pa.concat_tables(pieces)


@contextmanager
def _ready(command: list[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    # MLflow starts the Python that it finds first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} does not answer")
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def _load(url: str, connections: int, requests: int, bodies: list[str]) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "mlguide_assets_tests.benchmarks.load",
        url,
        str(connections),
        str(requests),
        *bodies,
    ]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if measured["faults"]:
        raise SystemExit(f"{measured['faults']} of {requests} requests to {url} failed")
    return measured


def _megabytes(process: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    print(json.dumps(main(Home(Path(sys.argv[1])), Path(sys.argv[2]))))
