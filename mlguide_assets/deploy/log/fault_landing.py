"""The counts of what the API did not answer land in the lake by day."""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlguide_assets.deploy.log.fault_log import Counts, as_rows, counts_of, files_by_day, read_counts
from mlguide_assets.deploy.log.landing import KEPT_DAYS
from mlguide_assets.deploy.log.prediction_log import read_noted
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot

REQUEST_FAULTS = "request_faults"
FAULTS_SCHEMA = pa.schema(
    [("day", pa.date32()), ("endpoint", pa.string()), ("status", pa.int64()), ("requests", pa.int64())]
)

COLUMNS = {
    "day": "The day, UTC.",
    "endpoint": "The endpoint of the requests.",
    "status": "The HTTP status: from 400 on the request was refused, from 500 on the server failed.",
    "requests": "Requests that ended so.",
}
"""Column → meaning."""


def land_faults(folder: Path, lake: Lake, *, today: date) -> Snapshot:
    """Write the counts of each day whose files are there. Landing twice changes nothing.

    What has landed is kept by server beside the files, so that a file which is gone, or comes back, counts once.

    Args:
        folder: where the servers write, see `fault_log.py`.
        today: days older than `KEPT_DAYS` lose the servers' files, once they have landed.
    """
    if not lake.exists(REQUEST_FAULTS):
        lake.write_partition(REQUEST_FAULTS, today.isoformat(), FAULTS_SCHEMA.empty_table())
    for day, paths in files_by_day(folder).items():
        landed = folder / f"{day}.json"
        servers = read_noted(landed)
        for path in paths:
            # The file of a home that was copied has fewer; a count never falls.
            servers[path.name] = as_rows(counts_of(servers.get(path.name, ())) | read_counts(path))
        lake.write_partition(REQUEST_FAULTS, day, _fault_rows(date.fromisoformat(day), servers))
        replace_file(landed, json.dumps(servers).encode())
        if date.fromisoformat(day) < today - timedelta(days=KEPT_DAYS):
            for path in paths:
                path.unlink(missing_ok=True)
    return lake.snapshot(REQUEST_FAULTS)


def _fault_rows(day: date, servers: dict[str, Any]) -> pa.Table:
    """The counts of a day over all servers."""
    together: Counts = Counter()
    for counted in servers.values():
        together.update({(endpoint, status): requests for endpoint, status, requests in counted})
    rows = [
        {"day": day, "endpoint": endpoint, "status": status, "requests": requests}
        for endpoint, status, requests in as_rows(together)
    ]
    return pa.Table.from_pylist(rows, schema=FAULTS_SCHEMA)
