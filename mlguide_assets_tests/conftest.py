"""What all tests share: one DuckDB per process, since starting one costs more than most tests; a home; a candidate.

Under xdist this module is also imported by the process that only hands out tests, so what is heavy is imported late.
"""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from mlguide_assets_tests.homes import computed_once, made_once, run_on_sample, shared_folder
from mlguide_assets_tests.registry_tables import PLACE, copy_tables

if TYPE_CHECKING:
    import pyarrow as pa

    from mlguide_assets.prepare.lake.lake import Lake
    from mlguide_assets.settings import Home
    from mlguide_assets.train.candidate import Candidate
    from mlguide_assets_tests.object_store import ObjectServer
    from mlguide_assets_tests.postgres import Postgres
    from mlguide_assets_tests.samples import Tables

pytest_plugins = ["pytester", "mlguide_assets_tests.ml_test_score", "mlguide_assets_tests.guide"]

# The processes of the tests share the cores, and threads of OpenMP wait for each other by spinning. It is read when
# XGBoost or scikit-learn is first imported; what is learned is the same to the byte.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the libraries bring with them stays for good: looking through it for garbage takes a twelfth of the time.
gc.set_threshold(100_000, 50, 100)
atexit.register(gc.freeze)

_frozen_modules = 0


def pytest_runtest_teardown() -> None:
    """Leave out what libraries hold for good from collections of garbage: statsmodels makes a full one per call."""
    global _frozen_modules
    if len(sys.modules) > 1.2 * _frozen_modules:
        gc.collect()
        gc.freeze()
        _frozen_modules = len(sys.modules)


settings.register_profile("mlguide", deadline=None, max_examples=50)
settings.load_profile("mlguide")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first, so that no process of the tests is left with one.

    Of those that look at `sample_home`, one begins, which makes it; the others come once it is there, or all processes
    would wait for it. Before all of them the days that are left to the daemon, which mostly wait.
    """
    looking = [item.path for item in items if "sample_home" in getattr(item, "fixturenames", ())]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    maker = next((path for path in looking if path in slow), None)

    def turn(item: pytest.Item) -> tuple[bool, ...]:
        waits = item.get_closest_marker("daemon") is not None
        return not waits, item.path != maker, item.path not in slow, item.path in looking

    items.sort(key=turn)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By file, and all of Spark in one process: a second one would take as long to start as many tests."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "spark" if file.startswith("mlguide_assets_tests/test_spark") else file

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def edges_are_real() -> Iterator[None]:
    """No asset that any test runs in its process reads a table that it has no edge to."""
    from mlguide_assets_tests.lake_reads import refuse_hidden, watched

    with watched(refuse_hidden):
        yield


@pytest.fixture(scope="session")
def duck() -> Iterator[Any]:
    """An in-memory DuckDB, as the lake opens it."""
    from mlguide_assets.prepare.duckdb.connection import connect

    connection = connect()
    yield connection
    connection.disconnect()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Spark as Ibis sees it, on two cores of this machine."""
    from mlguide_assets_tests.spark import small_spark

    with small_spark(tmp_path_factory.mktemp("spark")) as session:
        from mlguide_assets.prepare.spark.backend import backend_of

        yield backend_of(session)


@pytest.fixture(scope="session")
def spark_lakes(
    spark: Any,
    tables: "Tables",
    sends: "pa.Table",
    tmp_path_factory: pytest.TempPathFactory,
) -> "list[Lake]":
    """One folder, as DuckDB and as Spark compute over it: the sample's tables and their features."""
    from mlguide_assets.prepare.lake.lake import Lake

    folder = tmp_path_factory.mktemp("lake")
    both = [Lake(folder, engine=engine) for engine in ("duckdb", "spark")]  # type: ignore[arg-type]
    for name, rows in {**tables, "send_features": sends}.items():
        both[0].write(name, rows)
    return both


@pytest.fixture(scope="session")
def object_server_of_session() -> "Iterator[ObjectServer]":
    from mlguide_assets_tests.object_store import object_server

    with object_server() as server:
        yield server


@pytest.fixture
def objects(object_server_of_session: "ObjectServer", monkeypatch: pytest.MonkeyPatch) -> "ObjectServer":
    """A local S3 server, which this process has the credentials of."""
    for name, value in object_server_of_session.environment.items():
        monkeypatch.setenv(name, value)
    object_server_of_session.seen.clear()
    return object_server_of_session


@pytest.fixture(scope="session")
def postgres_of_session() -> "Iterator[Postgres]":
    from mlguide_assets_tests.postgres import postgres

    with postgres() as server:
        yield server


@pytest.fixture
def database(postgres_of_session: "Postgres", monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new database of a real PostgreSQL, which this process shares with others."""
    from mlguide_assets.settings import DATABASE_VARIABLE

    address = postgres_of_session.database()
    monkeypatch.setenv(DATABASE_VARIABLE, address)
    return address


@pytest.fixture(scope="session", autouse=True)
def place_of_registry_tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where commands and other processes of the session find them."""
    os.environ[PLACE] = str(shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def registry_tables(place_of_registry_tables: None) -> None:
    """New homes of this process have a registry at once: see `copy_tables`."""
    copy_tables()


@pytest.fixture
def home(tmp_path: Path, registry_tables: None) -> "Home":
    """A home with an empty registry."""
    from mlguide_assets.deploy.registry.registry import Registry
    from mlguide_assets.settings import Home

    home = Home(tmp_path / "a home")
    Registry(home.registry, "any").client  # noqa: B018, since looking at it makes the database
    return home


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `run_on_sample`; to be looked at only."""
    return made_once(tmp_path_factory, "sample", run_on_sample)


@pytest.fixture(scope="session")
def tables() -> "Tables":
    """The sample's tables with 3,000 sends over 120 days; food emails lose six times as many users as the others."""
    from mlguide_assets_tests.samples import sample_tables

    return sample_tables(sends=3000)


@pytest.fixture(scope="session")
def sends(tables: "Tables", tmp_path_factory: pytest.TempPathFactory) -> "pa.Table":
    """Their point-in-time features."""
    from mlguide_assets_tests.train.sends import features_of_tables

    return computed_once(tmp_path_factory, "sends", lambda: features_of_tables(tables))


@pytest.fixture(scope="session")
def trained(sends: "pa.Table", tmp_path_factory: pytest.TempPathFactory) -> "Candidate":
    """A candidate that has learned from them."""
    import ibis

    from mlguide_assets.train.candidate import train_candidate
    from mlguide_assets.train.models.models import XGBOOST
    from mlguide_assets_tests.train.sends import PROBLEM

    rows = ibis.memtable(sends)
    return computed_once(tmp_path_factory, "trained", lambda: train_candidate(rows, PROBLEM, contenders=(XGBOOST,)))


@pytest.fixture(scope="session")
def linear(sends: "pa.Table", tmp_path_factory: pytest.TempPathFactory) -> "Candidate":
    """As `trained`, where all models compete: so few sends do not show that XGBoost is better."""
    import ibis

    from mlguide_assets.train.candidate import train_candidate
    from mlguide_assets_tests.train.sends import PROBLEM

    return computed_once(tmp_path_factory, "linear", lambda: train_candidate(ibis.memtable(sends), PROBLEM))
