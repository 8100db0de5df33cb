"""A world, a candidate, and a registry's empty database, each made once per process."""

import shutil
from pathlib import Path

import ibis
import pytest

from mlguide_assets.deploy.registry import Registry
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.models import XGBOOST
from mlguide_assets_tests.samples import Tables, sample_tables
from mlguide_assets_tests.train.sends import PROBLEM, features_of_tables


@pytest.fixture(scope="session")
def tables() -> Tables:
    return sample_tables(sends=3000)


@pytest.fixture(scope="session")
def trained(tables: Tables) -> Candidate:
    return train_candidate(ibis.memtable(features_of_tables(tables)), PROBLEM, contenders=(XGBOOST,))


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without a row: making them takes seconds, copying them nothing."""
    root = tmp_path_factory.mktemp("registry")
    Registry(root, "any").client.search_registered_models()
    return root / "mlflow.db"


def new_home(root: Path, empty_registry: Path) -> Home:
    """A home with an empty registry."""
    home = Home(root)
    home.registry.mkdir(parents=True)
    shutil.copyfile(empty_registry, home.registry / "mlflow.db")
    return home


@pytest.fixture
def home(tmp_path: Path, empty_registry: Path) -> Home:
    return new_home(tmp_path / "a home", empty_registry)
