"""What all tests share: one DuckDB per process, since starting one costs more than most tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from mlguide_assets.prepare.engine import connect

pytest_plugins = ["pytester", "mlguide_assets_tests.ml_test_score"]

settings.register_profile("mlguide", deadline=None, max_examples=50)
settings.load_profile("mlguide")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The test that mostly waits first: the other process of the tests has all the rest done meanwhile."""
    items.sort(key=lambda item: "test_ten_days" not in item.nodeid)


@pytest.fixture(scope="session")
def duck() -> Iterator[Any]:
    """An in-memory DuckDB, as the lake opens it."""
    connection = connect()
    yield connection
    connection.disconnect()
