"""Worlds that are computed once for a file of tests."""

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.email_case import send_features
from mlguide_assets_tests.prepare.simulator.worlds import content, history, profiles
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.leakage.cases import SIMULATED, conformed


@pytest.fixture(scope="module")
def accepted() -> dict[str, ibis.Table]:
    return conformed(**sample_tables(sends=3000))


@pytest.fixture(scope="module")
def simulated() -> dict[str, ibis.Table]:
    world = World(sends=20_000)
    return conformed(profiles(world), history(world), content(world))


@pytest.fixture(scope="module")
def simulated_sends(simulated: dict[str, ibis.Table]) -> pa.Table:
    return send_features(simulated, SIMULATED).to_pyarrow()
