"""What all tests share: one DuckDB per process, since starting one costs more than most tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from mlguide_assets.prepare.engine import connect
from mlguide_assets_tests.homes import made_once, run_on_sample

pytest_plugins = ["pytester", "mlguide_assets_tests.ml_test_score", "mlguide_assets_tests.guide"]

# The processes of the tests share the cores, and threads of OpenMP wait for each other by spinning. It is read when
# XGBoost or scikit-learn is first imported; what is learned is the same to the byte.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("mlguide", deadline=None, max_examples=50)
settings.load_profile("mlguide")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The test that mostly waits first, then the files that take long: no process of the tests is left with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.get_closest_marker("daemon") is None, item.path not in slow))


@pytest.fixture(scope="session")
def duck() -> Iterator[Any]:
    """An in-memory DuckDB, as the lake opens it."""
    connection = connect()
    yield connection
    connection.disconnect()


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `run_on_sample`; to be looked at only."""
    return made_once(tmp_path_factory, "sample", run_on_sample)
