"""Homes for models, with a registry's empty database that is made once per session."""

import shutil
from pathlib import Path

import pytest

from mlguide_assets.deploy.registry import Registry
from mlguide_assets.settings import Home
from mlguide_assets_tests.homes import made_once


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without a row: making them takes seconds, copying them nothing."""

    def make(folder: Path) -> None:
        Registry(folder, "any").client.search_registered_models()

    return made_once(tmp_path_factory, "registry", make) / "mlflow.db"


def new_home(root: Path, empty_registry: Path) -> Home:
    """A home with an empty registry."""
    home = Home(root)
    home.registry.mkdir(parents=True)
    shutil.copyfile(empty_registry, home.registry / "mlflow.db")
    return home


@pytest.fixture
def home(tmp_path: Path, empty_registry: Path) -> Home:
    return new_home(tmp_path / "a home", empty_registry)
