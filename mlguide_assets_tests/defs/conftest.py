"""What the tests of definitions share: Dagster's instance, and a home as sensors find it."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlguide_assets_tests.defs.house import House


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that forgets everything with the test."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def house(instance: dg.DagsterInstance, tmp_path: Path) -> House:
    """A home in which nothing has landed yet."""
    return House(tmp_path, instance)
