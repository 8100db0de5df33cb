"""Reads the table of drift for sensors and alerts. It imports neither Ibis nor DuckDB."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mlguide_assets.prepare.lake.lake import Lake

DATA_DRIFT = "data_drift"
TRAFFIC = "traffic"
"""The source of rows on requests to the API. That of all others is the plural of what is decided (`sends`)."""

WHOLE, VOLUME = "(all)", "(volume)"
"""Rows of `data_drift` that are of no column: the verdict on the day, and that on the number of rows."""

TOGETHER = "(together)"
"""The row of the domain classifier, which looks at columns together; `statistic` is its ROC AUC."""


KEPT_IN_MIND = 28
"""The last days that were tested, the only ones acted on: a year's would be read every few seconds."""


def recent(lake: Lake) -> pa.Table:
    """The rows of the last days that were tested, by day."""
    if not lake.exists(DATA_DRIFT):
        return pa.table({})
    days = sorted(lake.snapshot(DATA_DRIFT).partitions)[-KEPT_IN_MIND:]
    return lake.read_arrow(DATA_DRIFT, partitions=days)


def of_decisions(row: Mapping[str, Any]) -> bool:
    """Whether a row is on decisions, not on requests to the API."""
    return bool(row["source"] != TRAFFIC)


def verdicts(lake: Lake) -> list[dict[str, Any]]:
    """The verdicts on the last days that were tested, by day and source, without Ibis and DuckDB."""
    rows = recent(lake).to_pylist()
    return sorted((row for row in rows if row["column"] == WHOLE), key=lambda row: (row["day"], row["source"]))


def last_verdict(lake: Lake) -> dict[str, Any]:
    """The verdict on the decisions of the last day that was tested."""
    found = [row for row in verdicts(lake) if of_decisions(row)]
    return found[-1] if found else {"day": "none", "level": "none", "reason": "No day was tested yet."}


def levels(lake: Lake, version: str) -> dict[str, str]:
    """What the decisions of each of the last days call for, as tested with this version: day → level."""
    found = (row for row in verdicts(lake) if of_decisions(row) and row["model_version"] == version)
    return {row["day"]: row["level"] for row in found}


def signatures(lake: Lake, version: str) -> dict[str, str]:
    """The signature under which this version tested each day, see `new_days.signature`: day → signature."""
    found = (row for row in verdicts(lake) if of_decisions(row) and row["model_version"] == version)
    # A day that was tested before days were signed has none, and is tested again.
    return {row["day"]: row.get("signature") or "" for row in found}
