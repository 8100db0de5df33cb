"""The edges of the asset graph are real: what an asset reads, it depends on."""

import json
from pathlib import Path

from mlguide_assets_tests.lake_reads import READS


def test_no_asset_reads_a_table_behind_dagsters_back(sample_home: Path) -> None:
    recorded = json.loads((sample_home / READS).read_text())
    assert recorded["hidden"] == []
    assert recorded["reads"] > 100
