"""An empty lake for each test."""

from pathlib import Path

import pytest

from mlguide_assets.prepare.lake.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")
