"""Promotion and rollback while clients ask: every request is answered, by the old version or the new one."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import set_champion
from mlguide_assets_tests.deploy.serving.serving import (
    Client,
    Hammer,
    House,
    Server,
    damage,
    eventually,
    point_by_hand,
    repair,
)

CLIENTS = 4
PATIENCE = 30
"""Seconds after which nothing comes any more, on however slow a machine; the benchmarks say how long it takes."""


def asked(server: Server) -> Any:
    """One request on a connection of its own, which any worker may take."""
    client = server.client()
    answer = client.predict(1, 5, email_ids=[1, 2])
    client.close()
    return answer


def workers_of(house: House, server: Server, requests: int) -> dict[str, set[str]]:
    """Which process answered with which versions, as the names of the log's files tell."""
    ids = {answer["request_id"]: answer["model_version"] for answer in (asked(server) for _ in range(requests))}
    found: dict[str, set[str]] = {}
    for path in house.served.glob("*/*.jsonl"):
        # A line that is being written has no end yet.
        for line in path.read_text().rpartition("\n")[0].splitlines():
            request_id = json.loads(line)["request_id"]
            if request_id in ids:
                found.setdefault(path.name.split("-")[1], set()).add(ids[request_id])
    return found


@pytest.mark.ml_test_score("infra-7")
def test_promotion_and_rollback_reach_who_hammers(changing_home: House, changing: Server, patient: Client) -> None:
    clients = [changing.client() for _ in range(CLIENTS)]

    def ask(number: int) -> tuple[str, float]:
        answer = clients[number].predict(1, 5, email_ids=[1, 2])
        return answer["model_version"], answer["predictions"][0]["probability"]

    with Hammer(CLIENTS, ask) as hammer:
        for version in ("2", "1", "2"):
            time.sleep(0.2)
            set_champion(changing_home.bundles, version)
            eventually(lambda version=version: asked(changing)["model_version"] == version, seconds=PATIENCE)
        time.sleep(0.2)
    assert hammer.errors == []
    assert len(hammer.answers) > 100
    # One version has one opinion: no answer mixes a model with the other's name.
    assert len(set(hammer.answers)) == 2
    assert {version for version, _ in hammer.answers} == {"1", "2"}


def test_a_promotion_reaches_every_worker(workers: tuple[House, Server]) -> None:
    house, server = workers
    for version in ("2", "1"):
        with Hammer(CLIENTS, lambda _: asked(server)["model_version"]) as hammer:
            set_champion(house.bundles, version)
            both = [{version}] * 2
            eventually(lambda both=both: [*workers_of(house, server, 12).values()] == both, seconds=PATIENCE)
        assert hammer.errors == []
        assert set.union(*workers_of(house, server, 40).values()) == {version}


@pytest.fixture
def damaged(changing_home: House) -> Iterator[tuple[Path, bytes]]:
    """The file of a version whose model has one other bit, and what it was."""
    folder = changing_home.bundles / "3"
    shutil.copytree(changing_home.bundles / "2", folder)
    yield folder / "model.ubj", damage(folder / "model.ubj")
    shutil.rmtree(folder)


@pytest.mark.ml_test_score("infra-6")
def test_a_damaged_bundle_is_not_taken_and_a_repaired_one_is(
    changing_home: House, changing: Server, patient: Client, damaged: tuple[Path, bytes]
) -> None:
    path, whole = damaged
    seen = len(changing.events())
    point_by_hand(changing_home.bundles, "3")
    state = eventually(lambda: (response := patient.get("/readyz").json())["status"] != "ready" and response)
    assert patient.get("/readyz").status == 200
    assert (state["status"], state["model_version"]) == ("degraded", "1")
    (reason,) = state["reasons"]
    assert "model.ubj was changed" in reason
    assert patient.predict(1)["model_version"] == "1"
    # Long enough to look at it again, which need not be told.
    time.sleep(0.6)
    said = [event for event in changing.events()[seen:] if "model.ubj was changed" in event["message"]]
    assert [event["level"] for event in said] == ["error"]
    repair(path, whole)
    eventually(lambda: patient.predict(1)["model_version"] == "3")
    assert patient.get("/readyz").json()["status"] == "ready"


def test_a_bundle_that_is_damaged_later_serves_from_memory(changing_home: House, patient: Client) -> None:
    """Until another pointer is read: what was verified and loaded is what answers."""
    before = patient.predict(1, email_ids=[1])["predictions"]
    whole = damage(changing_home.bundles / "1" / "model.ubj")
    try:
        assert patient.predict(1, email_ids=[1])["predictions"] == before
    finally:
        repair(changing_home.bundles / "1" / "model.ubj", whole)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "../1", "manifest": "0"}', b"\xff" * 1000])
def test_a_damaged_pointer_changes_nothing(changing_home: House, patient: Client, content: bytes) -> None:
    (changing_home.bundles / "champion.json").write_bytes(content)
    state = eventually(lambda: (response := patient.get("/readyz").json())["reasons"] and response)
    assert state["status"] == "degraded"
    assert "champion.json is damaged" in state["reasons"][0]
    assert patient.predict(1)["model_version"] == "1"


def test_a_bundle_that_is_gone_is_not_taken(changing_home: House, patient: Client) -> None:
    pointer = json.loads((changing_home.bundles / "champion.json").read_bytes())
    (changing_home.bundles / "champion.json").write_text(json.dumps({**pointer, "version": "4"}))
    state = eventually(lambda: (response := patient.get("/readyz").json())["reasons"] and response)
    assert "There is no bundle of version 4" in state["reasons"][0]
    assert patient.predict(1)["model_version"] == "1"
