"""Reads the table of drift for sensors and alerts. It imports neither Ibis nor DuckDB."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.observe.freshness.landed import landed_rows
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.lake.lake import Lake

DATA_DRIFT = "data_drift"
TRAFFIC = "traffic"
"""The source of rows on requests to the API. That of all others is the plural of what is decided (`sends`)."""

WHOLE_DAY, VOLUME = "(all)", "(volume)"
"""Rows of `data_drift` that are of no column: the verdict on the day, and that on the number of rows."""

TOGETHER = "(together)"
"""The row of the domain classifier, which looks at columns together; `statistic` is its ROC AUC."""


NO_DAY = "none"
"""The day of the last verdict, where there is none."""

KEPT_IN_MIND, MOST_KEPT = 28, 168
"""The last days that were looked at, the only ones acted on: a year's would be read every few seconds. Where days are
small, and so tested together, as many more as two verdicts take."""


def recent(lake: Lake) -> pa.Table:
    """The rows of the last days that were looked at, by day; days that the data no longer reach are left out."""
    days = days_looked_at(lake)
    if not days:
        return pa.table({})
    found = lake.read_arrow(DATA_DRIFT, partitions=days[-KEPT_IN_MIND:])
    for back in range(KEPT_IN_MIND, min(MOST_KEPT, len(days)), KEPT_IN_MIND):
        if len({row["day"] for row in verdicts_of(found) if of_decisions(row) and is_tested(row)}) > 1:
            break
        older = lake.read_arrow(DATA_DRIFT, partitions=days[-back - KEPT_IN_MIND : -back])
        found = pa.concat_tables([older, found], promote_options="default")
    return found


def days_looked_at(lake: Lake) -> list[str]:
    """The days that were looked at, the oldest first, up to the last that has landed: later ones are gone."""
    if not lake.exists(DATA_DRIFT):
        return []
    last = last_day({row["day"]: row["rows"] for row in landed_rows(lake) if row["rows"]})
    return sorted(day for day in lake.snapshot(DATA_DRIFT).partitions if last is None or day <= last.isoformat())


def is_tested(row: Mapping[str, Any]) -> bool:
    """Whether a verdict says anything; else there were too few rows, or they wait for those of the next days."""
    return bool(row["level"] != "too_few")


def of_decisions(row: Mapping[str, Any]) -> bool:
    """Whether a row is on decisions, not on requests to the API."""
    return bool(row["source"] != TRAFFIC)


def verdicts(lake: Lake) -> list[dict[str, Any]]:
    """The verdicts on the last days that were tested, by day and source, without Ibis and DuckDB."""
    return verdicts_of(recent(lake))


def verdicts_of(drift: pa.Table) -> list[dict[str, Any]]:
    """The verdicts among rows of the table, by day and source."""
    if not drift.num_rows:
        return []
    rows = drift.filter(pc.equal(drift["column"], WHOLE_DAY)).to_pylist()
    return sorted(rows, key=lambda row: (row["day"], row["source"]))


def last_verdict(lake: Lake) -> dict[str, Any]:
    """The verdict on the decisions of the last day that was tested; where none was, why not."""
    found = [row for row in verdicts(lake) if of_decisions(row)]
    tested = [row for row in found if is_tested(row)] or found
    not_yet = "No day was tested for drift yet: 'mlguide ui' tests every day that lands."
    return tested[-1] if tested else {"day": NO_DAY, "level": "none", "reason": not_yet}


def waiting(lake: Lake) -> str | None:
    """Why the decisions of the newest day were not tested; None where they were, or nothing was looked at."""
    found = [row for row in verdicts(lake) if of_decisions(row)]
    return str(found[-1]["reason"]) if found and not is_tested(found[-1]) else None


def levels(lake: Lake, version: str) -> dict[str, str]:
    """What the decisions of each of the last days call for, as tested with this version: day → level."""
    found = (row for row in verdicts(lake) if of_decisions(row) and row["model_version"] == version)
    return {row["day"]: row["level"] for row in found}


def signatures(lake: Lake, version: str) -> dict[str, str]:
    """The signature under which this version tested each day, see `new_days.signature`: day → signature."""
    found = (row for row in verdicts(lake) if of_decisions(row) and row["model_version"] == version)
    # A day that was tested before days were signed has none, and is tested again.
    return {row["day"]: row.get("signature") or "" for row in found}
