"""A server that starts while the store of all hosts is away: it waits and says so, and serves once that answers."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlguide_assets.define.loading import dump_problem
from mlguide_assets.deploy.serving.service import NO_CHAMPION
from mlguide_assets.errors import AwayError, InputError
from mlguide_assets.prepare.hosts.shared_files import replace
from mlguide_assets.prepare.lake.bucket import Bucket
from mlguide_assets.settings import DATABASE_VARIABLE, HOME_VARIABLE, LAKE_VARIABLE, Home
from mlguide_assets_tests.deploy.serving.serving import Server, eventually
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.samples import sample_problem

PATCHES = {
    "mlguide_assets.prepare.lake.bucket": {"RETRY_SECONDS": 0.3},
    "mlguide_assets.deploy.serving.waiting": {"PATIENCE_SECONDS": 0.1, "PAUSE_SECONDS": 0.1},
}


@pytest.fixture
def environment(objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of hosts whose store has a problem, and no champion yet."""
    shared = {
        **objects.environment,
        LAKE_VARIABLE: objects.address(),
        DATABASE_VARIABLE: "postgresql://nobody@127.0.0.1:9/none",
        "MLGUIDE_ONLINE_STORE": "redis://127.0.0.1:9/0",
    }
    trainer = Home(tmp_path / "trainer")
    for name, value in {**shared, HOME_VARIABLE: str(trainer.root)}.items():
        monkeypatch.setenv(name, value)
    replace(trainer.active_problem, dump_problem(sample_problem("nowhere")).encode())
    (tmp_path / "server").mkdir()
    return shared


@contextmanager
def starting(tmp_path: Path, environment: dict[str, str]) -> Iterator[Server]:
    server = Server(Home(tmp_path / "server"), patches=PATCHES, environment=environment)
    try:
        yield server
    finally:
        server.stop()


def test_a_server_waits_for_a_store_that_is_away_and_says_so(
    objects: ObjectServer, environment: dict[str, str], tmp_path: Path
) -> None:
    with objects.failing(lambda *_: "503 SlowDown"), starting(tmp_path, environment) as server:
        client = server.wait_until_up().client()
        eventually(lambda: b"overloaded" in client.get("/readyz").body)
        state, refused = client.get("/readyz"), client.post("/predict", {"user_ids": [1]})
        assert (state.status, state.json()["status"], state.json()["model_version"]) == (503, "unavailable", None)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["detail"] == state.json()["reasons"][0]
        assert client.ask("GET", "/readyz", headers={"host": "elsewhere.example"}).status == 403
        objects.rule = None
        eventually(lambda: _says(server, NO_CHAMPION), seconds=30)
        assert server.client().get("/problem").json()["name"] == "sample"
        assert server.stop() == 0
    assert server.log().count("waiting: The lake at") == 1


def test_a_server_that_waits_stops_when_asked(
    objects: ObjectServer, environment: dict[str, str], tmp_path: Path
) -> None:
    with objects.failing(lambda *_: "503 SlowDown"), starting(tmp_path, environment) as server:
        server.wait_until_up()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0


def test_a_server_does_not_wait_for_what_does_not_pass_by_itself(
    objects: ObjectServer, environment: dict[str, str], tmp_path: Path
) -> None:
    with objects.failing(lambda *_: "403 AccessDenied"), starting(tmp_path, environment) as server:
        assert server.process.wait(20) == 2
    assert "does not allow this with these credentials" in server.log()


@pytest.mark.parametrize(
    ("failure", "passes"),
    [("503 SlowDown", True), ("cut", True), ("403 AccessDenied", False), ("404 NoSuchBucket", False)],
)
def test_what_may_pass_by_itself_is_an_error_of_its_own(
    objects: ObjectServer, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, failure: str, passes: bool
) -> None:
    monkeypatch.setattr("mlguide_assets.prepare.lake.bucket.RETRY_SECONDS", 0.3)
    with objects.failing(lambda *_: failure), pytest.raises(InputError) as raised:
        Bucket(environment[LAKE_VARIABLE]).listing("x")
    assert isinstance(raised.value, AwayError) == passes


def _says(server: Server, reason: str) -> bool:
    """Whether it is up and says why it is not ready; for a moment nothing listens, before it is up."""
    try:
        return reason in server.client().get("/readyz").json()["reasons"]
    except OSError:
        return False
