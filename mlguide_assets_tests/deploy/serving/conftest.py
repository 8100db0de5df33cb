"""A home that can serve, and a server on it, each made once per process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import set_champion
from mlguide_assets.train.candidate import Candidate
from mlguide_assets_tests.deploy.serving.others import OtherHouse, orders_house, payments_house
from mlguide_assets_tests.deploy.serving.serving import (
    AS_OF,
    HOSTILE,
    SLOTS,
    Client,
    House,
    Server,
    eventually,
    with_twins,
)
from mlguide_assets_tests.homes import made_once
from mlguide_assets_tests.samples import Tables
from mlguide_assets_tests.train.sends import replaced


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, trained: Candidate, tables: Tables) -> House:
    """Not to be changed: what changes a home works on a copy."""
    rows = with_twins(tables)

    def build(folder: Path) -> None:
        House.build(folder / "home", trained, rows)

    built = House.of(made_once(tmp_path_factory, "serving", build) / "home", rows)
    return built.copy(tmp_path_factory.mktemp("serving") / "a home")


@pytest.fixture(scope="session")
def server(house: House) -> Iterator[Server]:
    # Which is not waited for by every test of what is refused before its end.
    with Server(house.home, patches={"mlguide_assets.deploy.serving.connections": {"LINGER_SECONDS": 0.2}}) as server:
        yield server


@pytest.fixture(scope="session")
def workers(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Server]]:
    """A home of their own, and a server of two workers, both up."""
    copied = house.copy(tmp_path_factory.mktemp("workers") / "home")
    with Server(copied.home, "--workers", "2") as server:
        eventually(lambda: server.log().count("Application startup complete") == 2, seconds=30)
        yield copied, server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def changing_home(house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home in which champions change and things break, and are mended."""
    return house.copy(tmp_path_factory.mktemp("changing") / "home")


@pytest.fixture(scope="session")
def changing(changing_home: House) -> Iterator[Server]:
    """A server on it, which soon looks again at a bundle that it refused."""
    with Server(
        changing_home.home, patches={"mlguide_assets.deploy.serving.watching": {"RETRY_SECONDS": 0.4}}
    ) as server:
        yield server


@pytest.fixture
def patient(changing_home: House, changing: Server) -> Iterator[Client]:
    """A client of that server, which is well, and serves version 1, before and after."""
    client = changing.client()
    eventually(lambda: is_well(client))
    yield client
    # A pointer that is damaged is not replaced.
    (changing_home.bundles / "champion.json").unlink(missing_ok=True)
    set_champion(changing_home.bundles, "1")
    eventually(lambda: is_well(client))
    assert client.predict(3, email_ids=[1])["model_version"] == "1"
    client.close()


def is_well(client: Client) -> bool:
    state = client.get("/readyz").json()
    return (state["status"], state["model_version"], state["shadow_version"]) == ("ready", "1", None)


@pytest.fixture(scope="session")
def narrow(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of low limits that waits for bodies as long as it takes; its emails have a subject that means harm."""
    copied = house.copy(tmp_path_factory.mktemp("narrow") / "home", max_concurrent=SLOTS, max_explained_pairs=7)
    content = house.tables["email_content"]
    hostile = {**house.tables, "email_content": replaced(content, "subject", [HOSTILE] * content.num_rows)}
    replace(copied, tables=hostile).publish(AS_OF + timedelta(hours=1))
    with Server(copied.home, patches={"mlguide_assets.deploy.serving.guarding": {"BODY_SECONDS": 600}}) as server:
        yield server


@pytest.fixture(scope="module")
def copied(house: House, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., House]:
    """A home of one's own, with other limits where wanted."""

    def copy(**serving: Any) -> House:
        root: Path = tmp_path_factory.mktemp("copied") / "home"
        return house.copy(root, **serving)

    return copy


@pytest.fixture(scope="session")
def payments(tmp_path_factory: pytest.TempPathFactory) -> OtherHouse:
    """Not to be changed, as `house`."""
    return payments_house(tmp_path_factory)


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> OtherHouse:
    return orders_house(tmp_path_factory)


@pytest.fixture(scope="session")
def payments_server(payments: OtherHouse) -> Iterator[Server]:
    with Server(payments.home) as server:
        yield server


@pytest.fixture(scope="session")
def orders_server(orders: OtherHouse) -> Iterator[Server]:
    with Server(orders.home) as server:
        yield server
