"""The latency budget, as ratios: a prediction against the least that any server must do for it, in the same run.

The least is a bare application on the same server that reads a request, writes it to the disk durably and answers.
Other work on the machine slows both, but not at the same moments. So what a client waits is compared by the quickest
tenth, which nothing disturbed; what a prediction costs in computing does not depend on who else computes. The slowest
of a hundred is the machine's as much as the server's, so it is no ratio: `benchmarks/serving.py` measures it.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets_tests.benchmarks.load import run
from mlguide_assets_tests.deploy.serving.serving import Server, eventually
from mlguide_assets_tests.processes import free_port

ROUNDS, REQUESTS = 8, 50
MANY, CLIENTS = 1500, 16
MOST_WAITING = 15.0
"""Times the least. Measured: 5 to 8, which is 1.1 ms; the budget is 2 ms."""
MOST_COMPUTING = 8.0
"""Times the least. Measured: 1 to 4, which is 0.4 ms; 1,500 predictions per second leave 0.67."""


async def durable_echo(scope: Any, receive: Any, send: Any) -> None:
    """The bare application: what it is sent is on the disk, in the file that the environment names, then answered."""
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    body += message["body"]
    os.write(_log(), body + b"\n")
    os.fdatasync(_log())
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _log() -> int:
    global _handle
    if _handle < 0:
        _handle = os.open(os.environ["ECHO_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return _handle


_handle = -1


@dataclass(frozen=True)
class Peer:
    """A server to compare: its port, and the id of its process."""

    port: int
    process: int

    def ask(self, *, clients: int, requests: int) -> dict[str, float]:
        """Have clients ask, each for its next prediction once it has one; what they saw."""
        bodies = [json.dumps({"user_ids": [user], "email_ids": [1]}) for user in range(1, 50)]
        seen = asyncio.run(run(f"http://127.0.0.1:{self.port}/predict", clients, requests, bodies))
        assert seen["faults"] == 0
        return seen

    def computing(self) -> float:
        """Seconds that the process has computed."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    port, log = free_port(), tmp_path_factory.mktemp("echo") / "log"
    command = [sys.executable, "-m", "uvicorn", f"{__name__}:durable_echo", "--port", str(port)]
    flags = ["--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log", "--log-level", "error"]
    environment = {**os.environ, "ECHO_LOG": str(log)}
    with subprocess.Popen([*command, *flags], cwd=Path(__file__).parents[3], env=environment) as process:
        try:
            eventually(lambda: _listens(port), seconds=30)
            yield Peer(port, process.pid)
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def ours(server: Server) -> Peer:
    return Peer(server.port, server.process.pid)


@pytest.mark.ml_test_score("monitor-6")
def test_a_prediction_is_waited_for_little_longer_than_the_least(ours: Peer, bare: Peer) -> None:
    waited: dict[Peer, list[float]] = {ours: [], bare: []}
    for _ in range(ROUNDS):
        for peer, rounds in waited.items():
            rounds.append(peer.ask(clients=1, requests=REQUESTS)["p10"])
    assert min(waited[ours]) <= MOST_WAITING * min(waited[bare])


@pytest.mark.ml_test_score("monitor-6")
def test_a_prediction_costs_little_more_than_the_least(ours: Peer, bare: Peer) -> None:
    seconds = {}
    for peer in (ours, bare):
        before = peer.computing()
        peer.ask(clients=CLIENTS, requests=MANY)
        seconds[peer] = peer.computing() - before
    assert seconds[ours] <= MOST_COMPUTING * seconds[bare]
