"""What the holdout model of each version said of its test window: pinned snapshots of `test_predictions`.

The next training replaces the table, whether its candidate becomes champion or not, and the record of the champion
begins with its own test window. Nothing is copied; what is forgotten leaves pinned snapshots as well.
"""

from typing import TYPE_CHECKING

from mlguide_assets.deploy.gate.history import PROMOTED, ROLLED_BACK, decisions
from mlguide_assets.prepare.lake.lake import Lake

if TYPE_CHECKING:
    import ibis

TEST_PREDICTIONS = "test_predictions"
KEPT_VERSIONS = 10
"""How many of the newest versions are kept, any of which may be promoted by hand, and how many champions."""

_PIN = "version-"


def keep_test_predictions(lake: Lake, version: str) -> None:
    """Keep the current test predictions as those of a version; those of old versions no longer."""
    if not lake.exists(TEST_PREDICTIONS):
        return
    lake.pin(TEST_PREDICTIONS, lake.snapshot(TEST_PREDICTIONS).id, f"{_PIN}{version}")
    pinned = sorted((name.removeprefix(_PIN) for name in lake.pinned(TEST_PREDICTIONS)), key=int)
    champions = (row["version"] for row in reversed(decisions(lake)) if row["verdict"] in (PROMOTED, ROLLED_BACK))
    kept = {*pinned[-KEPT_VERSIONS:], *list(dict.fromkeys(champions))[:KEPT_VERSIONS]}
    for old in pinned:
        if old not in kept:
            lake.unpin(TEST_PREDICTIONS, f"{_PIN}{old}")


def kept_predictions(lake: Lake, version: str) -> "ibis.Table | None":
    """The test predictions of a version; None where they are not kept, as for versions of an earlier release."""
    snapshot = lake.pinned(TEST_PREDICTIONS).get(f"{_PIN}{version}")
    return lake.read(TEST_PREDICTIONS, snapshot_id=snapshot) if snapshot else None
