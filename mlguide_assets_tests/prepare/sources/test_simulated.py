"""Reading a simulated world: as it was known at an instant, and the truth of that beside it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.oracle import FILE, with_oracle
from mlguide_assets_tests.prepare.ingesting import keep, lake_over
from mlguide_assets_tests.samples import PROBLEM, TABLES

SHIFT = "2024-02-10"
SOURCE = {"kind": "simulator", "sends": 5000, "days": 60, "covariate_shift": SHIFT, "concept_shift": SHIFT}
SIMULATED = parse_problem(yaml.safe_dump({**PROBLEM, "source": SOURCE}).encode(), Path("simulated.yaml"))


def rows_until(until: datetime | None, duck: Any, folder: Path) -> dict[str, Any]:
    """Accepted rows per table, told lines, and the sends to which the oracle knows a probability."""
    messages: list[str] = []
    lake = lake_over(duck, folder / f"lake {until}")
    with ingest(SIMULATED, lake, oracle=folder, report=messages.append, until=until) as read:
        refuse_blocked(read.results, SIMULATED.rules, read.place)
        keep(lake, read)
    assert lake.read(QUARANTINED).count().execute() == 0
    tables = {name: lake.read(name).to_pyarrow() for name in TABLES}
    judged = with_oracle(lake.read("user_emails"), folder, SIMULATED).count().execute()
    return {**tables, "messages": messages, "judged": judged}


def test_what_is_read_and_its_truth_end_with_what_was_known(duck: Any, tmp_path: Path) -> None:
    early, late = datetime(2024, 2, 12), datetime(2024, 2, 20, 9, 30)
    first, second = rows_until(early, duck, tmp_path), rows_until(late, duck, tmp_path)
    for seen, until in ((first, early), (second, late)):
        delivered = seen["user_emails"]["delivered_at"].to_pylist()
        assert datetime(2024, 2, 10) < max(delivered) < until
        assert max(seen["user_profiles"]["date_joined"].to_pylist()) < until
        assert max(seen["email_content"]["created_at"].to_pylist()) < until
        assert seen["judged"] == len(delivered)
        assert any(line.endswith(f"users, as known at {until}") for line in seen["messages"])
    assert pq.read_metadata(tmp_path / FILE).num_rows == second["user_emails"].num_rows
    assert first["user_emails"].num_rows < second["user_emails"].num_rows


def test_without_an_instant_the_whole_history_is_read(duck: Any, tmp_path: Path) -> None:
    whole, end = rows_until(None, duck, tmp_path), rows_until(datetime(2024, 3, 1), duck, tmp_path)
    for table in TABLES:
        assert whole[table].equals(end[table])
    assert any(line.endswith("users") for line in whole["messages"])
