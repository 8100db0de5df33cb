"""A server follows the pointer that another host moves, and goes on with its model while the store does not answer."""

import errno
import threading
import time
from pathlib import Path

import pytest

from mlguide_assets.deploy import routing
from mlguide_assets.deploy.bundle import CHAMPION, MANIFEST, export_bundle, set_challenger, set_champion
from mlguide_assets.deploy.routing import Route, write_routes
from mlguide_assets.deploy.serving import watching
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.watching import Follower, RoutesFollower, Watcher
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake import bucket as bucket_module
from mlguide_assets.settings import DATABASE_VARIABLE, HOME_VARIABLE, LAKE_VARIABLE, Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.deploy.test_bundle import overwrite
from mlguide_assets_tests.object_store import ObjectServer


class Hosts:
    """One that promotes and one that serves."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self.taken: list[str | None] = []

    def on(self, host: str) -> Path:
        """Let this process be that host; its bundles."""
        self._monkeypatch.setenv(HOME_VARIABLE, str(self._folder / host))
        return Home(self._folder / host).bundles("sample")

    def export(self, candidate: Path, version: str, *, host: str = "trainer", trained_at: str = "2024-04-11") -> Path:
        bundles = self.on(host)
        export_bundle(candidate, bundles, version, load_facts(candidate) | {"trained_at": trained_at})
        return bundles

    def promote(self, candidate: Path, version: str, *, host: str = "trainer", trained_at: str = "2024-04-11") -> None:
        set_champion(self.export(candidate, version, host=host, trained_at=trained_at), version)

    def taken_by(self, host: str) -> str | None:
        """The version that a server of a host takes, when it looks."""
        Follower(self.on(host), CHAMPION, self.take).look()
        return self.taken[-1] if self.taken else None

    def take(self, model: ServedModel | None) -> None:
        self.taken.append(model.version if model else None)


@pytest.fixture
def hosts(objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    monkeypatch.setenv(LAKE_VARIABLE, objects.address())
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(watching, "RETRY_SECONDS", 0.0)
    return Hosts(tmp_path, monkeypatch)


def test_promotions_of_another_host_are_followed(
    hosts: Hosts, objects: ObjectServer, trained: Candidate, tmp_path: Path
) -> None:
    follower = Follower(hosts.on("server"), CHAMPION, hosts.take)
    follower.look()
    candidate = saved(trained, tmp_path / "candidates")
    for version in ("1", "2"):
        hosts.promote(candidate, version)
        hosts.on("server")
        follower.look()
        follower.look()
    assert hosts.taken == [None, "1", "2"]
    with objects.failing(lambda *_: "503 SlowDown"):
        follower.look()
    assert "overloaded or failing" in str(follower.fault)
    assert hosts.taken == [None, "1", "2"], "what served goes on"
    follower.look()
    assert follower.fault is None


def test_routes_stay_while_the_store_does_not_answer(hosts: Hosts, objects: ObjectServer) -> None:
    taken: list[tuple[Route, ...]] = []
    follower = RoutesFollower(hosts.on("server"), taken.append)
    write_routes(hosts.on("trainer"), [Route("colours", 1, (), "salt", ())])
    hosts.on("server")
    follower.look()
    with objects.failing(lambda *_: "503 SlowDown"):
        follower.look()
    assert follower.fault is not None
    assert len(taken) == 1
    follower.look()
    assert (follower.fault, [route.experiment for route in taken[-1]]) == (None, ["colours"])


def test_routes_that_could_not_be_read_for_a_moment_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "RETRY_SECONDS", 0.0)
    taken: list[tuple[Route, ...]] = []
    follower = RoutesFollower(tmp_path, taken.append)
    write_routes(tmp_path, [Route("colours", 1, (), "salt", ())])
    with monkeypatch.context() as busy:
        busy.setattr(routing, "read", _too_many_open)
        follower.look()
    assert (follower.fault is not None, taken[-1]) == (True, ())
    follower.look()
    assert (follower.fault, [route.experiment for route in taken[-1]]) == (None, ["colours"])
    follower.look()
    assert len(taken) == 2, "what was read is not read again"


def _too_many_open(path: Path) -> bytes:
    raise OSError(errno.EMFILE, "Too many open files", str(path))


def test_a_server_stops_while_it_asks_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "STOP_SECONDS", 0.1)
    asking, answered = threading.Event(), threading.Event()

    class Away:
        looks = 0

        def look(self) -> None:
            self.looks += 1
            if self.looks > 1:
                asking.set()
                answered.wait(20)

    watcher = Watcher([Away()], lambda: None)  # type: ignore[list-item]
    watcher.start()
    try:
        assert asking.wait(10)
        began = time.monotonic()
        watcher.stop()
        assert time.monotonic() - began < 5
    finally:
        answered.set()


def test_a_bundle_that_another_host_removed_is_stored_again(hosts: Hosts, trained: Candidate, tmp_path: Path) -> None:
    candidate = saved(trained, tmp_path / "candidates")
    hosts.promote(candidate, "1")
    set_challenger(hosts.export(candidate, "2"), "2")
    set_challenger(hosts.on("visitor"), None)
    assert (hosts.on("trainer") / "2").is_dir(), "it has its copy still"
    hosts.promote(candidate, "2")
    assert hosts.taken_by("server") == "2"


def test_a_bundle_whose_export_was_killed_before_it_was_stored_is_stored_by_the_next(
    hosts: Hosts, objects: ObjectServer, trained: Candidate, tmp_path: Path
) -> None:
    candidate = saved(trained, tmp_path / "candidates")
    with objects.failing(lambda method, _: "503 SlowDown" if method == "PUT" else None), pytest.raises(InputError):
        hosts.export(candidate, "1")
    hosts.promote(candidate, "1")
    assert hosts.taken_by("server") == "1"


def test_a_damaged_copy_of_a_bundle_is_fetched_again(hosts: Hosts, trained: Candidate, tmp_path: Path) -> None:
    hosts.promote(saved(trained, tmp_path / "candidates"), "1")
    assert hosts.taken_by("server") == "1"
    overwrite(hosts.on("server") / "1" / MANIFEST, b"{}")
    hosts.taken.clear()
    assert hosts.taken_by("server") == "1"


def test_a_copy_of_another_bundle_of_the_same_number_is_fetched_again(
    hosts: Hosts, objects: ObjectServer, trained: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = saved(trained, tmp_path / "candidates")
    hosts.promote(candidate, "1")
    assert hosts.taken_by("server") == "1"
    monkeypatch.setenv(LAKE_VARIABLE, objects.address())
    hosts.promote(candidate, "1", host="another trainer", trained_at="2024-05-01")
    hosts.taken.clear()
    assert hosts.taken_by("server") == "1"
    hosts.promote(candidate, "1", trained_at="2024-05-01")
    assert hosts.taken_by("fresh server") == "1"
