"""Reading the table of drift: what sensors and alerts ask of it. It imports neither Ibis nor DuckDB."""

from typing import Any

import pyarrow.compute as pc

from mlguide_assets.prepare.lake import Lake

DATA_DRIFT = "data_drift"
SENDS, TRAFFIC = "sends", "traffic"
WHOLE, VOLUME = "(all)", "(volume)"
"""Rows of `data_drift` that are of no column: the verdict on the day, and that on the number of rows."""


def verdicts(lake: Lake) -> list[dict[str, Any]]:
    """The verdict on every day that was judged, by day and source, without Ibis and DuckDB."""
    if not lake.exists(DATA_DRIFT):
        return []
    table = lake.read_arrow(DATA_DRIFT)
    found: list[dict[str, Any]] = table.filter(pc.equal(table["column"], WHOLE)).to_pylist()
    return sorted(found, key=lambda row: (row["day"], row["source"]))


def last_verdict(lake: Lake) -> dict[str, Any]:
    """The verdict on the sends of the last day that was judged."""
    found = [row for row in verdicts(lake) if row["source"] == SENDS]
    return found[-1] if found else {"day": "none", "level": "none", "reason": "No day was judged yet."}


def signatures(lake: Lake, version: str) -> dict[str, str]:
    """What each day was judged as by this version, see `new_days.signature`: day → signature."""
    found = (row for row in verdicts(lake) if row["source"] == SENDS and row["model_version"] == version)
    return {row["day"]: row["signature"] for row in found}
