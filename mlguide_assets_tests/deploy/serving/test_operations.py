"""What operators see and do: metrics, log lines, stopping, and starting where it cannot be."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.serving.server import serve
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home
from mlguide_assets_tests.deploy.serving.serving import (
    Answer,
    Client,
    Hammer,
    House,
    Samples,
    Server,
    eventually,
    gained,
    read_answer,
    request,
    sample,
    scrape,
)
from mlguide_assets_tests.processes import free_port

ASKED = {"user_ids": [3, 5, 1000], "email_ids": [1, 2]}


def predictions(before: Samples, after: Samples) -> dict[str, float]:
    """Predictions of version 1 that were counted meanwhile, by class."""
    name = "mlguide_predictions_total"
    return {label: gained(before, after, name, model_version="1", prediction=label) for label in ("yes", "no")}


def test_requests_are_counted_by_path_and_status(client: Client) -> None:
    before = scrape(client)
    for _ in range(3):
        client.post("/predict", ASKED)
    client.post("/predict", {"user_ids": []})
    client.post("/recommend", {"user_ids": [3]})
    client.get("/nothing")
    client.get("/nothing/either")
    after = scrape(client)
    for path, status, number in (
        ("/predict", "200", 3),
        ("/predict", "422", 1),
        ("/recommend", "200", 1),
        ("other", "404", 2),
    ):
        assert gained(before, after, "mlguide_requests_total", path=path, status=status) == number
    assert gained(before, after, "mlguide_request_seconds_count", path="/predict") == 4
    assert 0 < gained(before, after, "mlguide_request_seconds_sum", path="/predict") < 10
    assert after[sample("mlguide_requests_in_progress")] >= 1


def test_strangers_do_not_make_metrics_grow(client: Client) -> None:
    client.get("/nothing")
    before = len(scrape(client))
    for number in range(50):
        client.get(f"/nothing/{number}")
        client.ask("PUT", f"/predict?{number}")
    assert len(scrape(client)) <= before + 40


def test_predictions_are_counted_by_version_and_class(client: Client) -> None:
    before = scrape(client)
    response = client.predict(*range(1, 30), email_ids=[1, 3])["predictions"]
    expected = Counter(each["prediction"] for each in response)
    # After the answer, which does not wait for it.
    eventually(lambda: predictions(before, scrape(client)) == expected)


def test_what_is_refused_is_no_prediction(client: Client) -> None:
    before = scrape(client)
    client.post("/predict", {"user_ids": [3] * 2000})
    after = scrape(client)
    changed = {key for key in after if key[0] == "mlguide_predictions_total" and after[key] != before.get(key)}
    assert changed == set()


def test_the_age_of_the_features_is_measured(client: Client) -> None:
    """By the data's clock they are new."""
    assert scrape(client)[sample("mlguide_feature_age_seconds")] == 0


def test_two_workers_count_together(workers: tuple[House, Server]) -> None:
    """Each scrape reaches one of them, and each tells the same."""
    _, server = workers
    before = scrape(server.client())
    for _ in range(40):
        client = server.client()
        client.predict(3, 5, 1000, email_ids=[1, 2])
        client.close()
    eventually(lambda: sum(predictions(before, scrape(server.client())).values()) == 40 * 4)
    for _ in range(8):
        after = scrape(server.client())
        assert gained(before, after, "mlguide_requests_total", path="/predict", status="200") == 40
        assert sum(predictions(before, after).values()) == 40 * 4


def test_every_line_of_the_log_is_json(client: Client, server: Server) -> None:
    client.get("/%0a%22%00%ff")
    response = client.predict(3)
    refused = client.post("/predict", {"user_ids": [3] * 2000}).json()
    eventually(lambda: refused["request_id"] in server.log())
    events = server.events()
    assert all({"time", "level", "logger", "message"} <= event.keys() for event in events)
    requests = {event["request_id"]: event for event in events if event["message"] == "request"}
    assert requests[response["request_id"]]["status"] == 200
    assert requests[response["request_id"]]["path"] == "/predict"
    assert requests[refused["request_id"]]["status"] == 422
    assert requests[refused["request_id"]]["milliseconds"] > 0
    # Whatever this server was sent by all tests, nothing failed.
    assert [event for event in events if "exception" in event] == []


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_was_begun_is_finished_when_it_is_stopped(copied: Callable[..., House], workers: int) -> None:
    """Clients hammer, and one request is half sent; then the signal comes."""
    house = copied()
    body = b'{"user_ids": [3]}'
    with Server(house.home, "--workers", str(workers)) as server:
        clients = [server.client() for _ in range(3)]
        with (
            Hammer(3, lambda number: clients[number].post("/predict", ASKED)) as hammer,
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow,
        ):
            slow.sendall(request(body)[:-5])
            eventually(lambda: len(hammer.answers) > 30)
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: "Shutting down" in server.log())
            time.sleep(0.2)
            slow.sendall(body[-5:])
            with slow.makefile("rb") as stream:
                last = read_answer(stream)
                assert stream.read() == b""
        assert server.process.wait(20) == 0
    assert last.status == 200
    answers: list[Answer] = [*hammer.answers, last]
    assert {answer.status for answer in answers} == {200}
    # What a client sent on a connection that was closed meanwhile was never taken: it is told so by the connection.
    assert all(isinstance(error, ConnectionError) for error in hammer.errors)
    logged = Counter(line["request_id"] for line in house.logged())
    assert all(logged[answer.json()["request_id"]] == 1 for answer in answers)
    assert len(logged) == len(answers)
    assert '"level":"error"' not in server.log()


def tell(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `mlguide serve` where it cannot start."""
    command = [
        sys.executable,
        "-c",
        "from mlguide_assets.cli import app; app()",
        "serve",
        "--home",
        str(home),
        *arguments,
    ]
    known = {name: value for name, value in os.environ.items() if not name.startswith("MLGUIDE_")}
    process = subprocess.Popen(
        command, env=known, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=10)
    finally:
        # With its workers, should it have begun to serve.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def assert_one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith("mlguide: ")
    assert re.search(r"[^.]\.$", said)
    return said


def test_where_it_cannot_serve_it_says_one_sentence(tmp_path: Path) -> None:
    assert "MLGUIDE_API_KEY" in assert_one_sentence(tell("--host", "0.0.0.0", home=tmp_path))


def refused(monkeypatch: pytest.MonkeyPatch, home: Path, **given: Any) -> str:
    """Why it does not start, in this process."""

    def serves(*_: object, **__: object) -> None:
        raise AssertionError("it began to serve")

    monkeypatch.setattr("uvicorn.run", serves)
    monkeypatch.delenv("MLGUIDE_API_KEY", raising=False)
    default = {"host": "127.0.0.1", "port": free_port(), "workers": 1, "store": None, "access_log": False}
    with pytest.raises(InputError) as response:
        serve(Home(home), **{**default, **given})
    return str(response.value)


def test_without_a_key_it_is_not_open_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        assert refused(monkeypatch, tmp_path, host=host).startswith(f"{host} can be reached by others")


def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(server.port) in refused(monkeypatch, tmp_path, port=server.port)


def test_a_home_that_does_not_exist_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "misspelt"
    assert refused(monkeypatch, home).startswith(f"The home {home} does not exist: check --home")
    assert not home.exists()


def test_a_store_of_no_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(monkeypatch, tmp_path, store="mysql://user:password@host")
    assert "redis://" in said
    assert "password" not in said


def test_a_problem_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Before there are workers, which would die of it again and again."""
    home = Home(tmp_path)
    home.active_problem.write_text("name: 5\n")
    done = tell("--workers", "2", home=tmp_path)
    assert done.returncode == 2
    assert "problem.yaml, line 1, name" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
