"""Three homes that share a PostgreSQL, a Redis and an S3 server, and no file: as three hosts do.

One trains and promotes, one runs the daemon, one serves. Each is killed and started again, and nothing is lost.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from redis import Redis

from mlguide_assets.console.dead_runs import instance_of
from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import decisions
from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.prediction_log import read_segment
from mlguide_assets.deploy.log.sharing import arrived_logs
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import DATABASE_VARIABLE, HOME_VARIABLE, LAKE_VARIABLE, Home
from mlguide_assets_tests.commands import mlguide, python
from mlguide_assets_tests.deploy.serving.serving import CLOCK, Server
from mlguide_assets_tests.homes import THOROUGH
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.postgres import PASSWORD, Postgres
from mlguide_assets_tests.processes import free_port
from mlguide_assets_tests.redis_server import redis_address
from mlguide_assets_tests.samples import sample_tables, write_sample

pytestmark = [pytest.mark.slow, pytest.mark.daemon]

SWAP_SECONDS = 2.0

EXPORT_AND_PROMOTE = """
import json, sys
from pathlib import Path
from mlguide_assets.deploy.bundle import export_bundle, load_bundle, metadata_of, set_champion
from mlguide_assets.settings import Home
bundles = Home(Path("{home}")).bundles("{key}")
first = load_bundle(bundles, "1")
export_bundle(first.folder, bundles, "2", {{**metadata_of(first), "version": "2"}})
set_champion(bundles, "2")
"""
LAUNCH = """mutation {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "mlguide_assets", repositoryName: "__repository__", pipelineName: "__ASSET_JOB",
      assetSelection: [{path: ["prediction_log"]}, {path: ["request_faults"]}]
    }
    runConfigData: {}, mode: "default"
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""


@dataclass
class Hosts:
    """The three homes, what they share, and what was acknowledged to callers."""

    folder: Path
    environment: dict[str, str]
    acknowledged: set[str] = field(default_factory=set)

    def home(self, name: str) -> Home:
        return Home(self.folder / name)

    def run(self, *arguments: str, home: str, kill_at: str | None = None) -> Any:
        return mlguide(*arguments, "--home", home, cwd=self.folder, kill_at=kill_at, **self.environment)

    @property
    def problem(self) -> Problem:
        return load_problem(str(self.folder / "sample.yaml"))

    def lake(self, name: str) -> Lake:
        return Lake(self.home(name).lake(self.problem.key))

    def ask(self, server: Server, requests: int) -> str:
        """Have the server answer, and remember what it has acknowledged; the version that answered last."""
        client = server.client()
        for number in range(requests):
            answer = client.predict(1 + number % 9)
            self.acknowledged.add(answer["request_id"])
        return str(answer["model_version"])


@pytest.fixture
def hosts(
    tmp_path: Path, postgres_of_session: Postgres, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosts]:
    redis = redis_address()
    name = f"sample_{uuid.uuid4().hex[:8]}"
    write_sample(tmp_path / "good", tables=sample_tables(sends=3000))
    problem = {**THOROUGH, "name": name, "serving": CLOCK, "source": {"kind": "files", "uri": "good"}}
    (tmp_path / "sample.yaml").write_text(yaml.safe_dump(problem))
    environment = {
        **objects.environment,
        DATABASE_VARIABLE: postgres_of_session.database(),
        LAKE_VARIABLE: objects.address(),
        "MLGUIDE_ONLINE_STORE": redis,
    }
    for variable, value in {**environment, HOME_VARIABLE: str(tmp_path / "watcher")}.items():
        monkeypatch.setenv(variable, value)
    for host in ("trainer", "daemon", "server", "visitor", "watcher"):
        (tmp_path / host).mkdir()
    yield Hosts(tmp_path, environment)
    with Redis.from_url(redis) as client:
        for key in client.scan_iter(f"mlguide:{{{name}*"):
            client.unlink(key)


@contextmanager
def ui(hosts: Hosts) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`mlguide ui` of the host of the daemon, once it answers; killed at the end."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("mlguide")), "ui", "--home", "daemon", "--port", str(port)]
    with (hosts.folder / "ui.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=hosts.folder, env={**os.environ, **hosts.environment}, stdout=log, stderr=log
        )
    try:
        eventually("the UI", lambda: graphql(port, "{ assetNodes { id } }")["assetNodes"], process=process)
        yield port, process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def graphql(port: int, query: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["data"]


def eventually(
    what: str, holds: Callable[[], Any], *, seconds: float = 120, process: subprocess.Popen[bytes] | None = None
) -> Any:
    end = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            if found := holds():
                return found
        assert time.monotonic() < end, f"not within the time: {what}"
        assert process is None or process.poll() is None, f"it ended before: {what}"
        time.sleep(0.05)


def land(hosts: Hosts, port: int) -> None:
    """Have the daemon's host land what servers have logged."""
    launched = graphql(port, LAUNCH)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def ended() -> bool:
        with instance_of(hosts.home("trainer")) as instance:
            run = instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    eventually("the landing", ended)
    with instance_of(hosts.home("trainer")) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS, [entry.user_message for entry in instance.all_logs(run_id)]


def landed(hosts: Hosts) -> set[str]:
    lake = hosts.lake("watcher")
    return set(lake.read_arrow(PREDICTION_LOG)["request_id"].to_pylist()) if lake.exists(PREDICTION_LOG) else set()


def swap_seconds(server: Server, version: str, change: Callable[[], float]) -> float:
    """How long after the change its version answers."""
    client, began = server.client(), change()
    eventually(f"version {version}", lambda: client.predict(1)["model_version"] == version, seconds=30)
    return time.time() - began


def test_three_hosts_work_as_one_and_each_may_be_killed(hosts: Hosts) -> None:
    killed = hosts.run("run", "--problem", "sample.yaml", home="trainer", kill_at="core_users")
    assert killed.code != 0
    done = hosts.run("run", "--problem", "sample.yaml", home="trainer")
    assert done.code == 0, done.err
    bundles = hosts.home("watcher").bundles(hosts.problem.key)
    assert pointed_version(bundles) == "1"
    assert [row["verdict"] for row in decisions(hosts.lake("watcher"))] == ["promoted"]

    with Server(hosts.home("server"), environment=hosts.environment) as server:
        assert hosts.ask(server, 20) == "1"
        server.process.kill()
        server.process.wait()
    with Server(hosts.home("server"), environment=hosts.environment) as server, ui(hosts) as (port, process):

        def promote() -> float:
            code = EXPORT_AND_PROMOTE.format(home=hosts.home("trainer").root, key=hosts.problem.key)
            done = python(code, cwd=hosts.folder, **hosts.environment, MLGUIDE_HOME=str(hosts.home("trainer").root))
            assert done.code == 0, done.err
            return time.time()

        def roll_back() -> float:
            done = hosts.run("rollback", "--to", "1", "--reason", "test", home="visitor")
            assert done.code == 0, done.err
            return time.time()

        assert swap_seconds(server, "2", promote) <= SWAP_SECONDS
        assert hosts.ask(server, 20) == "2"
        assert swap_seconds(server, "1", roll_back) <= SWAP_SECONDS
        process.kill()
        process.wait()
        with ui(hosts) as (port, _):
            eventually("the log of all servers", lambda: stored_lines(hosts) >= len(hosts.acknowledged))
            land(hosts, port)
        assert hosts.acknowledged <= landed(hosts)
        assert 1 in users_on_disk(hosts, "server")
        done = hosts.run("forget", "--user", "1", "--yes", home="visitor")
        assert done.code == 0, done.err
        eventually("the user leaves the disk of the server", lambda: 1 not in users_on_disk(hosts, "server"))
        server.client().predict(2)
    assert not list(hosts.home("server").served(hosts.problem.key).glob("*/*.jsonl")), "all is stored"
    with arrived_logs(hosts.home("watcher").served(hosts.problem.key), kept_since=date.min) as arrived:
        assert 1 not in users_in(arrived)
    assert decisions(hosts.lake("watcher"))[-1]["verdict"] == "rolled_back"
    status = hosts.run("status", "--json", home="visitor")
    assert status.code == 0, status.err
    written = [path for path in hosts.folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert not written, "the password of the database was written down"


def users_on_disk(hosts: Hosts, name: str) -> set[int]:
    return users_in(hosts.home(name).served(hosts.problem.key))


def users_in(folder: Path) -> set[int]:
    """Of all rows in a folder of logs."""
    requests = (request for path in folder.glob("*/*.jsonl") for request in read_segment(path))
    return {row["user_id"] for request in requests for row in request["rows"]}


def stored_lines(hosts: Hosts) -> int:
    from mlguide_assets.prepare.hosts.shared_files import shared_bucket

    bucket = shared_bucket()
    assert bucket is not None
    served = f"served/{hosts.problem.key}"
    found = [bucket.get(f"{served}/{each.name}") for each in bucket.listing(served) if each.name.endswith(".jsonl")]
    return sum(content[0].count(b"\n") for content in found if content)
