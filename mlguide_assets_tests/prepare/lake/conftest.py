"""An empty lake for each test: in a folder, on object storage, or in turn on both."""

from pathlib import Path

import pytest

from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import LakePlace
from mlguide_assets_tests.object_store import ObjectServer


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> LakePlace:
    if request.param == "folder":
        return LakePlace(tmp_path / "lake")
    objects: ObjectServer = request.getfixturevalue("objects")
    return LakePlace(tmp_path / "cache", objects.address())


@pytest.fixture
def lake(place: LakePlace) -> Lake:
    return Lake(place)


@pytest.fixture
def local(tmp_path: Path) -> Lake:
    """One in a folder, for what is said of its files."""
    return Lake(tmp_path / "lake")


@pytest.fixture
def remote(tmp_path: Path, objects: ObjectServer) -> Lake:
    """One on object storage."""
    return Lake(LakePlace(tmp_path / "cache", objects.address()))


@pytest.fixture
def other(remote: Lake, tmp_path: Path) -> Lake:
    """The same lake as another host sees it."""
    return Lake(LakePlace(tmp_path / "other", remote.place.address))
