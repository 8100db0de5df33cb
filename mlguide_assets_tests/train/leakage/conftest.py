"""Worlds that are computed once for a file of tests."""

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.prepare.features.tables import send_features
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.prepare.simulator.worlds import content, history, profiles
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.leakage.cases import SIMULATED, core_of


@pytest.fixture(scope="module")
def core() -> ibis.Table:
    return core_of(**sample_tables(sends=3000))


@pytest.fixture(scope="module")
def simulated() -> ibis.Table:
    world = World(sends=20_000)
    return core_of(profiles(world), history(world), content(world))


@pytest.fixture(scope="module")
def simulated_sends(simulated: ibis.Table) -> pa.Table:
    return send_features(simulated, SIMULATED).to_pyarrow()
