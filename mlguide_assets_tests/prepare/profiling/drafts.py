"""Folders of small tables, and the problem files drafted from them."""

from pathlib import Path
from typing import Any

import duckdb
import yaml

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.prepare.profiling.checking import Check, check_problem
from mlguide_assets.prepare.profiling.draft import draft_problem
from mlguide_assets.prepare.profiling.writing import write_draft

DAYS = "TIMESTAMP '2024-01-01' + INTERVAL (i * 37 % 300) DAY + INTERVAL (i * 7 % 24) HOUR"
"""A time within ten months, another for each i."""

CUSTOMERS = "SELECT i AS customer_id, 'c' || i % 5 AS segment, TIMESTAMP '2023-06-01' AS created_at FROM range(40) t(i)"
ORDERS = (
    f"SELECT i AS order_id, i * 11 % 40 AS customer_id, {DAYS} AS ordered_at, i % 90 + 0.5 AS amount "
    f"FROM range(600) t(i)"
)


def write_tables(folder: Path, ending: str = "parquet", **queries: str) -> Path:
    """Write the rows of each query as a table of that name."""
    folder.mkdir(exist_ok=True)
    for name, query in queries.items():
        options = "FORMAT csv, HEADER, NULLSTR ''" if ending == "csv" else "FORMAT parquet"
        duckdb.sql(f"COPY ({query}) TO '{folder / name}.{ending}' ({options})")
    return folder


def draft_text(source: Path | str, duck: Any, scratch: Path) -> str:
    """The text of the file that is drafted from a source."""
    for name in duck.list_tables():
        if name.startswith("listed_"):
            duck.raw_sql(f"DROP TABLE {name}")
    draft = draft_problem(str(source), duck, scratch, lambda _: None)
    return write_draft(draft, name="drafted", source={"kind": "files", "uri": str(source)}, file="drafted.yaml")


def checked_draft(text: str, duck: Any, tmp_path: Path, *, automatic: bool = True) -> Check:
    """What the drafted file would train on.

    Args:
        automatic: whether features are chosen as well, which takes half of the time: no decision depends on them.
    """
    (tmp_path / "checked").mkdir()
    problem = parse_problem(text.encode(), tmp_path / "a.yaml")
    if not automatic:
        problem = problem.model_copy(update={"features": problem.features.model_copy(update={"automatic": False})})
    return check_problem(problem, duck, tmp_path / "checked", lambda _: None)


def drafted(source: Path | str, duck: Any, scratch: Path) -> dict[str, Any]:
    """What that file says."""
    values: dict[str, Any] = yaml.safe_load(draft_text(source, duck, scratch))
    return values
