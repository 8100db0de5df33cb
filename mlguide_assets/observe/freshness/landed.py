"""Reads the table of the days that have landed. It imports neither Ibis nor DuckDB."""

from typing import Any

from mlguide_assets.prepare.lake.lake import Lake

LANDED_DAYS = "landed_days"


def landed_rows(lake: Lake) -> list[dict[str, Any]]:
    """The rows of `landed_days`; none before the first reading."""
    return list(lake.read_arrow(LANDED_DAYS).to_pylist()) if lake.exists(LANDED_DAYS) else []
