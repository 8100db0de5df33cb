"""A small home that can serve, real servers on it, and clients that speak HTTP well or badly."""

import contextlib
import hashlib
import http.client
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from prometheus_client.parser import text_string_to_metric_families

from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import MANIFEST, export_bundle, set_champion
from mlguide_assets.deploy.log.prediction_log import days
from mlguide_assets.deploy.online_store.publishing import state_of
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.online_store.store import State
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.files import CALIBRATION
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.logged import read_day
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.email_case import send_features
from mlguide_assets_tests.processes import Fork, free_port
from mlguide_assets_tests.samples import EMAILS, Tables, sample_problem

AS_OF = datetime(2024, 4, 20)
"""What the published features know; the sample's last sends are later."""
THRESHOLD = 0.09
TWINS = (EMAILS + 1, EMAILS + 2)
"""Two emails that nobody was sent, alike in everything but the id."""
UNKNOWN = 1000
HOSTILE = "<img src=x onerror=alert(1)>"
SLOTS = 8
"""Requests that the narrow server has in progress at most."""
CLOCK = {"clock": "data"}
HELD = b'{"user_ids": [1]}'
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_START_SECONDS = 30
ENTRY = "from mlguide_assets.cli import app; app()"
"""The command line, in Python."""


def with_twins(tables: Tables) -> Tables:
    content = tables["email_content"]
    rows = [{**content.to_pylist()[0], "id": twin} for twin in TWINS]
    return {**tables, "email_content": pa.concat_tables([content, pa.Table.from_pylist(rows, schema=content.schema)])}


@dataclass(frozen=True)
class House:
    """A home with the bundles 1, the champion, and 2, which thinks all risks are higher; and published features."""

    home: Home
    problem: Problem
    tables: Tables

    @classmethod
    def of(cls, root: Path, tables: Tables, **serving: Any) -> "House":
        return cls(Home(root), sample_problem("nowhere", serving={**CLOCK, **serving}), tables)

    @classmethod
    def build(cls, root: Path, trained: Candidate, tables: Tables) -> "House":
        house = cls.of(root, tables)
        root.mkdir(parents=True)
        house.state_problem()
        candidate = saved(trained, root / "candidates", "first")
        riskier = root / "candidates" / "riskier"
        shutil.copytree(candidate, riskier)
        line = json.loads((riskier / CALIBRATION).read_text())
        (riskier / CALIBRATION).write_text(json.dumps({**line, "intercept": line["intercept"] + 1.0}))
        for version, folder in (("1", candidate), ("2", riskier)):
            facts = load_facts(folder) | {"trained_at": f"2024-04-1{version}", "threshold": THRESHOLD}
            export_bundle(folder, house.bundles, version, facts)
        set_champion(house.bundles, "1")
        for name, table in tables.items():
            house.lake.write(name, table)
        house.publish(AS_OF)
        return house

    def copy(self, root: Path, **serving: Any) -> "House":
        """The same in another place, with other limits."""
        shutil.copytree(self.home.root, root, ignore=shutil.ignore_patterns("served", "server-*.log"))
        house = House.of(root, self.tables, **serving)
        house.state_problem()
        return house

    @property
    def bundles(self) -> Path:
        return self.home.bundles(self.problem.key)

    @property
    def store(self) -> Path:
        return self.home.online_store(self.problem.key)

    @property
    def served(self) -> Path:
        return self.home.served(self.problem.key)

    @property
    def lake(self) -> Lake:
        return Lake(self.home.lake(self.problem.key))

    def state_problem(self) -> None:
        self.home.active_problem.write_text(dump_problem(self.problem))

    def by_name(self) -> dict[str, ibis.Table]:
        return {name: ibis.memtable(rows) for name, rows in self.tables.items()}

    def publish(self, as_of: datetime) -> None:
        self.put(self.state(as_of))

    def put(self, state: State) -> None:
        assert SqliteStore(self.store).publish(state)

    def state(self, as_of: datetime) -> State:
        """What is published of the tables as of an instant."""
        states = {
            noun: ibis.memtable(entity_state(self.by_name(), self.problem, noun, as_of).to_pyarrow())
            for noun in self.problem.decision.nouns
        }
        state = state_of(states, send_features(self.by_name(), self.problem), self.problem, self.lake)
        return replace(state, tables={name: ibis.memtable(rows.to_pyarrow()) for name, rows in state.tables.items()})

    def logged(self) -> Iterator[dict[str, Any]]:
        """Every request in the prediction log."""
        for day in days(self.served):
            yield from read_day(self.served, day)

    def logged_as(self, request_id: str) -> list[dict[str, Any]]:
        """The lines of a request: the champion's, and the challenger's if any."""
        return [line for line in self.logged() if line["request_id"] == request_id]


@dataclass(frozen=True)
class Answer:
    """A response that was read to its end; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """One connection, kept alive; a new one where the server closed it."""

    port: int
    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    timeout: float = 20

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        self._connection.request(method, path, body, {**self.headers, **(headers or {})})
        response = self._connection.getresponse()
        return Answer(response.status, _lower(response.headers), response.read())

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: Any) -> Answer:
        """Send JSON."""
        return self.ask("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})

    def predict(self, *user_ids: int, **rest: Any) -> Any:
        """What is answered to a request that can be answered."""
        answer = self.post("/predict", {"user_ids": user_ids, **rest})
        assert answer.status == 200, answer
        return answer.json()

    def recommend(self, *user_ids: int, **rest: Any) -> Any:
        answer = self.post("/recommend", {"user_ids": user_ids, **rest})
        assert answer.status == 200, answer
        return answer.json()

    def close(self) -> None:
        self._connection.close()


class Server:
    """`mlguide serve` in a process of its own.

    Args:
        patches: module → its constants that are other ones here, such as how long it is patient.
        fresh: in a new interpreter, as for users, and not in a fork of one that has imported the libraries, which takes
            half the time. Several workers need one: each is a new interpreter, too.
    """

    def __init__(
        self,
        home: Home,
        *arguments: str,
        patches: Mapping[str, Mapping[str, float]] | None = None,
        key: str | None = None,
        environment: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        self.port = free_port()
        self.errors = home.root / f"server-{self.port}.log"
        command = ["serve", "--home", str(home.root), "--port", str(self.port), *arguments]
        known = {name: value for name, value in os.environ.items() if not name.startswith("MLGUIDE_")}
        known |= {"MLGUIDE_API_KEY": key} if key else {}
        known |= environment or {}
        self.process: subprocess.Popen[bytes] | Fork
        if fresh or "--workers" in arguments:
            with self.errors.open("wb") as errors:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", ENTRY, *command], env=known, cwd=home.root, stdout=errors, stderr=errors
                )
        else:
            self.process = Fork(_serve, command, patches or {}, environment=known, cwd=home.root, output=self.errors)

    def wait_until_up(self) -> "Server":
        """Until it answers at all."""
        eventually(lambda: self.process.poll() is not None or self._is_up(), seconds=_START_SECONDS)
        assert self.process.poll() is None, self.errors.read_text()
        return self

    def client(self, **headers: str | bytes) -> Client:
        return Client(self.port, headers)

    def log(self) -> str:
        """What it wrote: the first line is for people, all others are JSON."""
        return self.errors.read_text()

    def events(self) -> list[dict[str, Any]]:
        # The last line may be on its way.
        return [json.loads(line) for line in self.log().rpartition("\n")[0].splitlines()[1:]]

    def stop(self, *, seconds: float = 25) -> int:
        """Ask it to stop; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()

    def _is_up(self) -> bool:
        try:
            return Client(self.port, timeout=5).get("/healthz").status == 200
        except OSError:
            return False

    def __enter__(self) -> "Server":
        try:
            return self.wait_until_up()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


class Hammer:
    """Clients that ask on and on in threads, and note what they were answered, until told to stop.

    Args:
        ask: one request of one client, whose number it is given; what it returns is noted, as are errors.
    """

    def __init__(self, clients: int, ask: Callable[[int], Any]) -> None:
        self.answers: list[Any] = []
        self.errors: list[Exception] = []
        self._ended = threading.Event()
        self._ask = ask
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def _run(self, number: int) -> None:
        while not self._ended.is_set():
            try:
                self.answers.append(self._ask(number))
            except Exception as error:
                self.errors.append(error)
                return

    def __enter__(self) -> "Hammer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def exchange(port: int, *pieces: bytes, answers: int = 1, end: bool = False, seconds: float = 20) -> list[Answer]:
    """Send bytes as they are on a connection of their own, and read what comes back.

    Args:
        answers: how many to read.
        end: whether the server must close the connection after them.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        # Refused before all was sent; the answer is there nevertheless.
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
        with connection.makefile("rb") as stream:
            read = [read_answer(stream) for _ in range(answers)]
            if end:
                with contextlib.suppress(ConnectionResetError):
                    assert stream.read() == b""
        return read


def read_answer(stream: Any) -> Answer:
    """One response of a connection, of known length."""
    status = stream.readline()
    assert status, "the connection was closed without an answer"
    headers = _lower(http.client.parse_headers(stream))
    return Answer(int(status.split()[1]), headers, stream.read(int(headers["content-length"])))


@contextlib.contextmanager
def occupied(port: int, slots: int) -> Iterator[list[socket.socket]]:
    """Connections that each have a request in progress, of which `HELD` is still to be sent.

    That they do is known, not hoped for: the server says "continue" once it has admitted a request and waits for its
    body. One that is refused, since another's request is in progress just then, is tried again.
    """
    with contextlib.ExitStack() as opened:
        held: list[socket.socket] = []

        def hold() -> bool:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            connection.sendall(request(b"", "expect: 100-continue", length=len(HELD)))
            if connection.recv(len(_CONTINUE), socket.MSG_WAITALL) == _CONTINUE:
                held.append(connection)
            return len(held) == slots

        eventually(hold, seconds=20)
        yield held


def request(body: bytes, *headers: str, path: str = "/predict", length: int | None = None) -> bytes:
    """A POST of JSON, as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", *headers]
    if not any(header.startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def eventually(condition: Callable[[], Any], *, seconds: float = 5) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def damage(path: Path) -> bytes:
    """Flip one byte in the middle of a file that must not change, and return what was there."""
    whole = path.read_bytes()
    middle = len(whole) // 2
    _put(path, whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    return whole


def repair(path: Path, whole: bytes) -> None:
    _put(path, whole)


def point_by_hand(bundles: Path, version: str, role: str = "champion") -> None:
    """Write the pointer without looking at the bundle."""
    manifest = hashlib.sha256((bundles / version / MANIFEST).read_bytes()).hexdigest()
    replace_file(bundles / f"{role}.json", json.dumps({"version": version, "manifest": manifest}).encode())


def _put(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def _serve(command: list[str], patches: Mapping[str, Mapping[str, float]]) -> None:
    for module, constants in patches.items():
        for name, value in constants.items():
            setattr(importlib.import_module(module), name, value)
    from mlguide_assets.cli import app

    app(command)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Of metrics: name and labels → value."""


def scrape(client: Client) -> Samples:
    """All samples, as Prometheus reads them."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample(each.name, **each.labels): each.value
        for family in text_string_to_metric_families(answer.body.decode())
        for each in family.samples
    }


def sample(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The key of a sample, of the sample problem unless a label says another."""
    if name.startswith("mlguide_"):
        labels = {"problem": "sample", **labels}
    return name, tuple(sorted(labels.items()))


def gained(before: Samples, after: Samples, name: str, **labels: str) -> float:
    """How much a sample has grown."""
    key = sample(name, **labels)
    return after.get(key, 0) - before.get(key, 0)
